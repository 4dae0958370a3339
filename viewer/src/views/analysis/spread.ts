/** How the values of a group are spread, from counts in bins. */

export interface Spread {
  n: number;
  min: number;
  q25: number;
  median: number;
  q75: number;
  max: number;
  mean: number;
  /** Ends of the whisker: the furthest value within 1.5 times the box, or the range where that is not known. */
  low: number;
  high: number;
  /** Ends of the bins, one more than there are counts. */
  edges: number[];
  counts: number[];
}

/** Weights of a small Gaussian: bins are fine, and the eye wants a curve. */
const KERNEL = [0.06, 0.24, 0.4, 0.24, 0.06];

function smoothed(counts: number[]): number[] {
  const reach = (KERNEL.length - 1) / 2;
  return counts.map((_, i) => KERNEL.reduce((sum, weight, k) => sum + weight * (counts[i + k - reach] ?? 0), 0));
}

/** Values and half widths from 0 to 1, closed at the least and the greatest value. */
export function outlineOf({ n, min, max, edges, counts }: Spread): [number, number][] {
  if (n === 0) return [];
  if (!(max > min))
    return [
      [min, 1],
      [max, 1],
    ];
  const density = smoothed(counts).map(
    (sum, i) => sum / Math.max(1e-12, (edges[i + 1] as number) - (edges[i] as number)),
  );
  const most = Math.max(...density, 1e-12);
  const inside: [number, number][] = [];
  density.forEach((one, i) => {
    const middle = ((edges[i] as number) + (edges[i + 1] as number)) / 2;
    if (middle > min && middle < max) inside.push([middle, one / most]);
  });
  const first = inside[0]?.[1] ?? 1;
  const last = inside.at(-1)?.[1] ?? 1;
  return [[min, first], ...inside, [max, last]];
}
