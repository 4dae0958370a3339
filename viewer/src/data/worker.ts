/** Everything that takes longer than a frame: runs off the main thread, on transferred buffers. */

import { nearest, type Pointer } from "./nearest";
import { cellAt } from "./order";
import { layOut, layOutCodes, layOutValues, type Summary, summarise } from "./points";

export type Task =
  | { kind: "points"; bytes: ArrayBuffer; n: number; dimensions: number }
  | { kind: "codes"; bytes: ArrayBuffer; n: number; dtype: "uint8" | "uint16" | "uint32"; categories: number }
  | { kind: "values"; bytes: ArrayBuffer; n: number }
  | { kind: "hide"; hidden: Uint8Array | null }
  | { kind: "nearest"; pointer: Pointer };

export interface Answers {
  points: { positions: Float32Array; nowhere: number };
  codes: { values: Float32Array };
  values: { values: Float32Array; summary: Summary };
  hide: null;
  nearest: { cell: number; position: [number, number, number] } | null;
}

/** What the points now look like, for finding the one under the pointer. */
let positions = new Float32Array(0);
let values: Float32Array | null = null;
let hidden: Uint8Array | null = null;

const CODE_ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };

function visible(place: number): boolean {
  return hidden === null || values === null || !hidden[values[place] as number];
}

function answer(task: Task): [Answers[keyof Answers], Transferable[]] {
  switch (task.kind) {
    case "points": {
      const laid = layOut(new Float32Array(task.bytes), task.n, task.dimensions);
      positions = laid.positions.slice();
      return [laid, [laid.positions.buffer]];
    }
    case "codes": {
      const laid = layOutCodes(new CODE_ARRAYS[task.dtype](task.bytes), task.n, task.categories);
      values = laid.slice();
      hidden = null;
      return [{ values: laid }, [laid.buffer]];
    }
    case "values": {
      const raw = new Float32Array(task.bytes);
      const laid = layOutValues(raw, task.n);
      values = null;
      hidden = null;
      return [{ values: laid, summary: summarise(raw) }, [laid.buffer]];
    }
    case "hide":
      hidden = task.hidden;
      return [null, []];
    case "nearest": {
      const place = nearest(positions, task.pointer, visible);
      if (place < 0) return [null, []];
      const at = (k: number) => positions[place * 3 + k] as number;
      return [{ cell: cellAt(place, positions.length / 3), position: [at(0), at(1), at(2)] }, []];
    }
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
