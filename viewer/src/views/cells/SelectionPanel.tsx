/** The selection's place in "what is this"; what it says is fetched with the first selection. */

import { select } from "../../state/actions";
import { useModel } from "../../state/store";
import { part } from "../../ui/part";

const Chosen = part(() => import("./Chosen"), "selection");

export function SelectionPanel() {
  const { selection, geometry } = useModel();
  if (!geometry) return null;
  if (selection) {
    return <Chosen />;
  }
  return (
    <section className="group" data-testid="selection" data-count={0}>
      <h2>Selection</h2>
      <p className="note">None. Click a cell, or draw around cells with the lasso (L) or a rectangle (B).</p>
      <div className="buttons">
        <button type="button" data-testid="select-shown" onClick={() => void select({ kind: "shown" }, "replace")}>
          Select all shown
        </button>
      </div>
    </section>
  );
}
