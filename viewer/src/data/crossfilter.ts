/**
 * Filters that add up, and what every field looks like among the cells that pass all the others. Runs in the worker.
 *
 * Each filter keeps its own set of bits, so that moving one reads one column; sets meet 32 cells at a time. Everything is in
 * drawing order, as the points are.
 */

import { type Bits, bitsFor, complement, size } from "./bits";
import { BINS, MISSING } from "./points";
import { toPlaces } from "./sets";

/** What one filter lets through. */
export type Rule =
  /** `hidden[code]` is 1 for a category that does not pass; the entry after the last is "missing". */
  | { kind: "category"; column: string; hidden: Uint8Array }
  /** Both ends pass; null is open. `missing`: cells without a number pass. */
  | { kind: "range"; column: string; min: number | null; max: number | null; missing: boolean }
  /** By the cell's number. */
  | { kind: "cells"; cells: Bits; inside: boolean };

export interface Sieve {
  id: string;
  on: boolean;
  /** Null: as it was told before under this id. */
  rule: Rule | null;
}

export interface Sifted {
  /** Places of the cells that pass everything; null when all do. */
  passing: Bits | null;
  count: number;
  /** How many cells each filter alone lets through. */
  kept: Record<string, number>;
  /** For each column asked for: cells by bin (or category, then missing) among those that pass all filters of other columns. */
  counts: Record<string, Uint32Array>;
}

const NO_NUMBER = MISSING / 10;

type Bins = Uint8Array | Uint16Array | Uint32Array;

interface Column {
  values: Float32Array;
  categories: number | null;
  /** Which bin or category each place is in; the last is "missing". Made when it is first counted. */
  bins: Bins | null;
  entries: number;
  /** What was counted last. */
  counted: Counted | null;
}

interface Held {
  on: boolean;
  column: string | null;
  /** Null when it lets all through. */
  pass: Bits | null;
  kept: number;
}

function binsOf(values: Float32Array): Uint8Array {
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (value <= NO_NUMBER) continue;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const scale = max > min ? BINS / (max - min) : 0;
  const bins = new Uint8Array(values.length);
  for (let place = 0; place < values.length; place += 1) {
    const value = values[place] as number;
    bins[place] = value <= NO_NUMBER ? BINS : Math.min(BINS - 1, Math.floor((value - min) * scale));
  }
  return bins;
}

function binned(column: Column): Bins {
  if (column.bins === null) {
    const { values, categories } = column;
    if (categories === null) column.bins = binsOf(values);
    else if (categories < 256) column.bins = new Uint8Array(values);
    else if (categories < 65_536) column.bins = new Uint16Array(values);
    else column.bins = new Uint32Array(values);
  }
  return column.bins;
}

/** How many of a set are in each bin; of all when there is no set. */
export function countBins(bins: Bins, entries: number, set: Bits | null): Uint32Array {
  const counts = new Uint32Array(entries);
  if (set === null) {
    for (let place = 0; place < bins.length; place += 1) {
      const bin = bins[place] as number;
      counts[bin] = (counts[bin] as number) + 1;
    }
  } else for (let word = 0; word < set.length; word += 1) recount(counts, bins, word * 32, set[word] as number, 1);
  return counts;
}

/** Adds the members of one word of a set to their bins, or takes them away. */
function recount(counts: Uint32Array, bins: Bins, place: number, members: number, by: 1 | -1): void {
  for (let rest = members; rest !== 0; rest &= rest - 1) {
    const bin = bins[place + 31 - Math.clz32(rest & -rest)] as number;
    counts[bin] = (counts[bin] as number) + by;
  }
}

interface Counted {
  set: Bits | null;
  counts: Uint32Array;
}

/** The same for another set, from what was counted last: while a handle is dragged few cells come or go. */
function countAnew(bins: Bins, entries: number, set: Bits | null, last: Counted | null): Uint32Array {
  if (last === null || last.set === null || set === null) {
    return last !== null && last.set === set ? last.counts : countBins(bins, entries, set);
  }
  const counts = last.counts.slice();
  for (let word = 0; word < set.length; word += 1) {
    const [before, after] = [last.set[word] as number, set[word] as number];
    if (before === after) continue;
    recount(counts, bins, word * 32, before & ~after, -1);
    recount(counts, bins, word * 32, after & ~before, 1);
  }
  return counts;
}

/** The places of the numbers from low to high, and of missing ones. */
function numbersKept(values: Float32Array, low: number, high: number, missing: boolean): Bits {
  const n = values.length;
  const bits = bitsFor(n);
  const some = missing ? 1 : 0;
  for (let word = 0, place = 0; place < n; word += 1) {
    let own = 0;
    for (let bit = 0; bit < 32 && place < n; bit += 1, place += 1) {
      const value = values[place] as number;
      own |= (value <= NO_NUMBER ? some : value >= low && value <= high ? 1 : 0) << bit;
    }
    bits[word] = own;
  }
  return bits;
}

function categoriesKept(bins: Bins, hidden: Uint8Array): Bits {
  const n = bins.length;
  const bits = bitsFor(n);
  for (let word = 0, place = 0; place < n; word += 1) {
    let own = 0;
    for (let bit = 0; bit < 32 && place < n; bit += 1, place += 1) {
      own |= (hidden[bins[place] as number] ? 0 : 1) << bit;
    }
    bits[word] = own;
  }
  return bits;
}

export class Crossfilter {
  private readonly columns = new Map<string, Column>();
  private sieves = new Map<string, Held>();
  /** What `sift` found last. */
  passing: Bits | null = null;

  /** A column to filter and count by, in drawing order, as `layOutCodes` and `layOutValues` give it. */
  add(key: string, values: Float32Array, categories: number | null): void {
    this.columns.set(key, { values, categories, bins: null, entries: (categories ?? BINS) + 1, counted: null });
  }

  /** A column's values in drawing order; null when it is not held. */
  column(key: string): { values: Float32Array; categories: number | null } | null {
    return this.columns.get(key) ?? null;
  }

  drop(keys: string[]): void {
    for (const key of keys) this.columns.delete(key);
  }

  clear(): void {
    this.columns.clear();
    this.sieves.clear();
    this.passing = null;
  }

  /** Filters the n cells anew; only rules that are told are worked out again. */
  sift(sieves: Sieve[], watched: string[], n: number): Sifted {
    const now = new Map<string, Held>();
    for (const { id, on, rule } of sieves) {
      const before = this.sieves.get(id);
      if (rule !== null) now.set(id, { ...this.hold(rule, n), on });
      else if (before) now.set(id, { ...before, on });
      else throw new Error(`The filter ${id} is not known`);
    }
    this.sieves = now;
    const passing = this.meet(null, n);
    const counts: Sifted["counts"] = {};
    for (const key of watched) {
      const column = this.columns.get(key);
      if (!column) continue;
      const own = [...now.values()].some((held) => held.on && held.column === key && held.pass !== null);
      const set = own ? this.meet(key, n) : passing;
      counts[key] = countAnew(binned(column), column.entries, set, column.counted);
      column.counted = { set, counts: counts[key] };
    }
    const kept = Object.fromEntries([...now].map(([id, held]) => [id, held.kept]));
    this.passing = passing;
    // A copy, since the answer's buffer is given away.
    return { passing: passing?.slice() ?? null, count: passing === null ? n : size(passing), kept, counts };
  }

  private hold(rule: Rule, n: number): Omit<Held, "on"> {
    const pass = this.passOf(rule, n);
    return { column: rule.kind === "cells" ? null : rule.column, pass, kept: pass === null ? n : size(pass) };
  }

  private passOf(rule: Rule, n: number): Bits | null {
    if (rule.kind === "cells") {
      const places = toPlaces(rule.cells, n);
      return rule.inside ? places : complement(places, n);
    }
    const column = this.columns.get(rule.column);
    if (!column) throw new Error(`The values of ${rule.column} are not known`);
    if (rule.kind === "category") return rule.hidden.some(Boolean) ? categoriesKept(binned(column), rule.hidden) : null;
    const { min, max, missing } = rule;
    if (min === null && max === null && missing) return null;
    const low = min === null ? Number.NEGATIVE_INFINITY : Math.fround(min);
    const high = max === null ? Number.POSITIVE_INFINITY : Math.fround(max);
    return numbersKept(column.values, low, high, missing);
  }

  /** The cells that pass every filter that is on, but for those of one column; null for all cells. */
  private meet(without: string | null, n: number): Bits | null {
    let all: Bits | null = null;
    for (const { on, column, pass } of this.sieves.values()) {
      if (!on || pass === null || (without !== null && column === without)) continue;
      if (all === null) all = pass.slice();
      else for (let word = 0; word < all.length; word += 1) all[word] = (all[word] as number) & (pass[word] as number);
    }
    return all !== null && size(all) === n ? null : all;
  }
}
