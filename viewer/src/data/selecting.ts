/** The selection: one set of cells for every view of them, and what it is made of. Runs in the worker. */

import { type Bits, bitsFor, drop, has, intersection, put, size } from "./bits";
import { eachInside, type Outline } from "./inside";
import { placeOf } from "./order";
import { MISSING } from "./points";
import { toCells, toPlaces } from "./sets";

/** `meet` leaves what is in both. */
export type Mode = "replace" | "add" | "remove" | "toggle" | "meet";

export type By =
  | { kind: "outline"; outline: Outline }
  | { kind: "cells"; cells: number[] }
  /** A set of cells, of those that are shown. */
  | { kind: "set"; cells: Bits }
  /** Every cell that the legend shows. */
  | { kind: "shown" }
  | { kind: "others" };

export interface Selection {
  /** By the cell's number. */
  cells: Bits;
  /** By the place at which the cell is drawn. */
  places: Bits;
  count: number;
}

export type Makeup =
  | { kind: "category"; key: string; counts: Uint32Array }
  | { kind: "continuous"; key: string; mean: number; min: number; max: number; missing: number };

/** The places after an act; null when nothing is left. */
export function selected(
  before: Bits | null,
  by: By,
  mode: Mode,
  n: number,
  positions: Float32Array,
  visible: (place: number) => boolean,
): Bits | null {
  if (mode === "meet") {
    const other = selected(null, by, "replace", n, positions, visible);
    const both = before !== null && other !== null ? intersection(before, other) : null;
    return both !== null && size(both) > 0 ? both : null;
  }
  const fresh = mode === "replace" || before === null;
  const places = fresh ? bitsFor(n) : before.slice();
  const act = (place: number) => {
    if (mode === "remove" || (mode === "toggle" && has(places, place))) drop(places, place);
    else put(places, place);
  };
  if (by.kind === "cells") {
    for (const cell of by.cells) if (Number.isInteger(cell) && cell >= 0 && cell < n) act(placeOf(cell, n));
  } else if (by.kind === "set") {
    const set = toPlaces(by.cells, n);
    for (let place = 0; place < n; place += 1) if (has(set, place) && (mode === "remove" || visible(place))) act(place);
  } else if (by.kind === "outline") {
    eachInside(positions, by.outline, (place) => {
      if (visible(place)) act(place);
    });
  } else {
    for (let place = 0; place < n; place += 1) {
      if (visible(place) && (by.kind === "shown" || before === null || !has(before, place))) put(places, place);
      else if (by.kind === "others") drop(places, place);
    }
  }
  return size(places) > 0 ? places : null;
}

/** The same set by cells. */
export function selectionOf(places: Bits, n: number): Selection {
  return { cells: toCells(places, n), places, count: size(places) };
}

/** How many of a selection are in each category; the last number is that of missing ones. */
export function countsIn(places: Bits, codes: Float32Array, categories: number): Uint32Array {
  const counts = new Uint32Array(categories + 1);
  for (let place = 0; place < codes.length; place += 1) {
    if (!has(places, place)) continue;
    const code = Math.min(categories, codes[place] as number);
    counts[code] = (counts[code] as number) + 1;
  }
  return counts;
}

export function meanOf(places: Bits, values: Float32Array) {
  let [sum, known, missing, min, max] = [0, 0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let place = 0; place < values.length; place += 1) {
    if (!has(places, place)) continue;
    const value = values[place] as number;
    if (value <= MISSING / 10) {
      missing += 1;
      continue;
    }
    sum += value;
    known += 1;
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return { mean: sum / known, min, max, missing };
}
