/** The view as a link: in the address bar, in sessions, on figures. */

import type { Genes } from "../api/types";
import { members } from "../data/bits";
import { keyOf } from "./colors";
import { linkedFilters } from "./filterlink";
import { get, MOST_LINKED, type Own, useModel } from "./store";
import { type Linked, writeUrl } from "./url";
import { type LinkedView, writeView } from "./viewlink";
import { viewsNow } from "./views";

function linkedView({ geometry, color, range, cmap, fileColors, camera }: Own, genes: Genes | null): LinkedView {
  const plain = geometry?.columns.every((c, i) => c === i) ?? true;
  return {
    embedding: geometry?.embedding.id ?? null,
    dim: geometry?.dim ?? null,
    columns: plain ? null : (geometry?.columns ?? null),
    color: keyOf(color),
    gene: color.kind === "gene" && genes?.names.indexOf(color.key) !== color.index ? color.index : null,
    range,
    cmap,
    fileColors,
    camera,
  };
}

/** The current view as a link. */
export function linkedNow(): Linked {
  const s = get();
  return {
    dataset: s.datasets.length > 1 || linkNames("dataset") ? (s.dataset?.id ?? null) : null,
    ...linkedView(s, s.genes),
    expr: s.expression === s.identity?.expression.default ? null : s.expression,
    hidden: [],
    filters: linkedFilters(s.filters, s.identity).texts,
    views: viewsNow(s).flatMap((one) => (one.id === s.focused ? [] : [writeView(linkedView(one, s.genes))])),
    at: s.views.findIndex(({ id }) => id === s.focused),
    together: s.together,
    edges: s.edges,
    vectors: s.vectors,
    size: s.size,
    alpha: s.alpha,
    layout: s.layout,
    tissue: s.tissue,
    tissueCamera: s.tissueCamera,
    spot: s.spot,
    pictureAlpha: s.pictureAlpha,
    spotAlpha: s.spotAlpha,
    selected: s.selection && s.selection.count <= MOST_LINKED ? members(s.selection.cells) : [],
    theme: s.theme,
  };
}

function linkNames(name: string): boolean {
  return new URLSearchParams(location.search).has(name);
}

let timer = 0;

/** The page is left: nothing more is written. */
export function forgetAddress(): void {
  clearTimeout(timer);
}

/** Keeps the address bar up to date, a little behind so that dragging does not flood it. */
export function followUrl(): () => void {
  return useModel.subscribe((state) => {
    if (state.phase !== "ready" || Object.keys(state.progress).length > 0) return;
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      if (Object.keys(get().progress).length > 0) return;
      writeAddress();
    }, 200);
  });
}

/** The address bar as it has to be now. */
export function writeAddress(): void {
  const query = writeUrl(linkedNow(), location.search);
  history.replaceState(history.state, "", `${location.pathname}${query ? `?${query}` : ""}`);
}
