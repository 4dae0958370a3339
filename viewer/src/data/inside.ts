/** Which points lie inside an outline drawn on the screen. A scan in screen space, as for the point under the pointer. */

import { FAR } from "./points";

export interface Outline {
  /** Column-major 4 × 4: from coordinates to pixels, y down. */
  matrix: number[];
  /** x, y of each corner, in pixels; closed by itself. */
  corners: Float32Array;
}

/** Even–odd: what lies between two loops of one stroke is outside, as in drawing programs. */
export function contains(corners: Float32Array, x: number, y: number): boolean {
  let inside = false;
  const n = corners.length;
  for (let i = 0, j = n - 2; i < n; j = i, i += 2) {
    const [xi, yi] = [corners[i] as number, corners[i + 1] as number];
    const [xj, yj] = [corners[j] as number, corners[j + 1] as number];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

function boundsOf(corners: Float32Array): [number, number, number, number] {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < corners.length; i += 2) {
    const [x, y] = [corners[i] as number, corners[i + 1] as number];
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  return [left, top, right, bottom];
}

/** Calls `found` with the place of every point inside. */
export function eachInside(
  positions: Float32Array,
  { matrix, corners }: Outline,
  found: (place: number) => void,
): void {
  if (corners.length < 6) return;
  const [left, top, right, bottom] = boundsOf(corners);
  const m = (i: number) => matrix[i] ?? 0;
  const [m0, m1, m3, m4, m5, m7, m8, m9, m11] = [m(0), m(1), m(3), m(4), m(5), m(7), m(8), m(9), m(11)];
  const [m12, m13, m15] = [m(12), m(13), m(15)];
  for (let place = 0, at = 0; at < positions.length; place += 1, at += 3) {
    const x = positions[at] as number;
    if (x > FAR) continue;
    const y = positions[at + 1] as number;
    const z = positions[at + 2] as number;
    const w = m3 * x + m7 * y + m11 * z + m15;
    if (w <= 0) continue;
    const px = (m0 * x + m4 * y + m8 * z + m12) / w;
    const py = (m1 * x + m5 * y + m9 * z + m13) / w;
    if (px < left || px > right || py < top || py > bottom) continue;
    if (contains(corners, px, py)) found(place);
  }
}
