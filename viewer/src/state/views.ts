/**
 * Several views of the same cells: one to six, each with its own layout and colours.
 *
 * What the panels, the legend and the link talk about is the view that has the focus. Its own part of the state is in the
 * model itself, so that nothing but this file need know how many views there are; that of the others waits in `views`.
 */

import { crewIsThere, crewOf } from "./crew";
import { hiddenOf } from "./filters";
import { BLANK, type Geometry, get, type Model, type Own, set, type View } from "./store";

export const MOST_VIEWS = 6;

const OWN = Object.keys(BLANK) as (keyof Own)[];

/** What a view has of its own, wherever it is kept. */
export function ownOf(state: Model, id: string): Own {
  if (id === state.focused) return state;
  return state.views.find((one) => one.id === id) ?? BLANK;
}

function copied(own: Own): Own {
  return Object.fromEntries(OWN.map((key) => [key, own[key]])) as unknown as Own;
}

/** Every view as it is, the one that has the focus included. */
export function viewsNow(state: Model): View[] {
  return state.views.map(({ id }) => ({ id, ...copied(ownOf(state, id)) }));
}

/** Changes a view's own part; a view that was closed meanwhile is not missed. */
export function setOwn(id: string, change: Partial<Own>): void {
  set((state) => {
    if (id === state.focused) return change;
    return { views: state.views.map((one) => (one.id === id ? { ...one, ...change } : one)) };
  });
}

/** How a view lays the cells out, as the worker calls it. */
export function groundOf(geometry: Pick<Geometry, "embedding" | "columns"> | null): string {
  return geometry ? `${geometry.embedding.id}|${geometry.columns.join(",")}` : "";
}

/** The panels talk about this view from now on. */
export function focus(id: string): void {
  const state = get();
  if (id === state.focused || !state.views.some((one) => one.id === id)) return;
  const own = copied(ownOf(state, id));
  set({ views: viewsNow(state), focused: id, ...own, hidden: hiddenOf(state.filters, own.painted) });
}

function freeId(views: View[]): string {
  let id = 1;
  while (views.some((one) => one.id === String(id))) id += 1;
  return String(id);
}

/** One more view like the one that has the focus, behind it; null when there are as many as there may be. */
export function duplicate(own: Partial<Own> = {}): string | null {
  const state = get();
  if (state.views.length >= MOST_VIEWS || state.phase !== "ready") return null;
  const id = freeId(state.views);
  const views = viewsNow(state);
  const at = views.findIndex((one) => one.id === state.focused);
  const fresh = { id, ...copied(state), ...own };
  set({ views: [...views.slice(0, at + 1), fresh, ...views.slice(at + 1)] });
  focus(id);
  return id;
}

/** As many views beside the one that has the focus, empty at first, `before` of them before it; their ids. */
export function layViews(others: number, before: number): string[] {
  const state = get();
  const own: View = { id: state.focused, ...copied(state) };
  const views = [own];
  const many = Math.min(others, MOST_VIEWS - 1);
  while (views.length <= many) views.push({ id: freeId(views), ...BLANK });
  const rest = views.slice(1);
  const at = Math.max(0, Math.min(many, Math.floor(before)));
  set({ views: [...rest.slice(0, at), own, ...rest.slice(at)] });
  return rest.map(({ id }) => id);
}

/** Closes a view, but never the last; its neighbour gets the focus. */
export function close(id: string): void {
  const state = get();
  const at = state.views.findIndex((one) => one.id === id);
  if (at < 0 || state.views.length < 2) return;
  const next = state.views[at + 1] ?? state.views[at - 1];
  if (id === state.focused && next) focus(next.id);
  set(({ views }) => ({ views: views.filter((one) => one.id !== id), hover: null }));
  forgetGrounds(ownOf(state, id).geometry);
}

export function focusNext(by: number): void {
  const { views, focused } = get();
  const at = views.findIndex((one) => one.id === focused);
  const next = views[(at + by + views.length) % views.length];
  if (next) focus(next.id);
}

/** The worker keeps the places of no layout that no view shows any more. */
export function forgetGrounds(before: Geometry | null): void {
  const ground = groundOf(before);
  const used = viewsNow(get()).some(({ geometry }) => groundOf(geometry) === ground);
  if (before && !used && crewIsThere()) void crewOf().run({ kind: "leave", ground });
}

/** The camera of a view was moved; those that lay the cells out alike come along. */
export function moveCamera(id: string, camera: number[] | null): void {
  const state = get();
  const ground = groundOf(ownOf(state, id).geometry);
  for (const one of viewsNow(state)) {
    const along = state.together && groundOf(one.geometry) === ground;
    if (one.id === id || along) setOwn(one.id, { camera });
  }
}
