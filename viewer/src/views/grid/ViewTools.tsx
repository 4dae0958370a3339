/** Over the plot: one more view, and whether views move together. */

import { set, useModel } from "../../state/store";
import { MOST_VIEWS } from "../../state/views";
import { part } from "../../ui/part";
import { addView } from "./actions";

// Nobody saves a figure before there is something to see.
const FigureDialog = part(() => import("../figure/FigureDialog"), "figure");

export function ViewTools() {
  const { views, together, figure } = useModel();
  return (
    <>
      <button
        type="button"
        data-testid="add-view"
        aria-label="One more view (N)"
        title={views.length < MOST_VIEWS ? "One more view (N)" : `There are ${MOST_VIEWS} views, the most there may be`}
        disabled={views.length >= MOST_VIEWS}
        onClick={addView}
      >
        <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
          <path d="M2 2.500h5v11H2zM9.500 2.500H14v4.500H9.500zM11.700 9.500v4.500M9.500 11.700H14" />
        </svg>
      </button>
      <button
        type="button"
        data-testid="save-figure"
        aria-label="Save a figure (E)"
        title="Save a figure (E)"
        onClick={() => set({ figure: true })}
      >
        <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
          <path d="M8 2v8M5 7.500l3 3 3-3M2.500 11v2.500h11V11" />
        </svg>
      </button>
      {figure ? <FigureDialog /> : null}
      {views.length > 1 ? (
        <button
          type="button"
          data-testid="move-together"
          aria-pressed={together}
          aria-label="Views of the same layout move together"
          title="Views of the same layout move together"
          onClick={() => set({ together: !together })}
        >
          <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
            <path d="M6.500 9.500l3-3M7 4.500l1.500-1.500a3 3 0 0 1 4.500 4.500l-1.500 1.500M9 11.500l-1.500 1.500a3 3 0 0 1-4.500-4.500L4.500 7" />
          </svg>
        </button>
      ) : null}
    </>
  );
}
