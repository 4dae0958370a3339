/** What the server offers: sources, a page of them at a time; see docs/reference/http-images.md. */

import { getAnswer, getJson } from "./client";
import { arrayPath } from "./images";
import { isCatalog, isSource, isSources } from "./shapes";

export const KINDS = ["cells", "images", "network", "arrays"] as const;
export const STATUSES = ["ready", "pending", "live", "failed"] as const;
export const SORTS = ["name", "-name", "kind", "size", "-size", "modified", "-modified"] as const;

export type Kind = (typeof KINDS)[number];
export type Status = (typeof STATUSES)[number];
export type Sort = (typeof SORTS)[number];

/** One image or data set of a source. */
export interface Tensor {
  array_id: string;
  name: string;
  dim_labels: string[];
  shape: number[];
  chunk_shape: number[] | null;
  dtype: string;
}

/** A file or folder on offer. */
export interface Source {
  source_id: string;
  name: string;
  source_url: string;
  source_type: string;
  kind: Kind;
  status: Status;
  version: string;
  size_bytes: number | null;
  /** Seconds since 1970. */
  modified: number | null;
  indexed_at: number | null;
  error: { code: string; message: string; hint: string } | null;
  /** Null until the source was opened once. */
  tensors: Tensor[] | null;
  /** How many cells and genes, or neurons and connections; servers of before do not tell. */
  facts?: Readonly<Record<string, number>> | null;
}

/** The state of everything on offer, small enough to ask for again and again. */
export interface Catalog {
  /** Another one whenever anything changed. */
  revision: string | number;
  sources: number;
  by_kind: Partial<Record<Kind, number>>;
  failed: number;
  /** Files are still being looked for or looked into. */
  scanning: boolean;
  roots: string[];
}

/** Which sources, in which order. */
export interface Query {
  search: string;
  kind: Kind | null;
  status: Status | null;
  sort: Sort;
}

export const EVERYTHING: Query = { search: "", kind: null, status: null, sort: "name" };

export function getCatalog(signal?: AbortSignal): Promise<Catalog> {
  return getJson<Catalog>("api/catalog", signal, isCatalog);
}

export interface Sources {
  sources: Source[];
  /** How many match, on all pages. */
  total: number;
}

export async function getSources(query: Query, offset: number, limit: number, signal?: AbortSignal): Promise<Sources> {
  const asked = new URLSearchParams({ limit: String(limit), offset: String(offset), sort: query.sort });
  if (query.search.trim() !== "") asked.set("search", query.search.trim());
  if (query.kind !== null) asked.set("kind", query.kind);
  if (query.status !== null) asked.set("status", query.status);
  const { body, headers } = await getAnswer<Source[]>(`api/sources?${asked}`, signal, isSources);
  const told = Number(headers.get("X-Total-Sources") ?? Number.NaN);
  return { sources: body, total: Number.isFinite(told) ? told : offset + body.length };
}

export function getSource(id: string, signal?: AbortSignal): Promise<Source> {
  return getJson<Source>(`api/sources/${arrayPath(id)}`, signal, isSource);
}

/**
 * The version is part of the address, so that a picture is asked for again when its file has changed. Of a file that
 * is being written, or was not opened yet, the version would be gone before the answer: there it is only for us to tell
 * pictures apart.
 */
export function thumbnailUrl(id: string, { version, status }: Source, size: number): string {
  const own = encodeURIComponent(version);
  const settled = status === "ready" || status === "failed";
  return `api/thumbnail/${arrayPath(id)}?size=${size}${settled ? "&v=" : "#"}${own}`;
}
