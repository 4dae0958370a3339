/** Over the plot: which views of the cells are shown. */

import { type Layout, set } from "../../state/store";
import { useLayout, useNarrow } from "./layout";

const VIEWS: readonly [Layout, string][] = [
  ["embedding", "Embedding"],
  ["tissue", "Tissue"],
  ["both", "Side by side"],
];

/** Only where there is more than one view to choose from. */
export default function ViewChoice() {
  const layout = useLayout();
  const narrow = useNarrow();
  return (
    <fieldset className="segments view-choice" aria-label="Views">
      {VIEWS.filter(([id]) => !narrow || id !== "both").map(([id, words]) => (
        <button
          key={id}
          type="button"
          data-testid={`view-${id}`}
          aria-pressed={layout === id}
          onClick={() => set({ layout: id, hover: null })}
        >
          {words}
        </button>
      ))}
    </fieldset>
  );
}
