/** One to six views of the cells side by side; on a phone one at a time. */

import { useModel } from "../../state/store";
import { close, duplicate, focus, MOST_VIEWS, ownOf } from "../../state/views";
import { useNarrow } from "../cells/layout";
import { ScatterView } from "../scatter/View";
import { titleOf } from "./titles";

export function Grid() {
  const { views, focused } = useModel();
  const narrow = useNarrow();
  const several = views.length > 1;
  const shown = narrow ? views.filter(({ id }) => id === focused) : views;
  return (
    <>
      {shown.map(({ id }) => (
        <div key={id} className={several && !narrow && id === focused ? "pane focused" : "pane"}>
          <ScatterView view={id} />
          {several && !narrow ? <Caption view={id} /> : null}
        </div>
      ))}
      {several && narrow ? <Switcher /> : null}
    </>
  );
}

function Caption({ view }: { view: string }) {
  const model = useModel();
  const own = ownOf(model, view);
  const title = titleOf(own);
  return (
    <div className="caption" data-testid="view-caption" data-view={view} data-focused={view === model.focused}>
      <button type="button" className="plain" onClick={() => focus(view)} title="Show its settings (W for the next)">
        {title}
      </button>
      <button
        type="button"
        data-testid="duplicate-view"
        aria-label={`Duplicate the view ${title}`}
        title="Duplicate (D)"
        disabled={model.views.length >= MOST_VIEWS}
        onClick={() => {
          focus(view);
          duplicate();
        }}
      >
        <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
          <path d="M2.500 2.500h8v8h-8zM6 13.500h7.500V6" />
        </svg>
      </button>
      <button
        type="button"
        data-testid="close-view"
        aria-label={`Close the view ${title}`}
        title="Close (X)"
        onClick={() => close(view)}
      >
        <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
          <path d="M4 4l8 8M12 4l-8 8" />
        </svg>
      </button>
    </div>
  );
}

/** Which of several views a phone shows. */
function Switcher() {
  const { views, focused } = useModel();
  return (
    <fieldset className="segments switcher" aria-label="Views" data-testid="view-switcher">
      {views.map((one, at) => (
        <button key={one.id} type="button" aria-pressed={one.id === focused} onClick={() => focus(one.id)}>
          {at + 1}
        </button>
      ))}
      <button type="button" aria-label="Close this view" onClick={() => close(focused)}>
        <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
          <path d="M4 4l8 8M12 4l-8 8" />
        </svg>
      </button>
    </fieldset>
  );
}
