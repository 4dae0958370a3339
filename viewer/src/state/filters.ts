/** The stack of filters: what every view of the cells shows is what passes all of those that are on. */

import { getBytes, getJson, isAbort, toApiError } from "../api/client";
import { isField } from "../api/shapes";
import type { CategoryField, ContinuousField, Field } from "../api/types";
import type { Bits } from "../data/bits";
import type { Rule, Sieve } from "../data/crossfilter";
import type { Summary } from "../data/points";
import { addressOf, crewOf } from "./crew";
import { type Color, get, type Model, set } from "./store";

/** A field, a gene or a score. */
export type Source = Exclude<Color, { kind: "none" }>;

export type Keep =
  /** `hidden[code]` is 1 for a category that does not pass; the entry after the last is "missing". */
  | { kind: "category"; of: Source; hidden: Uint8Array }
  /** Both ends pass, null is open; `missing`: cells without a number pass. */
  | { kind: "range"; of: Source; min: number | null; max: number | null; missing: boolean }
  /** By the cell's number. */
  | { kind: "cells"; bits: Bits; inside: boolean; name: string };

/** Never changed in place: a new object for each change, so that history and the worker can tell. */
export interface Filter {
  id: string;
  on: boolean;
  by: Keep;
}

/** What is known of a field or gene besides its values. */
export type ColumnInfo = { kind: "category"; field: CategoryField } | { kind: "continuous"; summary: Summary };

export const CODE_BYTES = { uint8: 1, uint16: 2, uint32: 4 };

/** One name for the values of a field or gene, however many genes share a name. */
export function columnOf(of: Source): string {
  if (of.kind === "score") return `score:${of.id}`;
  return of.kind === "gene" ? `gene:${of.expression}:${of.index}` : `field:${of.index}`;
}

function columnOfFilter({ by }: Filter): string | null {
  return by.kind === "cells" ? null : columnOf(by.of);
}

/** Whether a filter can leave any cell out. */
export function restricts({ by }: Filter): boolean {
  if (by.kind === "category") return by.hidden.some((h) => h === 1);
  return by.kind === "cells" || by.min !== null || by.max !== null || !by.missing;
}

/** The filter by a field or gene, if there is one. */
export function filterOf(filters: Filter[], column: string): Filter | undefined {
  return filters.find((one) => columnOfFilter(one) === column);
}

let next = 1;
export function newId(): string {
  return `${Date.now().toString(36)}-${next++}`;
}

let gesture: string | null = null;
/** What is being dragged: all its changes are one step of the history. */
export const gestureNow = () => gesture;

/** Replaces the stack; what is drawn, counted and selectable follows. */
export function setFilters(filters: Filter[], during: string | null = null): Promise<void> {
  gesture = during;
  set({ filters, hidden: hiddenOf(filters, get().painted), hover: null });
  return sift();
}

/** What the legend of a coloured field has switched off. */
export function hiddenOf(filters: Filter[], painted: Model["painted"]): Uint8Array | null {
  if (painted.kind !== "category" || painted.column === undefined) return null;
  const own = filterOf(filters, painted.column);
  return own?.on && own.by.kind === "category" && restricts(own) ? own.by.hidden : null;
}

/** Which columns the worker holds, the latest last. */
const held = new Map<string, Promise<void>>();
/** What the worker was told of each filter. */
let told = new Map<string, Keep>();
/** Columns whose counts are on the screen, and by how many parts of it. */
const watched = new Map<string, number>();
let sifting: Promise<void> | null = null;
let again = false;
/** Ends what is fetched of a data set that is left: the next one may have a column of the same name. */
let open = new AbortController();

/** The values of columns kept for filters are dropped beyond this many bytes, those not in use first. */
const MOST_HELD_BYTES = 512 * 2 ** 20;

/** The worker was given these values for the colours: they can be filtered by, and the legend counts them. */
export function hold(painted: Exclude<Model["painted"], { kind: "none" }>): void {
  const { column } = painted;
  if (column === undefined) return;
  held.delete(column);
  held.set(column, Promise.resolve());
  const info: ColumnInfo =
    painted.kind === "category"
      ? { kind: "category", field: painted.field }
      : { kind: "continuous", summary: painted.summary };
  set(({ columns }) => ({ columns: { ...columns, [column]: info } }));
  void sift();
}

export function forgetFilters(): void {
  open.abort();
  open = new AbortController();
  held.clear();
  told = new Map();
  watched.clear();
  again = false;
}

/** Keeps counting a column while something shows it; call the answer to end it. */
export function watch(column: string): () => void {
  watched.set(column, (watched.get(column) ?? 0) + 1);
  void sift();
  return () => {
    const left = (watched.get(column) ?? 1) - 1;
    if (left > 0) watched.set(column, left);
    else watched.delete(column);
  };
}

/** Brings the values of a field or gene to the worker. */
export function ensure(of: Source): Promise<void> {
  const column = columnOf(of);
  const there = held.get(column);
  if (there) return there;
  const fetching = fetchColumn(of, column);
  held.set(column, fetching);
  fetching.catch(() => {
    if (held.get(column) === fetching) held.delete(column);
  });
  return fetching;
}

async function fetchColumn(of: Source, column: string): Promise<void> {
  const n = get().identity?.stats.n_cells ?? 0;
  const { signal } = open;
  const info = await columnInfo(of, column, n, signal);
  signal.throwIfAborted();
  set(({ columns }) => ({ columns: { ...columns, [column]: info } }));
}

async function columnInfo(of: Source, column: string, n: number, signal: AbortSignal): Promise<ColumnInfo> {
  const field =
    of.kind === "field" ? await getJson<Field>(addressOf(`fields/${of.index}.json`), signal, isField) : null;
  if (field?.kind === "category") {
    const bytes = await getBytes(addressOf(field.codes), n * CODE_BYTES[field.dtype], signal);
    signal.throwIfAborted();
    const categories = field.categories.length;
    await crewOf().run({ kind: "column", bytes, n, dtype: field.dtype, categories, column });
    return { kind: "category", field };
  }
  const bytes = await numbersOf(of, field, n, signal);
  signal.throwIfAborted();
  const { summary } = await crewOf().run({ kind: "column", bytes, n, dtype: "float32", categories: null, column });
  return { kind: "continuous", summary: summary as Summary };
}

async function numbersOf(of: Source, field: Field | null, n: number, signal: AbortSignal): Promise<ArrayBuffer> {
  if (of.kind === "score") return (await import("./scores")).scoreBytes(of, n, signal);
  const url = of.kind === "gene" ? valuesOf(of) : (field as ContinuousField).values;
  return getBytes(addressOf(url), n * 4, signal);
}

/** Where the numbers of a gene are, whichever matrix is chosen. */
export function valuesOf(gene: Extract<Source, { kind: "gene" }>): string {
  return `genes/${gene.index}.values.f32?expression=${encodeURIComponent(gene.expression)}`;
}

/** Has the worker filter anew; while it works, changes are gathered into one more turn. */
export function sift(): Promise<void> {
  again = true;
  sifting ??= turns().finally(() => {
    sifting = null;
  });
  return sifting;
}

async function turns(): Promise<void> {
  try {
    while (again) {
      again = false;
      await turn();
    }
  } catch (error) {
    set({ error: toApiError(error) });
  }
}

async function turn(): Promise<void> {
  const { filters, identity, painted } = get();
  const n = identity?.stats.n_cells ?? 0;
  if (n === 0 || (filters.length === 0 && told.size === 0 && watched.size === 0)) return;
  const without = await missing(filters);
  if (get().identity !== identity) return;
  const usable = filters.filter((filter) => !without.has(filter));
  const sieves = usable.map(sieveOf);
  const colored = painted.kind === "none" ? undefined : painted.column;
  const keys = [...new Set([...watched.keys(), colored ?? ""])].filter((column) => held.has(column));
  const sifted = await crewOf().run({ kind: "sift", sieves, watched: keys, n });
  if (get().identity !== identity) return;
  told = new Map(usable.map(({ id, by }) => [id, by]));
  set({ passing: sifted.passing, passingCount: sifted.count, kept: sifted.kept, counts: sifted.counts });
  trim(n);
}

/** Filters whose values cannot be had: they are switched off, and tried again when they are switched on. */
async function missing(filters: Filter[]): Promise<Set<Filter>> {
  const without = new Set<Filter>();
  for (const filter of filters) {
    if (filter.by.kind === "cells") continue;
    if (!filter.on && !held.has(columnOf(filter.by.of))) {
      without.add(filter);
      continue;
    }
    await ensure(filter.by.of).catch((error: unknown) => {
      without.add(filter);
      if (!isAbort(error)) set({ error: toApiError(error) });
    });
  }
  if ([...without].some(({ on }) => on)) {
    set((state) => ({ filters: state.filters.map((one) => (without.has(one) ? { ...one, on: false } : one)) }));
  }
  return without;
}

function sieveOf({ id, on, by }: Filter): Sieve {
  return { id, on, rule: told.get(id) === by ? null : ruleOf(by) };
}

function ruleOf(by: Keep): Rule {
  if (by.kind === "cells") return { kind: "cells", cells: by.bits, inside: by.inside };
  const column = columnOf(by.of);
  if (by.kind === "category") return { kind: "category", column, hidden: by.hidden };
  return { kind: "range", column, min: by.min, max: by.max, missing: by.missing };
}

function trim(n: number): void {
  const { filters, painted, views } = get();
  const needed = new Set([...watched.keys(), ...filters.map(columnOfFilter)]);
  for (const one of [painted, ...views.map((view) => view.painted)]) {
    if (one.kind !== "none" && one.column) needed.add(one.column);
  }
  const unused = [...held.keys()].filter((column) => !needed.has(column));
  const most = Math.max(0, Math.floor(MOST_HELD_BYTES / (n * 6)) - needed.size);
  const columns = unused.slice(0, Math.max(0, unused.length - most));
  if (columns.length === 0) return;
  for (const column of columns) held.delete(column);
  void crewOf().run({ kind: "drop", columns });
}

/** The legend's own filter: what of the coloured field is switched off. */
export function hide(hidden: Uint8Array | null): void {
  const { painted, color, filters } = get();
  const any = hidden?.some((h) => h === 1) ? hidden : null;
  // Networks have a legend and no filters.
  if (painted.kind !== "category" || painted.column === undefined || color.kind !== "field") {
    set({ hidden: any, hover: null });
    return;
  }
  const before = filterOf(filters, painted.column);
  const rest = filters.filter((one) => one !== before);
  if (any === null) void setFilters(rest);
  else {
    const own: Filter = {
      id: before?.id ?? newId(),
      on: true,
      by: { kind: "category", of: { kind: "field", index: painted.field.index, key: painted.field.key }, hidden: any },
    };
    void setFilters(before ? filters.map((one) => (one === before ? own : one)) : [...filters, own]);
  }
}
