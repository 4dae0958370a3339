/** A vector field on the page: fetched when it is wanted, and averaged anew when other cells pass. */

import { create } from "zustand";
import { type ApiError, getBytes, isAbort, toApiError } from "../../api/client";
import type { Identity } from "../../api/types";
import { permute } from "../../data/order";
import { addressOf } from "../../state/crew";
import { type Geometry, get, type Model, setProgress } from "../../state/store";
import { groundOf, ownOf, viewsNow } from "../../state/views";
import type { Cells, Grid } from "./grid";

const TASK = "vectors";

interface State {
  phase: "off" | "loading" | "ready" | "error";
  error: ApiError | null;
  /** How the views that can show the field lay the cells out. */
  ground: string;
  /** (n, 2) in drawing order. */
  vectors: Float32Array | null;
  grid: Grid | null;
}

const OFF: State = { phase: "off", error: null, ground: "", vectors: null, grid: null };

export const useFlow = create<State>(() => OFF);
const set = useFlow.setState;

let running: AbortController | null = null;

export function fieldsOf(identity: Identity | null) {
  return Object.entries(identity?.vector_fields?.fields ?? {});
}

/** The layout in which a field can be shown: that of the view that has the focus, else of the first that fits. */
export function fittingGeometry(state: Model, field: string): Geometry | null {
  const info = state.identity?.vector_fields?.fields[field];
  const fits = (geometry: Geometry | null) =>
    geometry !== null && geometry.dim === 2 && info?.embeddings["2d"] === geometry.embedding.id;
  const views = [ownOf(state, state.focused), ...viewsNow(state)];
  return views.find(({ geometry }) => fits(geometry))?.geometry ?? null;
}

export function closeField(): void {
  running?.abort();
  setProgress(TASK, null);
  set(OFF, true);
}

export async function openField(field: string, geometry: Geometry): Promise<void> {
  const ground = groundOf(geometry);
  closeField();
  const own = new AbortController();
  running = own;
  set({ phase: "loading", ground });
  setProgress(TASK, { label: field, fraction: null });
  try {
    const { identity } = get();
    const file = identity?.vector_fields?.fields[field]?.files["2d"] ?? "";
    const plain = geometry.columns.every((c, i) => c === i);
    const url = addressOf(file) + (plain ? "" : `?columns=${geometry.columns.join(",")}`);
    const raw = new Float32Array(await getBytes(url, geometry.n * 8, own.signal));
    if (own.signal.aborted) return;
    set({ phase: "ready", vectors: permute(raw, geometry.n, 2, new Float32Array(raw.length)) });
  } catch (error) {
    if (!isAbort(error) && !own.signal.aborted) set({ phase: "error", error: toApiError(error) });
  } finally {
    if (running === own) setProgress(TASK, null);
  }
}

let worker: Worker | null = null;
let latest = 0;

export function average(cells: Cells): void {
  latest += 1;
  if (!worker) {
    worker = new Worker(new URL("./grid.worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<{ id: number; grid: Grid }>) => {
      if (data.id === latest && useFlow.getState().phase === "ready") set({ grid: data.grid });
    };
  }
  worker.postMessage({ id: latest, cells });
}
