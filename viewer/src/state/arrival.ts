/**
 * Coordinates and codes on their way: of many cells the server sends them in the order in which they are drawn, and the
 * first of them are on the screen while the rest is still coming.
 */

import { getBytes } from "../api/client";
import type { CategoryField, EmbeddingInfo, Identity } from "../api/types";
import { type Codes, markMissing, type Summary, summarise } from "../data/points";
import { addressOf, crewOf } from "./crew";
import { type Geometry, get, type Painted, setProgress } from "./store";
import { groundOf } from "./views";

/** Fewer cells than this come at once, in the order of the file. */
export const MANY = 400_000;
/** Cells that are shown first; four times as many next, and so on. */
const FIRST = 100_000;
const GROWTH = 4;

/** Whether what is asked for comes in drawing order, and can be shown while it comes. */
export function comesInParts(identity: Identity | null): boolean {
  return (identity?.orders?.includes("drawn") ?? false) && (identity?.stats.n_cells ?? 0) >= MANY;
}

/** Tells when enough has come for another look: 100,000 items, 400,000, … and all of them. */
export function milestones(n: number): (items: number) => boolean {
  let next = Math.min(FIRST, n);
  return (items) => {
    if (items < next) return false;
    while (next <= items && next < n) next = Math.min(next * GROWTH, n);
    if (items >= n) next = Number.POSITIVE_INFINITY;
    return true;
  };
}

interface Wanted {
  embedding: EmbeddingInfo;
  dim: number;
  columns: number[];
  /** Names the work in the strip below. */
  task: string;
}

/** The coordinates of every cell; `show` is called with what is there so far, at last with all of it. */
export async function fetchPoints(wanted: Wanted, signal: AbortSignal, show: (now: Geometry) => void): Promise<void> {
  const { embedding, dim, columns, task } = wanted;
  const { identity } = get();
  const n = identity?.stats.n_cells ?? 0;
  const ground = groundOf(wanted);
  const label = `${embedding.label}: ${n.toLocaleString("en")} cells`;
  setProgress(task, { label, fraction: 0 });
  const tell = (got: number, all: number) => setProgress(task, { label, fraction: got / all });
  const query = new URLSearchParams(columns.every((c, i) => c === i) ? "" : { columns: columns.join(",") });
  if (comesInParts(identity)) query.set("order", "drawn");
  const text = query.toString().replaceAll("%2C", ",");
  const url = addressOf(embedding.files[`${dim}d`] ?? "") + (text === "" ? "" : `?${text}`);
  const own = { n, embedding, dim, columns };
  if (!comesInParts(identity)) {
    const bytes = await getBytes(url, n * dim * 4, signal, tell);
    const laid = await crewOf().run({ kind: "points", bytes, n, dimensions: dim, ground });
    if (!signal.aborted) show({ ...laid, ...own, arrived: n });
    return;
  }
  const positions = new Float32Array(n * 3);
  let [asked, nowhere] = [0, 0];
  let laying = Promise.resolve();
  const layTo = (upTo: number, bytes: ArrayBuffer) => {
    const from = asked;
    asked = upTo;
    const part = bytes.slice(from * dim * 4, upTo * dim * 4);
    const done = crewOf().run({ kind: "arrived", bytes: part, n, dimensions: dim, ground, from });
    laying = laying.then(async () => {
      const laid = await done;
      positions.set(laid.positions, from * 3);
      nowhere += laid.nowhere;
      if (!signal.aborted) show({ ...own, positions, nowhere, arrived: upTo });
    });
  };
  const due = milestones(n);
  await getBytes(url, n * dim * 4, signal, (got, all, bytes) => {
    tell(got, all);
    const items = Math.floor(got / (dim * 4));
    if (due(items)) layTo(items, bytes.buffer);
  });
  await laying;
}

const WIDTHS = { uint8: 1, uint16: 2, uint32: 4 };

/** Whether the codes of a field can be drawn as they come: wide ones are made narrower by the worker. */
export function codesComeInParts(identity: Identity | null, field: CategoryField): boolean {
  return comesInParts(identity) && field.dtype !== "uint32";
}

type Category = Extract<Painted, { kind: "category" }>;

/** The codes of every cell; `show` is called with what is there so far, and the answer is all of it. */
export async function fetchCodes(
  field: CategoryField,
  named: Pick<Category, "key"> & { column: string },
  signal: AbortSignal,
  show: (now: Painted) => void,
): Promise<Painted> {
  const n = get().identity?.stats.n_cells ?? 0;
  const width = WIDTHS[field.dtype];
  const View = width === 1 ? Uint8Array : Uint16Array;
  let values: Codes = new View(0);
  const due = milestones(n);
  const url = `${addressOf(field.codes)}?order=drawn`;
  const bytes = await getBytes(url, n * width, signal, (got, _, all) => {
    const items = Math.floor(got / width);
    if (!due(items) || items === n) return;
    if (values.length === 0) values = new View(all.buffer);
    show({ kind: "category", ...named, field, values, arrived: items });
  });
  if (values.length === 0) values = new View(bytes);
  const copy = bytes.slice(0);
  const task = { bytes: copy, n, dtype: field.dtype, categories: field.categories.length, column: named.column };
  await crewOf().run({ kind: "column", drawn: true, ...task });
  return { kind: "category", ...named, field, values };
}

/** What is left to come in less time is shown when all of it is there: fewer points for a moment would only flicker. */
const SOON_MS = 150;

type Numbers = Extract<Painted, { kind: "continuous" }>;

/** The numbers of every cell; `show` is called with what is there so far, and the answer is all of it. */
export async function fetchNumbers(
  url: string,
  named: Pick<Numbers, "key" | "title"> & { column: string },
  signal: AbortSignal,
  show: (now: Painted) => void,
  tell: (fraction: number) => void,
): Promise<Painted> {
  const { identity } = get();
  const n = identity?.stats.n_cells ?? 0;
  const { column, ...names } = named;
  const address = addressOf(url);
  if (!comesInParts(identity)) {
    const bytes = await getBytes(address, n * 4, signal, (got, all) => tell(got / all));
    const laid = await crewOf().run({ kind: "values", bytes, n, key: named.key, column });
    return { kind: "continuous", ...named, ...laid };
  }
  let values = new Float32Array(0);
  let [ready, began] = [0, 0];
  const take = (items: number) => {
    markMissing(values.subarray(ready, items));
    ready = items;
  };
  const due = milestones(n);
  const bytes = await getBytes(
    `${address}${address.includes("?") ? "&" : "?"}order=drawn`,
    n * 4,
    signal,
    (got, all, so) => {
      tell(got / all);
      began ||= performance.now();
      const items = Math.floor(got / 4);
      if (!due(items) || items === n || (performance.now() - began) * (all / got - 1) < SOON_MS) return;
      if (values.length === 0) values = new Float32Array(so.buffer);
      take(items);
      // Without its column: the worker does not have it yet.
      show({ kind: "continuous", ...names, values, arrived: items, summary: summarise(values.subarray(0, items)) });
    },
  );
  if (values.length === 0) values = new Float32Array(bytes);
  const task = { bytes: bytes.slice(0), n, dtype: "float32", categories: null, column } as const;
  const told = crewOf().run({ kind: "column", drawn: true, ...task });
  take(n);
  return { kind: "continuous", ...named, values, summary: (await told).summary as Summary };
}
