/** Everything that takes longer than a frame: runs off the main thread, on transferred buffers. */

import { type Bits, has } from "./bits";
import { Crossfilter, type Sieve, type Sifted } from "./crossfilter";
import { nearest, type Pointer } from "./nearest";
import { cellAt } from "./order";
import {
  layOut,
  layOutCodes,
  layOutPart,
  layOutValues,
  type Matrix,
  markMissing,
  nowhereYet,
  onPicture,
  type Summary,
  summarise,
} from "./points";
import { type By, countsIn, type Makeup, type Mode, meanOf, type Selection, selected, selectionOf } from "./selecting";
import { marksOf } from "./sets";

/** Where points lie, by name: `tissue`, or one layout of an embedding; views that lay the cells out alike share it. */
export type Ground = string;

export type Task =
  | { kind: "points"; bytes: ArrayBuffer; n: number; dimensions: number; ground: Ground }
  /** Coordinates in drawing order, of the places from `from`; a ground begins with those from 0. */
  | { kind: "arrived"; bytes: ArrayBuffer; n: number; dimensions: number; ground: Ground; from: number }
  /** No view lays the cells out so any more. */
  | { kind: "leave"; ground: Ground }
  | { kind: "tissue"; bytes: ArrayBuffer; n: number; matrix: Matrix }
  | {
      kind: "codes";
      bytes: ArrayBuffer;
      n: number;
      dtype: "uint8" | "uint16" | "uint32";
      categories: number;
      key: string;
      column: string;
    }
  | { kind: "values"; bytes: ArrayBuffer; n: number; key: string; column: string }
  /** A column to filter by; nothing is coloured by it. `categories`: null for float32 numbers. */
  | {
      kind: "column";
      bytes: ArrayBuffer;
      n: number;
      dtype: "uint8" | "uint16" | "uint32" | "float32";
      categories: number | null;
      column: string;
      /** The bytes are in drawing order already. */
      drawn?: boolean;
    }
  | { kind: "drop"; columns: string[] }
  | { kind: "sift"; sieves: Sieve[]; watched: string[]; n: number }
  /** Sets of cells to draw in colours of their own. */
  | { kind: "marks"; sets: Bits[]; n: number }
  /** Another data set. */
  | { kind: "forget" }
  | { kind: "nearest"; pointer: Pointer; ground: Ground }
  | { kind: "select"; by: By; mode: Mode; ground: Ground }
  | { kind: "unselect" }
  /** The selection as it was: places of a `Selection`. */
  | { kind: "choose"; places: Bits | null }
  | { kind: "makeup"; key: string; column: string };

export interface Answers {
  points: { positions: Float32Array; nowhere: number };
  arrived: { positions: Float32Array; nowhere: number };
  leave: null;
  tissue: { positions: Float32Array; nowhere: number };
  codes: { values: Float32Array };
  values: { values: Float32Array; summary: Summary };
  column: { summary: Summary | null };
  drop: null;
  sift: Sifted;
  marks: Uint8Array<ArrayBuffer>;
  forget: null;
  nearest: { cell: number; position: [number, number, number] } | null;
  select: Selection | null;
  unselect: null;
  choose: null;
  makeup: Makeup | null;
}

/** What the points now look like, for finding the one under the pointer. */
const positions = new Map<Ground, Float32Array>();
let chosen: Bits | null = null;
const filters = new Crossfilter();

const CODE_ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, float32: Float32Array };

function visible(place: number): boolean {
  return filters.passing === null || has(filters.passing, place);
}

function positionsOn(ground: Ground): Float32Array {
  return positions.get(ground) ?? new Float32Array(0);
}

function makeup(key: string, name: string): Makeup | null {
  const column = filters.column(name);
  if (chosen === null || column === null) return null;
  const { values, categories } = column;
  return categories === null
    ? { kind: "continuous", key, ...meanOf(chosen, values) }
    : { kind: "category", key, counts: countsIn(chosen, values, categories) };
}

function answer(task: Task): [Answers[keyof Answers], Transferable[]] {
  switch (task.kind) {
    case "points":
    case "tissue": {
      const raw = new Float32Array(task.bytes);
      const laid =
        task.kind === "points" ? layOut(raw, task.n, task.dimensions) : layOut(onPicture(raw, task.matrix), task.n, 2);
      positions.set(task.kind === "points" ? task.ground : "tissue", laid.positions.slice());
      return [laid, [laid.positions.buffer]];
    }
    case "arrived": {
      const { ground, from, n, dimensions } = task;
      const laid = layOutPart(new Float32Array(task.bytes), n, dimensions, from);
      if (from === 0) positions.set(ground, nowhereYet(n));
      positions.get(ground)?.set(laid.positions, from * 3);
      return [laid, [laid.positions.buffer]];
    }
    case "leave":
      positions.delete(task.ground);
      return [null, []];
    case "codes": {
      const laid = layOutCodes(new CODE_ARRAYS[task.dtype](task.bytes), task.n, task.categories);
      filters.add(task.column, laid.slice(), task.categories);
      return [{ values: laid }, [laid.buffer]];
    }
    case "values": {
      const raw = new Float32Array(task.bytes);
      const laid = layOutValues(raw, task.n);
      filters.add(task.column, laid.slice(), null);
      return [{ values: laid, summary: summarise(raw) }, [laid.buffer]];
    }
    case "column": {
      const raw = new CODE_ARRAYS[task.dtype](task.bytes);
      const { categories, column, n } = task;
      if (categories !== null) {
        const laid = task.drawn ? Float32Array.from(raw, (code) => Math.min(code, categories)) : null;
        filters.add(column, laid ?? layOutCodes(raw, n, categories), categories);
      } else {
        const numbers = raw as Float32Array;
        filters.add(column, task.drawn ? markMissing(numbers) : layOutValues(numbers, n), null);
      }
      return [{ summary: categories === null ? summarise(raw as Float32Array) : null }, []];
    }
    case "drop":
      filters.drop(task.columns);
      return [null, []];
    case "sift": {
      const sifted = filters.sift(task.sieves, task.watched, task.n);
      return [sifted, sifted.passing ? [sifted.passing.buffer] : []];
    }
    case "marks": {
      const codes = marksOf(task.sets, task.n);
      return [codes, [codes.buffer]];
    }
    case "forget":
      filters.clear();
      positions.clear();
      chosen = null;
      return [null, []];
    case "nearest": {
      const there = positionsOn(task.ground);
      const place = nearest(there, task.pointer, visible);
      if (place < 0) return [null, []];
      const at = (k: number) => there[place * 3 + k] as number;
      return [{ cell: cellAt(place, there.length / 3), position: [at(0), at(1), at(2)] }, []];
    }
    case "select": {
      const there = positionsOn(task.ground);
      const n = there.length / 3;
      chosen = selected(chosen, task.by, task.mode, n, there, visible);
      return [chosen && selectionOf(chosen.slice(), n), []];
    }
    case "unselect":
      chosen = null;
      return [null, []];
    case "choose":
      chosen = task.places;
      return [null, []];
    case "makeup":
      return [makeup(task.key, task.column), []];
  }
}

addEventListener("message", (event: MessageEvent<{ id: number; task: Task }>) => {
  const { id, task } = event.data;
  try {
    const [result, transfer] = answer(task);
    postMessage({ id, result }, { transfer });
  } catch (error) {
    postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
