/** Which page the address bar names, and the moves between pages. The path is the server's; only the query is ours. */

import { create } from "zustand";
import { isCopy } from "../api/client";

export type Route =
  | { page: "home" }
  | { page: "cells"; dataset: string | null }
  | { page: "image"; image: string }
  | { page: "network"; network: string }
  /** What is inside an HDF5 file. */
  | { page: "inside"; source: string }
  /** No page is named: what the server offers decides. */
  | { page: "door" };

/** What a link to cells may say besides the data set and the theme. */
export const CELLS_PARAMETERS = [
  "embedding",
  "dim",
  "columns",
  "color",
  "gene",
  "expr",
  "range",
  "cmap",
  "hidden",
  "filter",
  "filecolors",
  "pane",
  "at",
  "apart",
  "knn",
  "vectors",
  "size",
  "alpha",
  "camera",
  "view",
  "tissue",
  "tissuecamera",
  "spot",
  "picture",
  "spots",
  "selected",
];

/** What goes along from page to page. */
const KEPT = ["theme"];

export function readRoute(search: string): Route {
  const query = new URLSearchParams(search);
  // On a plain web host there is one data set, and no list of everything.
  if (isCopy()) return { page: "cells", dataset: query.get("dataset") || null };
  const image = query.get("image");
  if (image) return { page: "image", image };
  const network = query.get("network");
  if (network) return { page: "network", network };
  const source = query.get("inside");
  if (source) return { page: "inside", source };
  if (query.get("page") === "home") return { page: "home" };
  const dataset = query.get("dataset");
  // Links from before there was a home page name a view of the cells and nothing else.
  if (dataset || CELLS_PARAMETERS.some((name) => query.has(name))) return { page: "cells", dataset: dataset || null };
  return { page: "door" };
}

/** Slashes and colons may stand in a query as they are, and ids are easier to read with them. */
function readable(query: URLSearchParams): string {
  return query.toString().replaceAll("%2F", "/").replaceAll("%3A", ":");
}

/** A link to a page, relative to this one. */
export function hrefOf(route: Route, search: string = location.search): string {
  const query = new URLSearchParams();
  if (route.page === "home") query.set("page", "home");
  if (route.page === "cells" && route.dataset !== null) query.set("dataset", route.dataset);
  if (route.page === "image") query.set("image", route.image);
  if (route.page === "network") query.set("network", route.network);
  if (route.page === "inside") query.set("inside", route.source);
  const now = new URLSearchParams(search);
  for (const name of KEPT) {
    const value = now.get(name);
    if (value !== null) query.set(name, value);
  }
  return `?${readable(query)}`;
}

interface Visit {
  route: Route;
  /** Grows with each move, so that a page can start afresh when it is opened again. */
  visit: number;
}

export const useRoute = create<Visit>(() => ({ route: readRoute(location.search), visit: 0 }));

function arrive(route: Route): void {
  useRoute.setState(({ visit }) => ({ route, visit: visit + 1 }));
}

/** Open a page as a link would: the button Back leads here again. */
export function navigate(route: Route, hash = ""): void {
  history.pushState(null, "", hrefOf(route) + hash);
  arrive(route);
}

/** The page that the door leads to; Back leaves it, as if the link had named it. */
export function settle(route: Route): void {
  amendUrl({
    ...(route.page === "home" ? { page: "home" } : {}),
    ...(route.page === "image" ? { image: route.image } : {}),
    ...(route.page === "network" ? { network: route.network } : {}),
    ...(route.page === "inside" ? { inside: route.source } : {}),
    ...(route.page === "cells" ? { dataset: route.dataset } : {}),
  });
  arrive(route);
}

/** Back and forward. */
export function followHistory(): () => void {
  const follow = () => arrive(readRoute(location.search));
  addEventListener("popstate", follow);
  return () => removeEventListener("popstate", follow);
}

/** Replace parameters of this page's link; null takes one away. Nothing is added to the history. */
export function amendUrl(changes: Record<string, string | null>): void {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = readable(query);
  history.replaceState(history.state, "", text === "" ? location.pathname : `?${text}`);
}

/** For links: a plain click moves within the page, any other (new tab, download) is the browser's. */
export function linkTo(route: Route, hash = ""): { href: string; onClick: (event: React.MouseEvent) => void } {
  return {
    href: hrefOf(route) + hash,
    onClick: (event) => {
      if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      navigate(route, hash);
    },
  };
}

interface Place {
  /** What is open, as the bar above and the window's title name it. */
  name: string;
  /** How much it is, after the name: "700 cells", "2048 × 2048". */
  detail: string;
}

export const usePlace = create<Place>(() => ({ name: "", detail: "" }));

/** Pages say what they show; the bar above and the window's title tell it. */
export function setPlace(name: string, detail = ""): void {
  usePlace.setState({ name, detail });
  document.title = name === "" ? "coverslip" : `${name} – coverslip`;
}
