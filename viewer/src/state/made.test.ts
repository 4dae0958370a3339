/** What a person makes of the cells, with the real worker: filters, groups, history, links and session files. */

import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
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

const N = 100;
const NAMES = ["a", "b", "c:d"];
const codes = Uint8Array.from({ length: N }, (_, i) => (i % 10 === 9 ? 255 : i % 3));
const depth = Float32Array.from({ length: N }, (_, i) => (i % 20 === 7 ? Number.NaN : i / 10));
const genes = [0, 1].map((g) => Float32Array.from({ length: N }, (_, i) => ((i * (g + 3)) % 7) / 2));

const identity = {
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

let digest: string | null = "sha256:one";
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
  "cells/digest.json": () => (digest === null ? undefined : { n: N, digest }),
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
let m: All;

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
  digest = "sha256:one";
  m.leave();
  history.replaceState(null, "", "/");
  await m.start();
  m.beginHistory();
});

const now = () => m.get();
const shown = () => m.shownCells(now());
const field = { kind: "field", index: 1, key: "depth" } as const;
const kinds = { kind: "field", index: 0, key: "kind" } as const;
const gene = { kind: "gene", index: 1, key: "Q", expression: "layer:n" } as const;
const setOf = (...cells: number[]) => {
  const bits = bitsFor(N);
  for (const cell of cells) put(bits, cell);
  return bits;
};
const range = (of: typeof field | typeof gene, min: number | null, max: number | null, missing = false) =>
  ({ kind: "range", of, min, max, missing }) as const;
const settled = () => new Promise((done) => setTimeout(done, 20));

describe("the stack of filters", () => {
  it("adds up, and stays when the colour changes", async () => {
    const made = await m.addFilter(field);
    if (!made) throw new Error("no filter");
    expect(shown()).toBe(N);
    m.amend(made.id, { by: range(field, 2, null) });
    await m.sift();
    const deep = Array.from(depth).filter((v) => v >= 2).length;
    expect(shown()).toBe(deep);
    expect(now().kept[made.id]).toBe(deep);
    await m.paint(gene);
    await m.sift();
    expect([shown(), now().painted.key, now().hidden]).toEqual([deep, "gene:Q", null]);
    expect(await m.addFilter(field)).toBe(now().filters[0]);
  });

  it("takes what the legend hides, and gives it back to the legend", async () => {
    expect(now().painted.key).toBe("field:kind");
    m.hide(Uint8Array.from([1, 0, 0, 1]));
    await m.sift();
    expect(now().filters.map((f) => f.by.kind)).toEqual(["category"]);
    const left = codes.filter((c) => c === 1 || c === 2).length;
    expect(shown()).toBe(left);
    await m.paint(field);
    expect([now().hidden, now().filters.length]).toEqual([null, 1]);
    await m.sift();
    expect(shown()).toBe(left);
    await m.paint(kinds);
    expect(Array.from(now().hidden ?? [])).toEqual([1, 0, 0, 1]);
    m.hide(null);
    await m.sift();
    expect([now().filters.length, shown()]).toEqual([0, N]);
  });

  it("lets only passing cells be selected", async () => {
    m.hide(Uint8Array.from([1, 0, 0, 0]));
    await m.sift();
    await m.select({ kind: "shown" }, "replace");
    expect(now().selection?.count).toBe(shown());
    await m.select({ kind: "set", cells: setOf(0, 1, 2) }, "replace");
    expect(members(now().selection?.cells ?? bitsFor(0))).toEqual([1, 2]);
  });

  it("switches a filter off whose values cannot be had, and says so", async () => {
    const gone = { kind: "gene", index: 9, key: "none", expression: "X" } as const;
    await m.setFilters([
      { id: "1", on: true, by: range(field, 5, null) },
      { id: "2", on: true, by: { kind: "range", of: gone, min: 1, max: null, missing: false } },
    ]);
    expect(now().filters.map((f) => f.on)).toEqual([true, false]);
    expect(now().error?.status).toBe(404);
    expect(shown()).toBe(Array.from(depth).filter((v) => v >= 5).length);
  });
});

describe("undo and redo", () => {
  it("go through selections, groups and filters, one step for each act", async () => {
    await m.select({ kind: "cells", cells: [3, 4] }, "replace");
    m.keepSelection();
    m.hide(Uint8Array.from([1, 0, 0, 0]));
    await m.sift();
    m.unselect();
    const state = () => [now().selection?.count ?? 0, now().groups.length, shown()];
    const hidden = shown();
    expect(m.useHistory.getState()).toEqual({ past: 4, future: 0 });
    const seen = [state()];
    for (let i = 0; i < 4; i += 1) {
      m.undo();
      await m.sift();
      seen.push(state());
    }
    expect(seen).toEqual([
      [0, 1, hidden],
      [2, 1, hidden],
      [2, 1, N],
      [2, 0, N],
      [0, 0, N],
    ]);
    m.undo();
    for (let i = 0; i < 9; i += 1) m.redo();
    await m.sift();
    expect(state()).toEqual([0, 1, hidden]);
    m.undo();
    await m.sift();
    // The worker knows the selection that came back.
    await m.select({ kind: "cells", cells: [5] }, "add");
    expect(members(now().selection?.cells ?? bitsFor(0))).toEqual([3, 4, 5]);
    expect(m.useHistory.getState().future).toBe(0);
  });

  it("take a drag as one step", async () => {
    const made = await m.addFilter(field);
    if (!made) throw new Error("no filter");
    for (const drag of ["one", "two"]) {
      for (let i = 1; i < 6; i += 1) m.amend(made.id, { by: range(field, i, null) }, drag);
    }
    expect(m.useHistory.getState().past).toBe(3);
    m.undo();
    m.undo();
    expect(now().filters[0]?.by).toMatchObject({ min: null });
  });

  it("share sets of cells and forget the oldest steps", async () => {
    const group = m.keep(setOf(1, 2, 3));
    for (let i = 0; i < 150; i += 1) m.change(group?.id ?? "", { name: `name ${i}` });
    expect(m.useHistory.getState().past).toBe(100);
    const steps = Array.from({ length: 50 }, () => ({ selection: null, groups: now().groups, filters: [] }));
    expect(m.bytesOf(steps)).toBe(bitsFor(N).byteLength);
  });

  it("end with the data set", async () => {
    m.keep(setOf(1));
    m.leave();
    expect(m.useHistory.getState()).toEqual({ past: 0, future: 0 });
    m.undo();
    expect(now().groups).toEqual([]);
  });
});

describe("groups", () => {
  it("are combined into new ones, and into the selection", async () => {
    const a = m.keep(setOf(1, 2, 3), "A");
    const b = m.keep(setOf(3, 4), "B");
    if (!a || !b) throw new Error("no groups");
    expect(new Set(now().groups.map((g) => g.color)).size).toBe(2);
    expect(members(m.combine(a, b, "union")?.cells ?? bitsFor(0))).toEqual([1, 2, 3, 4]);
    expect(members(m.combine(a, b, "intersection")?.cells ?? bitsFor(0))).toEqual([3]);
    expect(m.combine(a, b, "difference")).toMatchObject({ name: "A without B", count: 2 });
    expect(m.combine(b, b, "difference")).toBeNull();
    expect(now().notice).toContain("no cell");
    const selected = () => members(now().selection?.cells ?? bitsFor(N));
    await m.selectGroup(a, "replace");
    await m.selectGroup(b, "meet");
    expect(selected()).toEqual([3]);
    await m.selectGroup(a, "add");
    await m.selectGroup(b, "remove");
    expect(selected()).toEqual([1, 2]);
    await m.selectOthers(a);
    expect(selected()).toEqual(Array.from({ length: N }, (_, i) => i).filter((i) => i < 1 || i > 3));
  });

  it("are drawn in their colours while they are shown", async () => {
    const group = m.keep(setOf(1, 2, 3), "A");
    await settled();
    expect(now().marks?.colors).toEqual([group?.color]);
    expect(now().marks?.codes.reduce((sum, code) => sum + code, 0)).toBe(3);
    m.change(group?.id ?? "", { shown: false });
    await settled();
    expect(now().marks).toBeNull();
  });

  it("need something to be selected", () => {
    expect(m.keepSelection()).toBeNull();
    expect(now().notice).toContain("Select some cells");
  });
});

/** Bounds are float32, whatever a link made of them. */
function plain(_: string, value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return members(bitsOf(value));
  return typeof value === "number" ? Math.fround(value) : value;
}

/** Filters, groups and selection as plain values. */
function made() {
  const { filters, groups, selection } = now();
  return {
    filters: filters.map(({ on, by }) => [on, JSON.parse(JSON.stringify(by, plain))]),
    groups: groups.map(({ name, color, shown: on, cells, count }) => [name, color, on, count, members(cells)]),
    selection: selection && members(selection.cells),
    shown: shown(),
    painted: now().painted.key,
  };
}

function bitsOf(view: ArrayBufferView): ReturnType<typeof bitsFor> {
  if (view instanceof Uint32Array) return view as ReturnType<typeof bitsFor>;
  return setOf(...Array.from(view as Uint8Array).flatMap((v, i) => (v ? [i] : [])));
}

async function makeSome(): Promise<void> {
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

describe("a link", () => {
  it("shows the same filters, and says what it leaves out", async () => {
    await makeSome();
    const before = made();
    expect(m.leftOut(now())).toBe("2 groups are only in the session file. Save it (S) to pass them on.");
    m.writeAddress();
    const link = location.search;
    m.leave();
    history.replaceState(null, "", link);
    await m.start();
    await m.sift();
    expect(made().filters).toEqual(before.filters);
    expect([made().shown, made().selection, made().painted]).toEqual([before.shown, before.selection, before.painted]);
  });

  it("of before there were filters still hides what it hid", async () => {
    m.leave();
    history.replaceState(null, "", "/?color=field:kind&hidden=0,3");
    await m.start();
    await m.sift();
    expect(shown()).toBe(codes.filter((c) => c === 1 || c === 2).length);
  });

  it("may be odd: what means nothing is left out and told", async () => {
    const odd = ["", "x", "hide:0:nope", "hide:0:depth", "range:a::1:depth", "range:1:2:1:kind", "gene:1::0:::nope"];
    const fine = "range:::0:depth";
    m.leave();
    const query = [...odd, fine, "in:200", "gene:::0:nope:0:Q"].map((f) => `filter=${encodeURIComponent(f)}`);
    history.replaceState(null, "", `/?${query.join("&")}`);
    await m.start();
    await m.sift();
    expect(now().filters.length).toBe(1);
    expect(now().notice).toContain("9 filters");
    expect(shown()).toBe(95);
  });

  it("has no room for long filters and large selections", async () => {
    const many = setOf(...Array.from({ length: 50 }, (_, i) => i * 2));
    await m.setFilters([{ id: "1", on: true, by: { kind: "cells", bits: many, inside: true, name: "" } }]);
    expect(m.leftOut(now())).toBe("");
    expect(m.leftOut({ ...now(), selection: { cells: many, places: many, count: 5000 } })).toBe(
      "the selection of 5,000 cells is only in the session file. Save it (S) to pass it on.",
    );
  });

  it("says that scores stay behind, when it is copied and when it is opened", async () => {
    const score = {
      kind: "score" as const,
      id: "1",
      key: "T cells",
      method: "mean" as const,
      expression: "X",
      genes: [],
    };
    expect(m.leftOut({ ...now(), groups: [], filters: [], selection: null, scores: [score] })).toBe(
      "1 score is only in the session file. Save it (S) to pass it on.",
    );
    m.leave();
    history.replaceState(null, "", "/?color=score:T%20cells");
    await m.start();
    expect(now().notice).toBe(
      "There is no score “T cells”: scores are in session files, not in links; these are the default colours.",
    );
  });
});

describe("a file that changed", () => {
  it("takes sets of cells along only while it has as many", async () => {
    await makeSome();
    await m.start();
    await m.sift();
    expect([now().groups.length, now().filters.length > 0]).toEqual([2, true]);
    identity.stats.n_cells = 50;
    history.replaceState(null, "", "/");
    await m.start();
    identity.stats.n_cells = N;
    expect([now().groups, now().filters, now().selection, now().passing, now().geometry]).toEqual([
      [],
      [],
      null,
      null,
      null,
    ]);
  });
});

describe("a session file", () => {
  const file = (body: unknown) =>
    new File([typeof body === "string" ? body : JSON.stringify(body)], "x.coverslip.json", {
      type: "application/json",
    });
  const open = async (body: unknown) => {
    await m.openSession(file(body));
    await m.sift();
    return now().notice ?? "";
  };

  it("brings everything back, in one step of the history", async () => {
    await makeSome();
    const before = made();
    const saved = JSON.parse(JSON.stringify(await m.sessionNow()));
    expect(saved).toMatchObject({
      format: "coverslip session",
      version: 1,
      dataset: { id: "set", name: "My cells / 1", cells: { n: N, digest: "sha256:one" } },
      filters: [{ category: { field: "kind", hidden: ["c:d", null] } }, {}, { on: false, range: { gene: "Q" } }, {}],
    });
    m.leave();
    await m.start();
    m.beginHistory();
    expect(await open(saved)).toBe("Opened x.coverslip.json.");
    expect(made()).toEqual(before);
    expect(m.useHistory.getState().past).toBe(1);
    expect(m.fileName(now().identity?.name ?? "")).toBe("My_cells_1.coverslip.json");
  });

  it("keeps parts that nobody here knows, and gives late comers theirs", async () => {
    const saved = await m.sessionNow();
    await open({ ...saved, parts: { known: { a: 1 }, "not yet": [2] } });
    const got: unknown[] = [];
    const end = m.register("known", { save: () => ({ a: 3 }), load: (value) => void got.push(value) });
    expect(got).toEqual([{ a: 1 }]);
    expect((await m.sessionNow()).parts).toEqual({ known: { a: 3 }, "not yet": [2] });
    end();
    expect((await m.sessionNow()).parts).toEqual({ "not yet": [2] });
  });

  it("finds fields and genes by name when their numbers changed", async () => {
    await m.setFilters([{ id: "1", on: true, by: range(gene, 1, null) }]);
    const saved = JSON.parse(JSON.stringify(await m.sessionNow()));
    saved.filters[0].range.index = 0;
    saved.filters.push({ on: true, range: { field: "gone", min: 1, max: 2 } });
    expect(await open(saved)).toContain("1 filter of fields or genes that are not here left out");
    expect(now().filters[0]?.by).toMatchObject({ of: { index: 1, key: "Q" } });
  });

  it.each([
    ["not JSON", "{", "not a session file"],
    ["another document", { format: "else" }, "not a session file"],
    ["a list", [1], "not a session file"],
    ["null", "null", "not a session file"],
    ["a newer one", { format: "coverslip session", version: 2 }, "newer"],
    ["no version", { format: "coverslip session" }, "newer"],
    ["no cells", { format: "coverslip session", version: 1 }, "unknown number of cells"],
  ])("that is wrong changes nothing: %s", async (_, body, words) => {
    m.keep(setOf(1), "stays");
    expect(await open(body)).toContain(words);
    expect(now().groups.map((g) => g.name)).toEqual(["stays"]);
  });

  it("of other cells, or damaged, changes nothing", async () => {
    await makeSome();
    const saved = JSON.parse(JSON.stringify(await m.sessionNow()));
    const before = made();
    const with_ = (edit: (s: typeof saved) => void) => {
      const copy = structuredClone(saved);
      edit(copy);
      return copy;
    };
    const wrong: [string, unknown][] = [
      ["7 cells", with_((s) => (s.dataset.cells.n = 7))],
      ["another order", with_((s) => (s.dataset.cells.digest = "sha256:two"))],
      ["damaged", with_((s) => (s.groups[0].bits = "@@"))],
      ["damaged", with_((s) => (s.groups[0].bits = s.groups[0].bits.slice(0, 8)))],
      ["damaged", with_((s) => (s.groups[1].count = 2))],
      ["no cells in it", with_((s) => delete s.groups[0].bits)],
      ["unknown way", with_((s) => (s.selection.encoding = "rot13"))],
      ["another number", with_((s) => Object.assign(s.selection, { bits: "AAAA", encoding: "base64" }))],
    ];
    for (const [words, body] of wrong) {
      expect(await open(body)).toContain(words);
      expect(made()).toEqual(before);
    }
    // Nobody can tell: it is opened.
    digest = null;
    expect(await open(with_((s) => (s.dataset.cells.digest = "sha256:two")))).toContain("Opened");
  });
});
