/** How cells are coloured: by what their view shows, within what all views share. */

import { useMemo } from "react";
import { categoryLut, type Lut, mapLut, plainLut } from "../../gpu/lut";
import { type Model, type Own, useModel } from "../../state/store";
import type { PointsLayerProps } from "../scatter/layer";

export type Look = Pick<PointsLayerProps, "values" | "valued" | "lut" | "range" | "selected" | "passing" | "marks">;

type Colors = Pick<Own, "painted" | "cmap" | "fileColors">;
type Shared = Pick<Model, "selection" | "passing" | "marks">;

function lutOf({ painted, cmap, fileColors }: Colors, hidden: Uint8Array | null): Lut {
  if (painted.kind === "category") {
    const { categories, colors } = painted.field;
    return categoryLut(categories.length, fileColors ? colors : null, hidden);
  }
  return painted.kind === "continuous" ? mapLut(cmap) : plainLut();
}

function valuesOf({ painted, range, geometry }: Pick<Own, "painted" | "range" | "geometry">) {
  const n = geometry?.n ?? 0;
  if (painted.kind === "none" || painted.values.length !== n) return { values: null, valued: n, range: null };
  const { values, arrived: valued = n } = painted;
  if (painted.kind === "category") return { values, valued, range: null };
  const { min, max } = painted.summary;
  return { values, valued, range: range ?? ([min, max] as const) };
}

/** The look of one view; `hidden` are categories that its legend has switched off. */
export function lookOf(own: Own, { selection, passing, marks }: Shared, hidden: Uint8Array | null): Look {
  const valued = valuesOf(own);
  const lut = valued.values ? lutOf(own, hidden) : plainLut();
  return { ...valued, lut, selected: selection?.places ?? null, passing, marks };
}

/** Of one view, or of the one that has the focus. */
export function useLook(own?: Own): Look {
  const model = useModel();
  const { geometry, painted, range, cmap, fileColors } = own ?? model;
  const { selection, passing, marks } = model;
  // Elsewhere the filter itself leaves out what the legend has switched off.
  const hidden = own === undefined || own === model ? model.hidden : null;
  const lut = useMemo(() => lutOf({ painted, cmap, fileColors }, hidden), [painted, hidden, cmap, fileColors]);
  return useMemo(() => {
    const valued = valuesOf({ painted, range, geometry });
    const places = selection?.places ?? null;
    return { ...valued, lut: valued.values ? lut : plainLut(), selected: places, passing, marks };
  }, [painted, range, lut, geometry, selection, passing, marks]);
}
