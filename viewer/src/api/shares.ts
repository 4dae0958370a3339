/** Links that open one source to who has no token. See docs/reference/access.md. */

import type { Route } from "../state/route";
import { bodyOf, getJson, getResponse } from "./client";
import { isDatasets, isSharedLink, isShares } from "./shapes";

const WEEK_S = 7 * 24 * 3600;

/** What is known of a link that was made; its secret is not. */
export interface NotedLink {
  id: string;
  source: string;
  /** What the source is called. */
  name: string;
  /** Whom it is for; empty where nobody said. */
  label: string;
  /** In seconds since 1970. */
  expires_s: number;
  revoked_s: number | null;
}

export interface SharedLink {
  /** What stands behind the `#` of the address. */
  fragment: string;
  /** In seconds since 1970. */
  expires_s: number;
}

/** The id of the source that a page shows; null for one that shows none. */
export async function sourceOf(route: Route): Promise<string | null> {
  const first = (id: string) => id.split("/", 1)[0] ?? id;
  if (route.page === "image") return first(route.image);
  if (route.page === "network") return route.network;
  if (route.page === "inside") return first(route.source);
  if (route.page !== "cells") return null;
  if (route.dataset !== null) return first(route.dataset);
  const { datasets } = await getJson<{ datasets: { id: string }[] }>("_cellucid/datasets", undefined, isDatasets);
  return datasets[0] ? first(datasets[0].id) : null;
}

/** A link for a week; throws the server's `ApiError`. */
export async function shareSource(source: string, label: string): Promise<SharedLink> {
  const body = JSON.stringify({ source, expires_s: WEEK_S, label });
  const headers = { "Content-Type": "application/json" };
  return bodyOf(await getResponse("api/shares", undefined, { method: "POST", headers, body }), isSharedLink);
}

/** The links that open a source, or (null) any, the newest first. */
export async function linksTo(source: string | null): Promise<NotedLink[]> {
  const { shares } = await getJson<{ shares: NotedLink[] }>("api/shares", undefined, isShares);
  return shares.filter((one) => one.revoked_s === null && (source === null || one.source === source)).reverse();
}

/** Takes a link back: whoever has it sees nothing any more. */
export async function takeBack(id: string): Promise<void> {
  await getResponse(`api/shares/${encodeURIComponent(id)}`, undefined, { method: "DELETE" });
}
