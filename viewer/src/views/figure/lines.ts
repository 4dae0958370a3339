/** Lines of a view (edges, arrows) on paper: where they are in the frame, gathered by how faint they are. */

import type { Strokes } from "../scatter/overlays";

export interface Path {
  /** x, y of both ends of each line, in pixels of the frame. */
  ends: Float32Array;
  /** Null for the ink of the text. */
  color: string | null;
  opacity: number;
  width: number;
}

const LEVELS = 10;

export function pathsOf(strokes: Strokes, matrix: number[], scale: number): Path[] {
  const m = (i: number) => matrix[i] ?? 0;
  const { from, to, opacity } = strokes;
  const levels: number[][] = Array.from({ length: LEVELS }, () => []);
  const project = (at: Float32Array, i: number): [number, number] | null => {
    const [x, y, z] = [at[i * 3] ?? 0, at[i * 3 + 1] ?? 0, at[i * 3 + 2] ?? 0];
    const w = m(3) * x + m(7) * y + m(11) * z + m(15);
    if (w <= 0) return null;
    return [(m(0) * x + m(4) * y + m(8) * z + m(12)) / w, (m(1) * x + m(5) * y + m(9) * z + m(13)) / w];
  };
  for (let i = 0; i < strokes.length; i += 1) {
    const [a, b] = [project(from, i), project(to, i)];
    if (!a || !b) continue;
    const faint = typeof opacity === "number" ? opacity : (opacity[i] ?? 0);
    levels[Math.max(0, Math.ceil(faint * LEVELS) - 1)]?.push(...a, ...b);
  }
  return levels.flatMap((ends, level) =>
    ends.length === 0
      ? []
      : [
          {
            ends: Float32Array.from(ends),
            color: strokes.color,
            opacity: typeof opacity === "number" ? opacity : (level + 1) / LEVELS,
            width: strokes.width * scale,
          },
        ],
  );
}
