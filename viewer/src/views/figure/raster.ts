/**
 * Points on paper: which lie in the frame, where, and in what colour, in the order in which the screen draws them; and as
 * pixels, of any resolution and without a GPU.
 */

import { type Bits, has } from "../../data/bits";
import { type Codes, FAR, MISSING } from "../../data/points";

export interface Scene {
  /** (n, 3) in drawing order. */
  positions: Float32Array;
  values: Codes | null;
  /** RGBA of each entry of the table of colours; the last is "missing". */
  colors: Uint8Array;
  entries: number;
  range: readonly [number, number] | null;
  passing: Bits | null;
  selected: Bits | null;
  /** Groups whose colour goes over that of the values, by place. */
  marks: Uint8Array | null;
  /** RGBA of each mark, from 1. */
  markColors: Uint8Array;
  /** Column-major 4 × 4: from coordinates to pixels of the frame, y down. */
  matrix: number[];
  width: number;
  height: number;
  /** Diameter in pixels. */
  size: number;
  alpha: number;
  /** What is in front hides what is behind. */
  deep: boolean;
}

/** Points in the order in which they are drawn. */
export interface Dots {
  count: number;
  /** x, y of each, in pixels of the frame. */
  at: Float32Array;
  /** Red, green, blue, opacity (0 to 255) of each. */
  rgba: Uint8Array;
}

/** As in the shader of `scatter/layer.ts`. */
const FAINT_ALPHA = 0.22;
const FAINT_COLOR = 0.25;

function entryOf(scene: Scene, place: number): number {
  const { values, range, entries } = scene;
  if (values === null) return 0;
  const value = values[place] as number;
  if (range === null) return Math.min(value, entries);
  if (value <= MISSING / 10) return entries;
  const span = range[1] - range[0];
  const t = span > 0 ? Math.min(1, Math.max(0, (value - range[0]) / span)) : 0.5;
  return Math.floor(t * (entries - 1) + 0.5);
}

/** Every point that can be seen; what is outside the selection comes first, and faint. */
export function dotsOf(scene: Scene): Dots {
  const { positions, matrix, width, height, size, alpha, passing, selected, marks } = scene;
  const n = positions.length / 3;
  const m = (i: number) => matrix[i] ?? 0;
  const [m0, m1, m3, m4, m5, m7, m8, m9, m11] = [m(0), m(1), m(3), m(4), m(5), m(7), m(8), m(9), m(11)];
  const [m12, m13, m15] = [m(12), m(13), m(15)];
  const room = size / 2;
  const at = new Float32Array(n * 2);
  const rgba = new Uint8Array(n * 4);
  const depth = scene.deep ? new Float32Array(n) : null;
  let count = 0;
  const pass = (inside: boolean | null) => {
    for (let place = 0, i = 0; place < n; place += 1, i += 3) {
      const x = positions[i] as number;
      if (x > FAR || (passing !== null && !has(passing, place))) continue;
      if (inside !== null && selected !== null && has(selected, place) !== inside) continue;
      const [y, z] = [positions[i + 1] as number, positions[i + 2] as number];
      const w = m3 * x + m7 * y + m11 * z + m15;
      if (w <= 0) continue;
      const px = (m0 * x + m4 * y + m8 * z + m12) / w;
      const py = (m1 * x + m5 * y + m9 * z + m13) / w;
      if (px < -room || py < -room || px > width + room || py > height + room) continue;
      const mark = marks?.[place] ?? 0;
      const from = mark > 0 ? scene.markColors : scene.colors;
      const entry = (mark > 0 ? mark : entryOf(scene, place)) * 4;
      let [r, g, b, a] = [from[entry], from[entry + 1], from[entry + 2], from[entry + 3]] as [
        number,
        number,
        number,
        number,
      ];
      if (!a) continue;
      a *= alpha;
      if (inside === false) {
        const grey = 0.3 * r + 0.59 * g + 0.11 * b;
        [r, g, b] = [r, g, b].map((c) => grey + (c - grey) * FAINT_COLOR) as [number, number, number];
        a *= FAINT_ALPHA;
      }
      at[count * 2] = px;
      at[count * 2 + 1] = py;
      rgba[count * 4] = Math.round(r);
      rgba[count * 4 + 1] = Math.round(g);
      rgba[count * 4 + 2] = Math.round(b);
      rgba[count * 4 + 3] = Math.round(a);
      if (depth) depth[count] = w;
      count += 1;
    }
  };
  if (selected === null) pass(null);
  else {
    pass(false);
    pass(true);
  }
  const dots = { count, at: at.slice(0, count * 2), rgba: rgba.slice(0, count * 4) };
  return depth ? farFirst(dots, depth.subarray(0, count)) : dots;
}

function farFirst({ count, at, rgba }: Dots, depth: Float32Array): Dots {
  const order = Uint32Array.from({ length: count }, (_, i) => i).sort((a, b) => (depth[b] ?? 0) - (depth[a] ?? 0));
  const sorted: Dots = { count, at: new Float32Array(count * 2), rgba: new Uint8Array(count * 4) };
  order.forEach((from, to) => {
    sorted.at.set(at.subarray(from * 2, from * 2 + 2), to * 2);
    sorted.rgba.set(rgba.subarray(from * 4, from * 4 + 4), to * 4);
  });
  return sorted;
}

/** Round dots with soft edges, one over the other, on nothing: RGBA, not premultiplied. */
export function rasterised(dots: Dots, width: number, height: number, size: number): Uint8ClampedArray<ArrayBuffer> {
  const out = new Uint8ClampedArray(width * height * 4);
  const radius = Math.max(0.5, size / 2);
  for (let i = 0; i < dots.count; i += 1) {
    const [x, y] = [dots.at[i * 2] as number, dots.at[i * 2 + 1] as number];
    const [left, right] = [Math.max(0, Math.floor(x - radius)), Math.min(width - 1, Math.ceil(x + radius))];
    const [top, bottom] = [Math.max(0, Math.floor(y - radius)), Math.min(height - 1, Math.ceil(y + radius))];
    const opacity = (dots.rgba[i * 4 + 3] as number) / 255;
    for (let py = top; py <= bottom; py += 1) {
      for (let px = left; px <= right; px += 1) {
        const [dx, dy] = [px + 0.5 - x, py + 0.5 - y];
        const cover = Math.min(1, radius + 0.5 - Math.sqrt(dx * dx + dy * dy)) * opacity;
        if (cover > 0) blend(out, (py * width + px) * 4, dots.rgba, i * 4, cover);
      }
    }
  }
  return out;
}

function blend(out: Uint8ClampedArray, at: number, from: Uint8Array, i: number, cover: number): void {
  const under = ((out[at + 3] as number) / 255) * (1 - cover);
  const all = cover + under;
  for (let k = 0; k < 3; k += 1) {
    out[at + k] = ((from[i + k] as number) * cover + (out[at + k] as number) * under) / all;
  }
  out[at + 3] = all * 255;
}
