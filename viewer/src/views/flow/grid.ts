/** A vector field of cells as means on a grid: what arrows show, and what particles drift in. */

import { type Bits, has } from "../../data/bits";
import { FAR } from "../../data/points";

/** Nodes along each side of [-1, 1]. */
export const NODES = 41;

export interface Grid {
  nodes: number;
  /** x, y of the mean at each node, row by row; 0 where there are too few cells. */
  means: Float32Array;
  /** Whether a node has enough cells to tell. */
  known: Uint8Array;
  /** 95th percentile of the lengths of the means. */
  strong: number;
}

/** Share of the mean mass of a node that has cells, below which it tells nothing. */
const LEAST_SHARE = 0.05;

export interface Cells {
  /** (n, 3), in drawing order. */
  positions: Float32Array;
  /** (n, 2), in drawing order; NaN where a cell has none. */
  vectors: Float32Array;
  passing: Bits | null;
}

/** Each cell counts for the four nodes around it, the more the nearer they are. */
export function gridOf({ positions, vectors, passing }: Cells, nodes = NODES): Grid {
  const [sums, mass] = [new Float32Array(nodes * nodes * 2), new Float32Array(nodes * nodes)];
  const scale = (nodes - 1) / 2;
  for (let place = 0; place * 3 < positions.length; place += 1) {
    const [x, y] = [positions[place * 3] as number, positions[place * 3 + 1] as number];
    const [u, v] = [vectors[place * 2] as number, vectors[place * 2 + 1] as number];
    if (x > FAR || !Number.isFinite(u + v) || (passing !== null && !has(passing, place))) continue;
    const [gx, gy] = [(x + 1) * scale, (y + 1) * scale];
    const [left, top] = [Math.floor(gx), Math.floor(gy)];
    if (left < 0 || top < 0 || left >= nodes || top >= nodes) continue;
    for (let corner = 0; corner < 4; corner += 1) {
      const [dx, dy] = [corner & 1, corner >> 1];
      if (left + dx >= nodes || top + dy >= nodes) continue;
      const weight = (1 - Math.abs(gx - left - dx)) * (1 - Math.abs(gy - top - dy));
      const node = (top + dy) * nodes + left + dx;
      sums[node * 2] = (sums[node * 2] as number) + u * weight;
      sums[node * 2 + 1] = (sums[node * 2 + 1] as number) + v * weight;
      mass[node] = (mass[node] as number) + weight;
    }
  }
  return meansOf(sums, mass, nodes);
}

function meansOf(sums: Float32Array, mass: Float32Array, nodes: number): Grid {
  const held = mass.filter((m) => m > 0);
  const mean = held.reduce((sum, m) => sum + m, 0) / Math.max(1, held.length);
  const least = Math.max(1e-6, mean * LEAST_SHARE);
  const [means, known] = [new Float32Array(sums.length), new Uint8Array(mass.length)];
  const lengths: number[] = [];
  for (let node = 0; node < mass.length; node += 1) {
    const m = mass[node] as number;
    if (m < least) continue;
    known[node] = 1;
    means[node * 2] = (sums[node * 2] as number) / m;
    means[node * 2 + 1] = (sums[node * 2 + 1] as number) / m;
    lengths.push(Math.hypot(means[node * 2] as number, means[node * 2 + 1] as number));
  }
  lengths.sort((a, b) => a - b);
  return { nodes, means, known, strong: lengths[Math.floor(lengths.length * 0.95)] ?? 0 };
}

/** Where the field points at a place between nodes; null where nothing is known. */
export function at(grid: Grid, x: number, y: number): [number, number] | null {
  const { nodes, means, known } = grid;
  const scale = (nodes - 1) / 2;
  const [gx, gy] = [(x + 1) * scale, (y + 1) * scale];
  const [left, top] = [Math.floor(gx), Math.floor(gy)];
  let [u, v, all] = [0, 0, 0];
  for (let corner = 0; corner < 4; corner += 1) {
    const [nx, ny] = [left + (corner & 1), top + (corner >> 1)];
    if (nx < 0 || ny < 0 || nx >= nodes || ny >= nodes || !known[ny * nodes + nx]) continue;
    const weight = (1 - Math.abs(gx - nx)) * (1 - Math.abs(gy - ny));
    u += (means[(ny * nodes + nx) * 2] as number) * weight;
    v += (means[(ny * nodes + nx) * 2 + 1] as number) * weight;
    all += weight;
  }
  return all > 0.25 ? [u / all, v / all] : null;
}

const BARB = 0.35;
const OPENING = 0.5;

export interface Segments {
  /** x, y, 0 of each end. */
  from: Float32Array;
  to: Float32Array;
}

/** An arrow at every node that is known: a shaft and two barbs; the strong ones reach to the next node. */
export function arrowsOf({ nodes, means, known, strong }: Grid): Segments {
  const [from, to]: [number[], number[]] = [[], []];
  const spacing = 2 / (nodes - 1);
  const scale = strong > 0 ? spacing / strong : 0;
  const line = (x0: number, y0: number, x1: number, y1: number) => {
    from.push(x0, y0, 0);
    to.push(x1, y1, 0);
  };
  for (let node = 0; node < known.length; node += 1) {
    if (!known[node]) continue;
    const x = (node % nodes) * spacing - 1;
    const y = Math.floor(node / nodes) * spacing - 1;
    const [u0, v0] = [(means[node * 2] as number) * scale, (means[node * 2 + 1] as number) * scale];
    const length = Math.hypot(u0, v0);
    if (length < spacing * 0.05) continue;
    // None reaches much further than its neighbour.
    const shrink = Math.min(1, (spacing * 1.3) / length);
    const [u, v] = [u0 * shrink, v0 * shrink];
    const [ex, ey] = [x + u, y + v];
    line(x, y, ex, ey);
    for (const side of [-1, 1]) {
      const [c, s] = [Math.cos(side * OPENING), Math.sin(side * OPENING)];
      line(ex, ey, ex - BARB * (u * c - v * s), ey - BARB * (u * s + v * c));
    }
  }
  return { from: Float32Array.from(from), to: Float32Array.from(to) };
}
