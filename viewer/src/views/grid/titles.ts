/** What a view shows, in a few words. */

import { shorten } from "../../data/format";
import type { Own } from "../../state/store";

const LONGEST = 34;

export function titleOf({ geometry, color }: Pick<Own, "geometry" | "color">): string {
  const layout = geometry ? geometry.embedding.label : "…";
  return color.kind === "none" ? layout : `${layout} · ${shorten(color.key, LONGEST)}`;
}
