/** Which point is under the pointer. A scan in screen space: exact, right in 2D and 3D, and some ms for a million points. */

import { FAR } from "./points";

export interface Pointer {
  /** Column-major 4 × 4: from coordinates to pixels, y down. */
  matrix: number[];
  x: number;
  y: number;
  radius: number;
}

/** The place of the nearest visible point within the radius, or -1; of several, the one in front. */
export function nearest(positions: Float32Array, pointer: Pointer, visible: (place: number) => boolean): number {
  const m = pointer.matrix;
  const [m0, m1, m3, m4, m5, m7, m8, m9, m11, m12, m13, m15] = [0, 1, 3, 4, 5, 7, 8, 9, 11, 12, 13, 15].map(
    (i) => m[i] ?? 0,
  ) as [number, number, number, number, number, number, number, number, number, number, number, number];
  const limit = pointer.radius * pointer.radius;
  let best = -1;
  let bestDistance = limit;
  let bestDepth = Number.POSITIVE_INFINITY;
  for (let place = 0, at = 0; at < positions.length; place += 1, at += 3) {
    const x = positions[at] as number;
    if (x > FAR) continue;
    const y = positions[at + 1] as number;
    const z = positions[at + 2] as number;
    const w = m3 * x + m7 * y + m11 * z + m15;
    if (w <= 0) continue;
    const dx = (m0 * x + m4 * y + m8 * z + m12) / w - pointer.x;
    const dy = (m1 * x + m5 * y + m9 * z + m13) / w - pointer.y;
    const distance = dx * dx + dy * dy;
    // Within two pixels of the best, what lies in front wins.
    const closer = distance < bestDistance - 4 || (distance <= bestDistance + 4 && distance <= limit && w < bestDepth);
    if ((best < 0 ? distance <= limit : closer) && visible(place)) {
      best = place;
      bestDistance = distance;
      bestDepth = w;
    }
  }
  return best;
}

/** Where a point is on the screen; null when it is nowhere, or behind the eye. */
export function toPixel(matrix: number[], positions: Float32Array, place: number): [number, number] | null {
  const m = (i: number) => matrix[i] ?? 0;
  const [x, y, z] = [0, 1, 2].map((k) => positions[place * 3 + k] ?? 0) as [number, number, number];
  const w = m(3) * x + m(7) * y + m(11) * z + m(15);
  if (x > FAR || w <= 0) return null;
  return [(m(0) * x + m(4) * y + m(8) * z + m(12)) / w, (m(1) * x + m(5) * y + m(9) * z + m(13)) / w];
}
