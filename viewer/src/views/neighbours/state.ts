/** The kNN graph on the page: fetched when it is wanted, and picked from as the selection and the filters change. */

import { create } from "zustand";
import { type ApiError, getBytes, getJson, isAbort, toApiError } from "../../api/client";
import { isGraph } from "../../api/shapes";
import type { Bits } from "../../data/bits";
import { addressOf } from "../../state/crew";
import { get, setProgress } from "../../state/store";
import type { Graph, Picked, Wanted } from "./graph";
import type { Task } from "./graph.worker";

/** More lines than this are a grey mass. */
export const MOST_EDGES = 200_000;
const TASK = "neighbours";

interface Manifest {
  n_edges: number;
  index_dtype: "uint16" | "uint32" | "uint64";
  sourcesPath: string;
  destinationsPath: string;
  weightsPath?: string;
}

interface State {
  phase: "off" | "loading" | "ready" | "error";
  error: ApiError | null;
  /** Edges of the graph. */
  edges: number;
  picked: Picked | null;
  pointed: Picked | null;
}

const OFF: State = { phase: "off", error: null, edges: 0, picked: null, pointed: null };

export const useNeighbours = create<State>(() => OFF);
const set = useNeighbours.setState;

let worker: Worker | null = null;
let running: AbortController | null = null;
let next = 0;
const waiting = new Map<number, (picked: Picked) => void>();

export function closeGraph(): void {
  running?.abort();
  worker?.terminate();
  worker = null;
  waiting.clear();
  setProgress(TASK, null);
  set(OFF, true);
}

export async function openGraph(): Promise<void> {
  closeGraph();
  const own = new AbortController();
  running = own;
  set({ phase: "loading" });
  setProgress(TASK, { label: "Neighbours", fraction: null });
  try {
    const graph = await fetchGraph(own.signal);
    if (own.signal.aborted) return;
    worker = new Worker(new URL("./graph.worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<{ id: number; picked: Picked }>) => {
      waiting.get(data.id)?.(data.picked);
      waiting.delete(data.id);
    };
    const buffers = [graph.sources.buffer, graph.targets.buffer, ...(graph.weights ? [graph.weights.buffer] : [])];
    const edges = graph.sources.length;
    worker.postMessage({ kind: "graph", graph } satisfies Task, buffers as ArrayBuffer[]);
    set({ phase: "ready", edges });
  } catch (error) {
    if (!isAbort(error) && !own.signal.aborted) set({ phase: "error", error: toApiError(error) });
  } finally {
    if (running === own) setProgress(TASK, null);
  }
}

async function fetchGraph(signal: AbortSignal): Promise<Graph> {
  const manifest = await getJson<Manifest>(addressOf("connectivity_manifest.json"), signal, isGraph);
  const { n_edges: many, index_dtype: dtype } = manifest;
  const width = dtype === "uint16" ? 2 : 4;
  if (dtype === "uint64") throw new Error("The graph has more cells than a browser can number");
  const View = width === 2 ? Uint16Array : Uint32Array;
  const bytes = (path: string, each: number) => getBytes(addressOf(path), many * each, signal);
  const [sources, targets, weights] = await Promise.all([
    bytes(manifest.sourcesPath, width),
    bytes(manifest.destinationsPath, width),
    manifest.weightsPath ? bytes(manifest.weightsPath, 4) : null,
  ]);
  return {
    n: get().identity?.stats.n_cells ?? 0,
    sources: new View(sources),
    targets: new View(targets),
    weights: weights && new Float32Array(weights),
  };
}

function ask(wanted: Wanted): Promise<Picked> {
  const id = next++;
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    worker?.postMessage({ kind: "pick", id, wanted } satisfies Task);
  });
}

let [latest, latestPointed] = [0, 0];

/** Edges between cells that pass: those that touch the selection, or all when they are few enough. */
export async function pickEdges(passing: Bits | null, selected: Bits | null): Promise<void> {
  const own = ++latest;
  if (useNeighbours.getState().phase !== "ready") return;
  const picked = await ask({ passing, touching: selected, cell: null, most: MOST_EDGES });
  if (own !== latest) return;
  const none = selected === null && picked.total > MOST_EDGES;
  set({ picked: none ? { ends: new Uint32Array(0), weights: new Float32Array(0), total: picked.total } : picked });
}

/** Edges of the cell under the pointer. */
export async function pointAt(cell: number | null): Promise<void> {
  const own = ++latestPointed;
  if (cell === null || useNeighbours.getState().phase !== "ready") {
    set({ pointed: null });
    return;
  }
  const pointed = await ask({ passing: null, touching: null, cell, most: MOST_EDGES });
  if (own === latestPointed) set({ pointed });
}
