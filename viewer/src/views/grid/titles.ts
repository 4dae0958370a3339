/** What a view shows, in a few words. */

import { shorten } from "../../data/format";
import { labelOf } from "../../data/genes";
import { type Color, get, type Own } from "../../state/store";

const LONGEST = 34;

function labelled(color: Exclude<Color, { kind: "none" }>): string {
  return color.kind === "gene" ? labelOf(get().genes, color.index, color.key) : color.key;
}

export function titleOf({ geometry, color }: Pick<Own, "geometry" | "color">): string {
  const layout = geometry ? geometry.embedding.label : "…";
  return color.kind === "none" ? layout : `${layout} · ${shorten(labelled(color), LONGEST)}`;
}
