/** "What to show" of the kNN graph: whether its edges are drawn, and which are. */

import { useEffect } from "react";
import { toApiError } from "../../api/client";
import { count } from "../../data/format";
import { set, useModel } from "../../state/store";
import { overlay } from "../scatter/overlays";
import { closeGraph, MOST_EDGES, openGraph, pickEdges, pointAt, useNeighbours } from "./state";

const GREY = [128, 134, 140] as const;
const POINTED = [224, 102, 0] as const;

function tell(error: unknown): void {
  set({ error: toApiError(error) });
}

/** Keeps the lines in step with what is selected, filtered and pointed at. */
function useEdges(): void {
  const { edges, passing, selection, hover, dataset } = useModel();
  const { phase, picked, pointed } = useNeighbours();
  // biome-ignore lint/correctness/useExhaustiveDependencies: another data set has another graph.
  useEffect(() => {
    if (edges) void openGraph();
    return closeGraph;
  }, [edges, dataset]);
  useEffect(() => () => overlay("neighbours", null), []);
  useEffect(() => {
    if (phase === "ready") void pickEdges(passing, selection?.places ?? null);
  }, [phase, passing, selection]);
  const cell = hover?.cell ?? null;
  useEffect(() => {
    void pointAt(phase === "ready" ? cell : null);
  }, [phase, cell]);
  useEffect(() => {
    if (phase !== "ready" || (!picked && !pointed)) {
      overlay("neighbours", null);
      return undefined;
    }
    let wanted = true;
    // Lines come when the first are drawn.
    void import("./layer").then(({ edgesLayer, strokesOf }) => {
      if (!wanted) return;
      overlay("neighbours", (geometry) => ({
        under: picked?.weights.length ? [edgesLayer("edges", picked, geometry, GREY, 0.6, 1)] : [],
        over: pointed?.weights.length ? [edgesLayer("edges-pointed", pointed, geometry, POINTED, 1, 2)] : [],
        // What the pointer is at is nothing for a figure; what is not asked for costs nothing.
        get strokes() {
          return picked?.weights.length ? [strokesOf(picked, geometry, GREY)] : [];
        },
      }));
    }, tell);
    return () => {
      wanted = false;
    };
  }, [phase, picked, pointed]);
}

export default function NeighboursPanel() {
  useEdges();
  const edges = useModel((s) => s.edges);
  const selected = useModel((s) => s.selection !== null);
  const { phase, error, picked, edges: all } = useNeighbours();
  return (
    <details className="group" open={edges}>
      <summary>Neighbours</summary>
      <label className="check">
        <input
          type="checkbox"
          data-testid="show-edges"
          checked={edges}
          onChange={(e) => set({ edges: e.target.checked })}
        />
        Edges of the kNN graph
      </label>
      <p
        className="note"
        role="status"
        data-testid="edges-told"
        data-state={phase}
        data-drawn={picked?.weights.length ?? 0}
        data-total={all}
      >
        {phase === "loading" ? "Fetching the graph…" : ""}
        {phase === "error" ? `${error?.message}. ${error?.hint}` : ""}
        {phase === "ready" && picked ? words(picked.weights.length, picked.total, selected) : ""}
      </p>
    </details>
  );
}

function words(drawn: number, total: number, selected: boolean): string {
  const which = selected ? "edges of the selected cells" : "edges";
  if (drawn === total) return `${count(total)} ${which}; stronger ones are darker. Point at a cell to see its own.`;
  if (drawn === 0) {
    return `${count(total)} edges are too many to draw (${count(MOST_EDGES)} at most): select cells, or point at one.`;
  }
  return `The strongest ${count(drawn)} of ${count(total)} ${which}.`;
}
