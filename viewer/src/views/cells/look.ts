/** How cells are coloured: the same in every view of them. */

import { useMemo } from "react";
import { categoryLut, mapLut, plainLut } from "../../gpu/lut";
import { type Own, useModel } from "../../state/store";
import type { PointsLayerProps } from "../scatter/layer";

export type Look = Pick<PointsLayerProps, "values" | "valued" | "lut" | "range" | "selected" | "passing" | "marks">;

/** Of one view, or of the one that has the focus. */
export function useLook(own?: Own): Look {
  const model = useModel();
  const { geometry, painted, range, cmap, fileColors } = own ?? model;
  const { selection, passing, marks } = model;
  // Elsewhere the filter itself leaves out what the legend has switched off.
  const hidden = own === undefined || own === model ? model.hidden : null;
  const n = geometry?.n ?? 0;
  const selected = selection?.places ?? null;
  const lut = useMemo(() => {
    if (painted.kind === "category") {
      const { categories, colors } = painted.field;
      return categoryLut(categories.length, fileColors ? colors : null, hidden);
    }
    return painted.kind === "continuous" ? mapLut(cmap) : plainLut();
  }, [painted, hidden, cmap, fileColors]);
  return useMemo(() => {
    const fits = painted.kind !== "none" && painted.values.length === n;
    if (!fits) return { values: null, valued: n, lut: plainLut(), range: null, selected, passing, marks };
    const span: [number, number] | null =
      painted.kind === "continuous" ? (range ?? [painted.summary.min, painted.summary.max]) : null;
    const valued = painted.kind === "category" ? (painted.arrived ?? n) : n;
    return { values: painted.values, valued, lut, range: span, selected, passing, marks };
  }, [painted, range, lut, n, selected, passing, marks]);
}
