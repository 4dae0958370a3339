/**
 * An order in which rows that are alike stand together.
 *
 * Hierarchical clustering with average linkage over Euclidean distances, by the nearest-neighbour chain (Murtagh, "A survey
 * of recent advances in hierarchical clustering algorithms", Computer Journal 26, 1983): O(n²) time and memory. Each join
 * is turned so that the two rows that meet are the nearest possible of the four ends.
 */

/** Rows beyond this would take too much memory for their distances: 2,000² × 4 bytes = 16 MB. */
export const MOST_ROWS = 2000;

/** Missing numbers count as the middle of their column: they neither part nor join. */
function filled(rows: readonly (readonly (number | null)[])[]): Float64Array[] {
  const width = rows[0]?.length ?? 0;
  const middles = Array.from({ length: width }, (_, k) => {
    const known = rows.map((row) => row[k]).filter((v): v is number => Number.isFinite(v));
    return known.reduce((a, b) => a + b, 0) / Math.max(1, known.length);
  });
  return rows.map((row) =>
    Float64Array.from(middles, (middle, k) => (Number.isFinite(row[k]) ? Number(row[k]) : middle)),
  );
}

function distance(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k += 1) {
    const step = (a[k] as number) - (b[k] as number);
    sum += step * step;
  }
  return Math.sqrt(sum);
}

function distances(rows: Float64Array[]): Float32Array {
  const n = rows.length;
  const all = new Float32Array(n * n);
  for (let i = 0; i < n; i += 1) {
    for (let j = 0; j < i; j += 1) {
      const d = distance(rows[i] as Float64Array, rows[j] as Float64Array);
      all[i * n + j] = d;
      all[j * n + i] = d;
    }
  }
  return all;
}

/** The two leaves that meet where `a` and `b` are joined are made the nearest pair of their ends. */
function joined(a: number[], b: number[], far: (i: number, j: number) => number): number[] {
  const end = (list: number[]) => list[list.length - 1] as number;
  const [a0, a1, b0, b1] = [a[0] as number, end(a), b[0] as number, end(b)];
  const ways: [number, () => number[]][] = [
    [far(a1, b0), () => a.concat(b)],
    [far(a1, b1), () => a.concat(b.toReversed())],
    [far(a0, b0), () => a.toReversed().concat(b)],
    [far(a0, b1), () => b.concat(a)],
  ];
  return ways.reduce((best, way) => (way[0] < best[0] ? way : best))[1]();
}

interface Forest {
  n: number;
  /** Distances of groups, by the number of their first row; rows of groups that were joined are no longer read. */
  between: Float32Array;
  leaves: (number[] | null)[];
}

function nearestOf(forest: Forest, i: number, before: number): number {
  const { n, between, leaves } = forest;
  // The one before wins ties, or the chain could turn in a circle.
  let best = before;
  for (let j = 0; j < n; j += 1) {
    if (j === i || leaves[j] === null) continue;
    if (best < 0 || (between[i * n + j] as number) < (between[i * n + best] as number)) best = j;
  }
  return best;
}

function join(forest: Forest, i: number, j: number, far: (i: number, j: number) => number): void {
  const { n, between, leaves } = forest;
  const [a, b] = [leaves[i] as number[], leaves[j] as number[]];
  for (let k = 0; k < n; k += 1) {
    if (k === i || k === j || leaves[k] === null) continue;
    const mean =
      ((between[i * n + k] as number) * a.length + (between[j * n + k] as number) * b.length) / (a.length + b.length);
    between[i * n + k] = mean;
    between[k * n + i] = mean;
  }
  leaves[i] = joined(a, b, far);
  leaves[j] = null;
}

/** The numbers of the rows in their new order. */
export function orderOf(values: readonly (readonly (number | null)[])[]): number[] {
  const n = values.length;
  if (n < 3 || n > MOST_ROWS) return Array.from({ length: n }, (_, i) => i);
  const pairs = distances(filled(values));
  const far = (i: number, j: number) => pairs[i * n + j] as number;
  const forest: Forest = { n, between: pairs.slice(), leaves: Array.from({ length: n }, (_, i) => [i]) };
  const chain: number[] = [];
  for (let left = n; left > 1; ) {
    if (chain.length === 0) chain.push(forest.leaves.findIndex((one) => one !== null));
    const last = chain[chain.length - 1] as number;
    const before = chain[chain.length - 2] ?? -1;
    const next = nearestOf(forest, last, before);
    if (next !== before) {
      chain.push(next);
      continue;
    }
    chain.length -= 2;
    join(forest, last, next, far);
    left -= 1;
  }
  return forest.leaves.find((one) => one !== null) ?? [];
}
