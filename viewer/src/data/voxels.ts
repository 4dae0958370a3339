/** Volumes made ready for the GPU: half floats in [0, 1], which every WebGL 2 can interpolate. */

import { type Native, nativeView, toGpu } from "./pixels";

/** Bits of the nearest IEEE 754 binary16; for numbers in [0, 1]. */
export function toHalf(value: number): number {
  if (!(value > 0)) return 0;
  if (value >= 1) return 0x3c00;
  if (value < 2 ** -14) return Math.round(value * 2 ** 24);
  const exponent = Math.floor(Math.log2(value));
  return ((exponent + 15) << 10) + Math.round((value / 2 ** exponent - 1) * 1024);
}

export interface Voxels {
  halves: Uint16Array;
  /** What 0 and 1 stand for. */
  low: number;
  high: number;
}

const TABLE = 65_536;

function rangeOf(values: ArrayLike<number>): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i += 1) {
    const v = values[i] as number;
    if (v < low && v > Number.NEGATIVE_INFINITY) low = v;
    if (v > high && v < Number.POSITIVE_INFINITY) high = v;
  }
  return high >= low ? [low, high] : [0, 1];
}

/** Scaled to the range of what is there. Values are looked up in a table, because a logarithm each takes seconds. */
export function toVoxels(bytes: ArrayBuffer, dtype: string): Voxels {
  const native: Native = nativeView(bytes, dtype);
  const values = toGpu(native, dtype);
  const [low, high] = rangeOf(values);
  const scale = high > low ? (TABLE - 1) / (high - low) : 0;
  const table = Uint16Array.from({ length: TABLE }, (_, i) => toHalf(i / (TABLE - 1)));
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i += 1) {
    const place = ((values[i] as number) - low) * scale;
    halves[i] = place > 0 ? (table[Math.min(TABLE - 1, Math.round(place))] as number) : 0;
  }
  return { halves, low, high };
}
