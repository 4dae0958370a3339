/** "What is this": the legend of what colours the points. */

import { number } from "../data/format";
import { useModel } from "../state/store";
import { CategoryLegend } from "./CategoryLegend";
import { part } from "./part";

// The first colours are groups, as a rule; the sliders of numbers come after the first points.
const load = () => import("./NumberLegend");
const NumberLegend = part(load, "legend");

/** Fetched while the server is there, so that a number can be chosen whatever happens to it. */
export function loadRest(): void {
  load().catch(() => undefined);
}

export function Legend() {
  const { painted, geometry } = useModel();
  if (painted.kind === "none") {
    return (
      <section className="group" data-testid="legend" data-kind="none">
        <h2>Legend</h2>
        <p className="note">
          {geometry ? `All ${number(geometry.n)} cells in one colour. Choose a field or a gene to colour by.` : ""}
        </p>
      </section>
    );
  }
  if (painted.kind === "category") return <CategoryLegend painted={painted} />;
  return <NumberLegend painted={painted} />;
}
