/** One more view, coloured by what no view shows yet. */

import type { FieldEntry } from "../../api/types";
import { paint } from "../../state/actions";
import { get, type Model, set } from "../../state/store";
import { duplicate, MOST_VIEWS, viewsNow } from "../../state/views";

const MOST_CATEGORIES = 100;

/** The next field that makes a good picture and that no view shows; undefined when all do. */
export function nextField(state: Model): FieldEntry | undefined {
  const shown = new Set(viewsNow(state).map(({ color }) => (color.kind === "field" ? color.index : -1)));
  const fields = (state.identity?.obs_fields ?? []).filter(({ index }) => !shown.has(index));
  const groups = fields.find(({ n_categories: n = 0 }) => n >= 2 && n <= MOST_CATEGORIES);
  return groups ?? fields.find(({ kind }) => kind === "continuous");
}

export function addView(): void {
  if (get().views.length >= MOST_VIEWS) {
    set({ notice: `${MOST_VIEWS} views are the most; close one (X) for another.` });
    return;
  }
  const field = nextField(get());
  const view = duplicate();
  if (view !== null && field) void paint({ kind: "field", index: field.index, key: field.key }, view);
}
