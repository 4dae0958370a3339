/** Keeps a kNN graph and picks edges of it. */

import { type Graph, pick, type Wanted } from "./graph";

export type Task = { kind: "graph"; graph: Graph } | { kind: "pick"; id: number; wanted: Wanted };

let graph: Graph | null = null;

addEventListener("message", ({ data }: MessageEvent<Task>) => {
  if (data.kind === "graph") graph = data.graph;
  else if (graph) postMessage({ id: data.id, picked: pick(graph, data.wanted) });
});
