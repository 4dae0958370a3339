/** The keyboard in the listing: one stop for the tabulator key, in which arrows walk and Enter opens. */

import type { KeyboardEvent } from "react";
import type { Source } from "../../api/catalog";
import { canLookInside } from "../../state/inside";
import { navigate } from "../../state/route";
import { type Layout, move, type Spot } from "./layout";
import { sourceAt, toggle, useHome } from "./live";
import { type Look, opensUp } from "./model";

interface Walk {
  look: Look;
  layout: Layout;
  /** Lines on a screen. */
  screen: () => number;
  /** The first source in sight, where a walk begins. */
  first: () => Spot;
  go: (spot: Spot) => void;
  choose: (spot: Spot) => void;
}

export function useKeyboard({ look, layout, screen, first, go, choose }: Walk): (event: KeyboardEvent) => void {
  /** In the table, right opens a source up and left closes it. */
  function fold(key: string, spot: Spot, source: Source): boolean {
    const isOpen = useHome.getState().opened.has(source.source_id);
    const opens = key === "ArrowRight" && !isOpen && opensUp(source);
    const closes = key === "ArrowLeft" && isOpen;
    if (closes && spot.part !== null) go({ index: spot.index, part: null });
    else if (opens || closes) toggle(source.source_id);
    return opens || closes;
  }

  /** Whether the key did something. */
  function act(key: string): boolean {
    const { active, total, pages } = useHome.getState();
    if (total === null || total === 0) return false;
    const now = active ?? first();
    const starts = active === null && /^(Arrow|Enter$| $)/.test(key);
    if (starts) go(now);
    else if (key === "Enter" || key === " ") choose(now);
    else if (key === "i" || key === "I") {
      const source = sourceAt({ pages }, now.index);
      if (!source || !canLookInside(source)) return false;
      navigate({ page: "inside", source: source.source_id });
    } else {
      const source = sourceAt({ pages }, now.index);
      if (look === "table" && source && fold(key, now, source)) return true;
      const to = move(key, now, layout, screen(), look === "cards", total);
      if (to === null) return false;
      go(to);
    }
    return true;
  }

  return (event) => {
    const own = event.target === event.currentTarget;
    if (!own || event.ctrlKey || event.metaKey || event.altKey) return;
    if (act(event.key)) event.preventDefault();
  };
}
