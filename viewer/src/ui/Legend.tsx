/** "What is this": the legend of what colours the points. */

import { number } from "../data/format";
import { useModel } from "../state/store";
import { CategoryLegend } from "./CategoryLegend";
import { NumberLegend } from "./NumberLegend";

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
  return painted.kind === "category" ? <CategoryLegend painted={painted} /> : <NumberLegend painted={painted} />;
}
