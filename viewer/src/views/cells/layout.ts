/** Which views of the cells are shown. */

import { useEffect, useState } from "react";
import type { Identity } from "../../api/types";
import { type Layout, useModel } from "../../state/store";

const NARROW = "(max-width: 720px)";

/** Both side by side where there is a tissue and room for it; a phone shows one at a time. */
export function layoutOf(identity: Identity | null, layout: Layout | null, narrow: boolean): Layout {
  if (!identity?.tissue?.length) return "embedding";
  if (layout === null || layout === "both") return narrow ? "embedding" : "both";
  return layout;
}

export function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(() => window.matchMedia?.(NARROW).matches ?? false);
  useEffect(() => {
    const query = window.matchMedia?.(NARROW);
    const follow = () => setNarrow(query.matches);
    query?.addEventListener("change", follow);
    return () => query?.removeEventListener("change", follow);
  }, []);
  return narrow;
}

export function useLayout(): Layout {
  const { identity, layout } = useModel();
  return layoutOf(identity, layout, useNarrow());
}
