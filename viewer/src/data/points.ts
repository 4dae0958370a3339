/** Coordinates and values made ready for the GPU. Runs in the worker. */

import { cellAt, permute, stepOf } from "./order";

/** Coordinates of cells that have none; the shader leaves out what lies beyond `FAR`. */
export const NOWHERE = 1e30;
export const FAR = 1e29;
/** Value of cells whose number is missing (NaN does not survive every GPU). */
export const MISSING = -3.0e38;

/** A number in (-1, 1) that depends on the cell only, to spread a one-dimensional embedding. */
export function jitter(cell: number): number {
  let h = Math.imul(cell + 1, 0x9e3779b1);
  h ^= h >>> 15;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  return ((h >>> 0) / 0xffffffff) * 2 - 1;
}

export interface Geometry {
  /** x, y, z for each place. */
  positions: Float32Array;
  /** Cells without coordinates. */
  nowhere: number;
}

/** Writes one cell's coordinates to a place; whether it has any. */
function lay(
  from: Float32Array,
  at: number,
  dimensions: number,
  cell: number,
  to: Float32Array,
  place: number,
): boolean {
  let finite = true;
  for (let k = 0; k < dimensions; k += 1) {
    const value = from[at + k] as number;
    to[place * 3 + k] = value;
    finite &&= Number.isFinite(value);
  }
  if (dimensions === 1) to[place * 3 + 1] = jitter(cell) * 0.15;
  if (!finite) to.fill(NOWHERE, place * 3, place * 3 + 3);
  return finite;
}

/** `coordinates` is (n, dimensions) in the file's order; the result is (n, 3) in drawing order. */
export function layOut(coordinates: Float32Array, n: number, dimensions: number): Geometry {
  const positions = new Float32Array(n * 3);
  const step = stepOf(n);
  let nowhere = 0;
  for (let place = 0, cell = 0; place < n; place += 1) {
    if (!lay(coordinates, cell * dimensions, dimensions, cell, positions, place)) nowhere += 1;
    cell += step;
    if (cell >= n) cell -= n;
  }
  return { positions, nowhere };
}

/** `coordinates` are those of the places from `from`, in drawing order; the result is (how many, 3). */
export function layOutPart(coordinates: Float32Array, n: number, dimensions: number, from: number): Geometry {
  const many = Math.floor(coordinates.length / dimensions);
  const positions = new Float32Array(many * 3);
  let nowhere = 0;
  for (let i = 0; i < many; i += 1) {
    if (!lay(coordinates, i * dimensions, dimensions, cellAt(from + i, n), positions, i)) nowhere += 1;
  }
  return { positions, nowhere };
}

/** Places to which nothing has come yet. */
export function nowhereYet(n: number): Float32Array<ArrayBuffer> {
  return new Float32Array(n * 3).fill(NOWHERE);
}

/** Codes in drawing order: narrow ones as they come from the server, where what is beyond the last category is missing. */
export type Codes = Float32Array | Uint8Array | Uint16Array;

/** Codes in drawing order; missing ones become `categories`, the entry after the last category. */
export function layOutCodes(codes: ArrayLike<number>, n: number, categories: number): Float32Array {
  const out = permute(codes, n, 1, new Float32Array(n));
  for (let i = 0; i < n; i += 1) if ((out[i] as number) >= categories) out[i] = categories;
  return out;
}

export interface Summary {
  min: number;
  max: number;
  missing: number;
  /** Counts in equal bins between min and max. */
  bins: Uint32Array;
}

export const BINS = 64;

/** Whether it is a finite number, and does not stand for a missing one. */
function isThere(value: number): boolean {
  return value > MISSING / 10 && value < Number.POSITIVE_INFINITY;
}

/** Range and histogram of the values that are there; min > max when there are none. */
export function summarise(values: Float32Array): Summary {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let missing = 0;
  for (const v of values) {
    if (!isThere(v)) missing += 1;
    else {
      if (v < min) min = v;
      if (v > max) max = v;
    }
  }
  const bins = new Uint32Array(BINS);
  const scale = max > min ? BINS / (max - min) : 0;
  for (const v of values) {
    if (isThere(v)) {
      const bin = Math.min(BINS - 1, Math.floor((v - min) * scale));
      bins[bin] = (bins[bin] as number) + 1;
    }
  }
  return { min, max, missing, bins };
}

export function layOutValues(values: Float32Array, n: number): Float32Array {
  return markMissing(permute(values, n, 1, new Float32Array(n)));
}

/** What is no finite number becomes `MISSING`, in place. */
export function markMissing(values: Float32Array): Float32Array {
  for (let i = 0; i < values.length; i += 1) if (!Number.isFinite(values[i])) values[i] = MISSING;
  return values;
}

/** `a b c d e f`: column = a·x + b·y + c, row = d·x + e·y + f. */
export type Matrix = readonly [number, number, number, number, number, number];

/** Coordinates (n, 2) as pixels of a picture, in place. */
export function onPicture(coordinates: Float32Array, [a, b, c, d, e, f]: Matrix): Float32Array {
  for (let i = 0; i + 1 < coordinates.length; i += 2) {
    const [x, y] = [coordinates[i] as number, coordinates[i + 1] as number];
    coordinates[i] = a * x + b * y + c;
    coordinates[i + 1] = d * x + e * y + f;
  }
  return coordinates;
}
