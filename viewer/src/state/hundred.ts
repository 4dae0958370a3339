/** A hundred cells and the real worker, for tests of what a person makes of them. */

import { afterAll, beforeAll, beforeEach, vi } from "vitest";
import { bitsFor, members, put } from "../data/bits";

type Listener = (event: { data: unknown }) => void;
let inside: Listener = () => undefined;
const outside: Listener[] = [];

/** The worker's own code, in this thread; what it is sent and what it sends is copied, as between threads. */
class WorkerHere {
  addEventListener(type: string, listener: Listener): void {
    if (type === "message") outside.push(listener);
  }
  postMessage(data: unknown): void {
    const copy = structuredClone(data);
    queueMicrotask(() => inside({ data: copy }));
  }
}

export const N = 100;
const NAMES = ["a", "b", "c:d"];
export const codes = Uint8Array.from({ length: N }, (_, i) => (i % 10 === 9 ? 255 : i % 3));
export const depth = Float32Array.from({ length: N }, (_, i) => (i % 20 === 7 ? Number.NaN : i / 10));
const genes = [0, 1].map((g) => Float32Array.from({ length: N }, (_, i) => ((i * (g + 3)) % 7) / 2));

export const identity = {
  id: "set",
  name: "My cells / 1",
  stats: { n_cells: N, n_genes: 2 },
  embeddings: {
    items: [
      { id: "X", label: "X", width: 2, dimensions: [2], default: true, axes: ["1", "2"], files: { "2d": "points" } },
    ],
  },
  obs_fields: [
    { key: "kind", kind: "category", n_categories: 3, index: 0, info: "" },
    { key: "depth", kind: "continuous", index: 1, info: "" },
    { key: "name", kind: "text", index: 2, info: "" },
  ],
  expression: {
    default: "X",
    items: [
      { id: "X", label: "X", n_genes: 2, genes: "genes.json?expression=X" },
      { id: "layer:n", label: "n", n_genes: 2, genes: "genes.json?expression=layer%3An" },
    ],
  },
};

const kind = {
  index: 0,
  key: "kind",
  kind: "category",
  ordered: false,
  categories: NAMES,
  counts: NAMES.map((_, k) => codes.filter((c) => c === k).length),
  n_missing: codes.filter((c) => c === 255).length,
  dtype: "uint8",
  missing: 255,
  codes: "codes",
  colors: null,
};
const listOfGenes = (expression: string) => ({
  expression,
  names: ["G:1", "Q"],
  symbols: null,
  values: `genes/{index}.values.f32?expression=${encodeURIComponent(expression)}`,
});

/** What the server says of the cells' names and order. */
export const server: { digest: string | null } = { digest: "sha256:one" };
const served: Record<string, () => unknown> = {
  "_cellucid/datasets": () => ({ datasets: [{ id: "set", path: "/", name: "set" }] }),
  "_cellucid/health": () => ({ status: "ok" }),
  "dataset_identity.json": () => identity,
  "fields/0.json": () => kind,
  "fields/1.json": () => ({
    index: 1,
    key: "depth",
    kind: "continuous",
    min: 0,
    max: 9.9,
    n_missing: 5,
    values: "depth",
  }),
  codes: () => codes.slice().buffer,
  depth: () => depth.slice().buffer,
  points: () => Float32Array.from({ length: 2 * N }, (_, i) => i / (2 * N)).buffer,
  "genes.json?expression=X": () => listOfGenes("X"),
  "genes.json?expression=layer%3An": () => listOfGenes("layer:n"),
  "genes/0.values.f32?expression=X": () => genes[0]?.slice().buffer,
  "genes/1.values.f32?expression=X": () => genes[1]?.slice().buffer,
  "genes/1.values.f32?expression=layer%3An": () => genes[1]?.slice().buffer,
  "cells/digest.json": () => (server.digest === null ? undefined : { n: N, digest: server.digest }),
};

async function modules() {
  const [actions, filters, filtering, grouping, history, files, parts, store, sharing] = await Promise.all([
    import("./actions"),
    import("./filters"),
    import("./filtering"),
    import("./grouping"),
    import("./history"),
    import("./files"),
    import("./parts"),
    import("./store"),
    import("./sharing"),
  ]);
  return { ...actions, ...filters, ...filtering, ...grouping, ...history, ...files, ...parts, ...store, ...sharing };
}
type All = Awaited<ReturnType<typeof modules>>;
/** All that acts on them, once the tests have begun. */
export let m: All;

beforeAll(async () => {
  const { postMessage, addEventListener } = globalThis;
  vi.stubGlobal("addEventListener", (type: string, listener: Listener) => {
    if (type === "message") inside = listener;
  });
  vi.stubGlobal("postMessage", (data: unknown, given: StructuredSerializeOptions) => {
    const copy = structuredClone(data, given);
    for (const listener of outside) listener({ data: copy });
  });
  await import("../data/worker");
  Object.assign(globalThis, { addEventListener });
  void postMessage;
  vi.stubGlobal("Worker", WorkerHere);
  vi.stubGlobal("fetch", async (url: string) => {
    const body = served[url.replace("?order=drawn", "").replace("&order=drawn", "")]?.();
    if (body === undefined) return new Response("{}", { status: 404 });
    return new Response(body instanceof ArrayBuffer ? body : JSON.stringify(body));
  });
  m = await modules();
});

afterAll(() => vi.unstubAllGlobals());

beforeEach(async () => {
  server.digest = "sha256:one";
  m.leave();
  history.replaceState(null, "", "/");
  await m.start();
  m.beginHistory();
});

export const now = () => m.get();
export const shown = () => m.shownCells(now());
export const field = { kind: "field", index: 1, key: "depth" } as const;
export const kinds = { kind: "field", index: 0, key: "kind" } as const;
export const gene = { kind: "gene", index: 1, key: "Q", expression: "layer:n" } as const;
export const setOf = (...cells: number[]) => {
  const bits = bitsFor(N);
  for (const cell of cells) put(bits, cell);
  return bits;
};
export const range = (of: typeof field | typeof gene, min: number | null, max: number | null, missing = false) =>
  ({ kind: "range", of, min, max, missing }) as const;
export const settled = () => new Promise((done) => setTimeout(done, 20));

/** Bounds are float32, whatever a link made of them. */
function plain(_: string, value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return members(bitsOf(value));
  return typeof value === "number" ? Math.fround(value) : value;
}

/** Filters, groups and selection as plain values. */
export function made() {
  const { filters, groups, selection } = now();
  return {
    filters: filters.map(({ on, by }) => [on, JSON.parse(JSON.stringify(by, plain))]),
    groups: groups.map(({ name, color, shown: on, cells, count }) => [name, color, on, count, members(cells)]),
    selection: selection && members(selection.cells),
    shown: shown(),
    painted: now().painted.key,
  };
}

export function bitsOf(view: ArrayBufferView): ReturnType<typeof bitsFor> {
  if (view instanceof Uint32Array) return view as ReturnType<typeof bitsFor>;
  return setOf(...Array.from(view as Uint8Array).flatMap((v, i) => (v ? [i] : [])));
}

export async function makeSome(): Promise<void> {
  await m.paint(gene);
  await m.setFilters([
    { id: "1", on: true, by: { kind: "category", of: kinds, hidden: Uint8Array.from([0, 0, 1, 1]) } },
    { id: "2", on: true, by: range(field, Math.fround(0.3), null, true) },
    { id: "3", on: false, by: range(gene, 0.5, 2.5) },
    { id: "4", on: true, by: { kind: "cells", bits: setOf(0, 50, 99), inside: false, name: "3 cells" } },
  ]);
  m.keep(setOf(0, 31, 32, 99), "Odd “ones” / ü");
  const hidden = m.keep(setOf(5), "Five");
  m.change(hidden?.id ?? "", { shown: false, color: "#123456" });
  await m.select({ kind: "cells", cells: [3, 4, 6] }, "replace");
  await m.sift();
}
