/** What lies over the canvas of a view of cells: the outline that is being drawn, and the cell that another view shows. */

import { toPixel } from "../../data/nearest";
import { placeOf } from "../../data/order";
import { useModel } from "../../state/store";

export function Outline({ corners }: { corners: number[] }) {
  if (corners.length < 4) return null;
  const points = Array.from({ length: corners.length / 2 }, (_, i) => `${corners[i * 2]},${corners[i * 2 + 1]}`);
  return (
    <svg className="outline" data-testid="outline" aria-hidden="true">
      <polygon className="halo" points={points.join(" ")} />
      <polygon points={points.join(" ")} />
    </svg>
  );
}

interface RingProps {
  view: string;
  positions: Float32Array | null;
  matrix: () => number[] | null;
}

/** A ring around the cell under the pointer, when the pointer is in another view. */
export function Ring({ view, positions, matrix }: RingProps) {
  const hover = useModel((s) => s.hover);
  if (!hover || hover.view === view || !positions?.length) return null;
  const own = matrix();
  const at = own && toPixel(own, positions, placeOf(hover.cell, positions.length / 3));
  if (!at) return null;
  return (
    <div
      className="ring"
      data-testid={`ring-${view === "tissue" ? "tissue" : "embedding"}`}
      data-cell={hover.cell}
      style={{ left: at[0], top: at[1] }}
    />
  );
}
