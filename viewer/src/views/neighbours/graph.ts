/** The kNN graph: which of its edges are drawn. Runs in a worker of its own, which keeps the graph. */

import { type Bits, has } from "../../data/bits";
import { placeOf, stepOf } from "../../data/order";

export interface Graph {
  n: number;
  sources: Uint16Array | Uint32Array;
  targets: Uint16Array | Uint32Array;
  /** Null when the server does not tell them. */
  weights: Float32Array | null;
}

export interface Wanted {
  /** Places of the cells that pass the filters; null for all. */
  passing: Bits | null;
  /** Places of the cells of which an edge must have one; null for any. */
  touching: Bits | null;
  /** One cell, of which every edge is wanted, whatever passes. */
  cell: number | null;
  /** More edges than this are not drawn: the strongest are. */
  most: number;
}

export interface Picked {
  /** Two places for each edge. */
  ends: Uint32Array<ArrayBuffer>;
  /** 0 to 1, of the strongest there is. */
  weights: Float32Array<ArrayBuffer>;
  /** How many there are, drawn or not. */
  total: number;
}

const BINS = 4096;

/** Places of every cell, so that no edge needs a division. */
function placesOf(n: number): Uint32Array {
  const places = new Uint32Array(n);
  const step = stepOf(n);
  for (let place = 0, cell = 0; place < n; place += 1) {
    places[cell] = place;
    cell += step;
    if (cell >= n) cell -= n;
  }
  return places;
}

const known = new WeakMap<Graph, { places: Uint32Array; strongest: number }>();

function aboutOf(graph: Graph): { places: Uint32Array; strongest: number } {
  let about = known.get(graph);
  if (!about) {
    const strongest = graph.weights?.reduce((most, w) => Math.max(w, most), 0) || 1;
    about = { places: placesOf(graph.n), strongest };
    known.set(graph, about);
  }
  return about;
}

/** From what weight on edges are kept, so that at most so many are. */
function threshold(weights: Float32Array, strongest: number, chosen: Uint32Array, many: number, most: number): number {
  const counts = new Uint32Array(BINS + 1);
  const binOf = (edge: number) => Math.floor((Math.max(0, weights[edge] as number) / strongest) * BINS);
  for (let i = 0; i < many; i += 1) {
    const bin = binOf(chosen[i] as number);
    counts[bin] = (counts[bin] as number) + 1;
  }
  let [bin, sum] = [BINS, 0];
  while (bin >= 0 && sum + (counts[bin] as number) <= most) {
    sum += counts[bin] as number;
    bin -= 1;
  }
  return ((bin + 1) / BINS) * strongest;
}

export function pick(graph: Graph, wanted: Wanted): Picked {
  const { sources, targets, weights } = graph;
  const { passing, touching, cell, most } = wanted;
  const { places, strongest } = aboutOf(graph);
  const chosen = new Uint32Array(sources.length);
  const only = cell === null ? -1 : placeOf(cell, graph.n);
  let total = 0;
  for (let edge = 0; edge < sources.length; edge += 1) {
    const [a, b] = [places[sources[edge] as number], places[targets[edge] as number]];
    if (a === undefined || b === undefined) continue; // cells that are not there
    if (only >= 0 && a !== only && b !== only) continue;
    if (passing !== null && only < 0 && !(has(passing, a) && has(passing, b))) continue;
    if (touching !== null && !has(touching, a) && !has(touching, b)) continue;
    chosen[total] = edge;
    total += 1;
  }
  const least = total > most && weights ? threshold(weights, strongest, chosen, total, most) : Number.NEGATIVE_INFINITY;
  const ends: number[] = [];
  const told: number[] = [];
  for (let i = 0; i < total && told.length < most; i += 1) {
    const edge = chosen[i] as number;
    const weight = weights ? (weights[edge] as number) : strongest;
    if (weight < least) continue;
    ends.push(places[sources[edge] as number] as number, places[targets[edge] as number] as number);
    told.push(Math.max(0, weight / strongest));
  }
  return { ends: Uint32Array.from(ends), weights: Float32Array.from(told), total };
}

const FEW = 3000;
const FAINTEST = 0.15;

/** How much of their colour so many lines have: a few hide nothing, and many would be one grey area. */
export function faintness(many: number): number {
  return Math.max(FAINTEST, Math.min(1, Math.sqrt(FEW / many)));
}
