/** Arrows over the points, in the ink of the theme. */

import { LineLayer } from "@deck.gl/layers";
import { groundOf } from "../../state/views";
import { overlay } from "../scatter/overlays";
import { arrowsOf, type Grid } from "./grid";

function inkNow(): [number, number, number] {
  const probe = document.createElement("i");
  probe.style.color = "var(--text)";
  document.body.append(probe);
  const [r = 0, g = 0, b = 0] = (getComputedStyle(probe).color.match(/[\d.]+/g) ?? []).map(Number);
  probe.remove();
  return [r, g, b];
}

export function showArrows(grid: Grid, ground: string): void {
  const { from, to } = arrowsOf(grid);
  const data = {
    length: from.length / 3,
    attributes: { getSourcePosition: { value: from, size: 3 }, getTargetPosition: { value: to, size: 3 } },
  };
  const getColor = inkNow();
  overlay("vectors", (geometry) => {
    if (groundOf(geometry) !== ground) return { under: [], over: [], strokes: [] };
    const id = "arrows";
    const strokes = [{ length: data.length, from, to, color: null, opacity: 1, width: 1.4, over: true }];
    return {
      under: [],
      strokes,
      over: [new LineLayer({ id, data: data as never, getColor, getWidth: 1.4, pickable: false })],
    };
  });
}
