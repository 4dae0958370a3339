/** Where a link leads that names no page: to the only thing on offer, else to the list of everything. */

import { EVERYTHING, getCatalog, getSource, getSources, type Source } from "../api/catalog";
import { ApiError } from "../api/client";
import type { Route } from "./route";

const AGAIN_MS = 200;
/** How long a server that has just started may take to see its only file, or to open it. */
const PATIENCE_MS = 3000;

const HOME: Route = { page: "home" };

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      done();
    });
  });
}

/** Asks the server; throws its `ApiError`, or an abort. */
export async function decide(signal: AbortSignal): Promise<Route> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    const [catalog, first] = await Promise.all([getCatalog(signal), getSources(EVERYTHING, 0, 2, signal)]);
    const [only] = first.sources;
    if (first.total > 1 || performance.now() > until) return HOME;
    if (only && !catalog.scanning) return await pageOf(only, until, signal);
    if (!catalog.scanning) return HOME;
    await pause(AGAIN_MS, signal);
  }
}

async function pageOf(only: Source, until: number, signal: AbortSignal): Promise<Route> {
  if (only.status === "failed") return HOME;
  if (only.kind === "cells") return { page: "cells", dataset: null };
  if (only.kind === "network") return { page: "network", network: only.source_id };
  let { source_id: id, tensors } = only;
  while (tensors === null && performance.now() < until) {
    await pause(AGAIN_MS, signal);
    const now = await getSource(id, signal);
    if (now.status === "failed") return HOME;
    tensors = now.tensors;
  }
  // The arrays of an HDF5 file are many and unlike each other; the scenes of an image list each other.
  const [first] = tensors ?? [];
  if (first === undefined || (only.kind !== "images" && (tensors?.length ?? 0) > 1)) return HOME;
  return { page: "image", image: first.array_id };
}

/** A server from before there was a catalog offers cells and nothing else. */
export function hasNoCatalog(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}
