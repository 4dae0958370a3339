/** "What to show" of vector fields (RNA velocity, transition drift): which, and how. */

import { useEffect } from "react";
import { toApiError } from "../../api/client";
import { set, useModel } from "../../state/store";
import { groundOf } from "../../state/views";
import { overlay } from "../scatter/overlays";
import { useCalm } from "./calm";
import { average, closeField, fieldsOf, fittingGeometry, openField, useFlow } from "./state";

function useField(calm: boolean): void {
  const state = useModel();
  const { vectors: wanted, passing, theme } = state;
  const geometry = wanted ? fittingGeometry(state, wanted.field) : null;
  const whole = geometry !== null && geometry.arrived === geometry.n;
  const ground = whole ? groundOf(geometry) : "";
  const { phase, vectors, grid } = useFlow();
  const field = wanted?.field ?? null;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the layout is named by its ground.
  useEffect(() => {
    if (field !== null && geometry && ground !== "") void openField(field, geometry);
    return closeField;
  }, [field, ground]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: as above.
  useEffect(() => {
    if (phase === "ready" && vectors && geometry) average({ positions: geometry.positions, vectors, passing });
  }, [phase, vectors, passing, ground]);
  const arrows = wanted !== null && (wanted.look === "arrows" || calm);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another theme has another ink.
  useEffect(() => {
    let wanted = arrows;
    const tell = (error: unknown) => set({ error: toApiError(error) });
    if (arrows && grid) void import("./arrows").then(({ showArrows }) => wanted && showArrows(grid, ground), tell);
    return () => {
      wanted = false;
      overlay("vectors", null);
    };
  }, [arrows, grid, ground, theme]);
}

export default function FlowPanel() {
  const calm = useCalm();
  useField(calm);
  const state = useModel();
  const { vectors, identity } = state;
  const { phase, error, grid } = useFlow();
  const fields = fieldsOf(identity);
  const nowhere = vectors !== null && fittingGeometry(state, vectors.field) === null;
  const basis = vectors ? identity?.vector_fields?.fields[vectors.field]?.embeddings["2d"] : undefined;
  return (
    <details className="group" open={vectors !== null}>
      <summary>Velocity</summary>
      <label className="row">
        <span>Field</span>
        <select
          data-testid="vectors-select"
          value={vectors?.field ?? ""}
          onChange={(e) => {
            const field = e.target.value;
            set({ vectors: field === "" ? null : { field, look: vectors?.look ?? "arrows" } });
          }}
        >
          <option value="">None</option>
          {fields.map(([id, { label }]) => (
            <option key={id} value={id}>
              {label}
            </option>
          ))}
        </select>
      </label>
      {vectors ? (
        <fieldset className="segments" aria-label="Shown as">
          {(["arrows", "flow"] as const).map((look) => (
            <button
              key={look}
              type="button"
              data-testid={`vectors-${look}`}
              aria-pressed={(calm ? "arrows" : vectors.look) === look}
              disabled={calm && look === "flow"}
              onClick={() => set({ vectors: { ...vectors, look } })}
            >
              {look === "arrows" ? "Arrows" : "Flow"}
            </button>
          ))}
        </fieldset>
      ) : null}
      <p
        className="note"
        role="status"
        data-testid="vectors-told"
        data-state={phase}
        data-nodes={grid?.known.reduce((sum, k) => sum + k, 0) ?? 0}
      >
        {phase === "error" ? `${error?.message}. ${error?.hint}` : ""}
        {nowhere ? `It belongs to ${basis ?? "no layout in 2D"}: show that in 2D in a view.` : ""}
        {phase === "ready" && !nowhere ? "Means of the shown cells on a grid; longer is faster." : ""}
        {calm && vectors ? " Your system asks for little motion, so nothing flows." : ""}
      </p>
    </details>
  );
}
