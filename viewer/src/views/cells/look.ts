/** How cells are coloured: the same in every view of them. */

import { useMemo } from "react";
import { categoryLut, mapLut, plainLut } from "../../gpu/lut";
import { useModel } from "../../state/store";
import type { PointsLayerProps } from "../scatter/layer";

export type Look = Pick<PointsLayerProps, "values" | "lut" | "range" | "selected" | "passing" | "marks">;

export function useLook(): Look {
  const { geometry, painted, hidden, range, cmap, fileColors, selection, passing, marks } = useModel();
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
    if (!fits) return { values: null, lut: plainLut(), range: null, selected, passing, marks };
    const own: [number, number] | null =
      painted.kind === "continuous" ? (range ?? [painted.summary.min, painted.summary.max]) : null;
    return { values: painted.values, lut, range: own, selected, passing, marks };
  }, [painted, range, lut, n, selected, passing, marks]);
}
