/** Words, figures and links of the home page: everything about it that needs no page. */

import {
  EVERYTHING,
  KINDS,
  type Kind,
  type Query,
  SORTS,
  type Sort,
  type Source,
  STATUSES,
  type Status,
  type Tensor,
} from "../../api/catalog";
import { count, counted } from "../../data/format";
import type { Route } from "../../state/route";

export type Look = "cards" | "table";

/** What the link says of the home page. */
export interface Linked {
  query: Query;
  look: Look;
}

function oneOf<T extends string>(known: readonly T[], text: string | null): T | null {
  return known.find((one) => one === text) ?? null;
}

export function readHome(search: string): Linked {
  const link = new URLSearchParams(search);
  return {
    query: {
      search: link.get("search") ?? "",
      kind: oneOf(KINDS, link.get("kind")),
      status: oneOf(STATUSES, link.get("status")),
      sort: oneOf(SORTS, link.get("sort")) ?? EVERYTHING.sort,
    },
    look: link.get("view") === "table" ? "table" : "cards",
  };
}

/** The parameters of a link to the same; null for what goes without saying. */
export function writeHome({ query, look }: Linked): Record<string, string | null> {
  return {
    page: "home",
    search: query.search.trim() === "" ? null : query.search.trim(),
    kind: query.kind,
    status: query.status,
    sort: query.sort === EVERYTHING.sort ? null : query.sort,
    view: look === "table" ? "table" : null,
  };
}

export function narrowed(query: Query): boolean {
  return query.search.trim() !== "" || query.kind !== null || query.status !== null;
}

export const KIND_NAMES: Record<Kind, string> = {
  cells: "Cells",
  images: "Images",
  network: "Networks",
  arrays: "Arrays",
};
export const STATUS_NAMES: Record<Status, string> = {
  ready: "Ready",
  pending: "Waiting",
  live: "Live",
  failed: "Failed",
};
export const SORT_NAMES: Record<Sort, string> = {
  name: "Name A–Z",
  "-name": "Name Z–A",
  kind: "Kind",
  size: "Smallest first",
  "-size": "Largest first",
  modified: "Oldest first",
  "-modified": "Newest first",
};

/** A kind that a newer server tells and this page does not know is shown as arrays are. */
export function kindOf(source: Source): Kind {
  return oneOf(KINDS, source.kind) ?? "arrays";
}

/** Columns by which the table can be ordered: the first order asked for, and the other way round. */
export const COLUMN_SORTS: Partial<Record<Column, readonly [Sort, Sort | null]>> = {
  name: ["name", "-name"],
  kind: ["kind", null],
  size: ["-size", "size"],
  modified: ["-modified", "modified"],
};

export type Column = "name" | "kind" | "format" | "size" | "dimensions" | "dtype" | "channels" | "modified" | "status";

export const COLUMNS: readonly [Column, string][] = [
  ["name", "Name"],
  ["kind", "Kind"],
  ["format", "Format"],
  ["size", "Size"],
  ["dimensions", "Dimensions"],
  ["dtype", "Data type"],
  ["channels", "Channels"],
  ["modified", "Modified"],
  ["status", "Status"],
];

/** The order after a click on a column's head. */
export function nextSort(column: Column, now: Sort): Sort {
  const [first, other] = COLUMN_SORTS[column] ?? [EVERYTHING.sort, null];
  return now === first ? (other ?? EVERYTHING.sort) : first;
}

export function ariaSort(column: Column, now: Sort): "ascending" | "descending" | "none" | undefined {
  const sorts = COLUMN_SORTS[column];
  if (!sorts) return undefined;
  if (!sorts.includes(now)) return "none";
  return now.startsWith("-") ? "descending" : "ascending";
}

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Three digits and a decimal unit. */
export function bytes(n: number | null): string {
  if (n === null || !Number.isFinite(n) || n < 0) return "–";
  let [value, unit] = [n, 0];
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.5 ? 0 : value >= 9.95 ? 1 : 2;
  return `${Number(value.toFixed(digits))} ${BYTE_UNITS[unit]}`;
}

const DAY_MS = 86_400_000;
const two = (n: number) => String(n).padStart(2, "0");

/** The time for today, else the day. */
export function when(seconds: number | null, now: number): string {
  if (seconds === null) return "–";
  const then = new Date(seconds * 1000);
  if (Number.isNaN(then.getTime())) return "–";
  const clock = `${two(then.getHours())}:${two(then.getMinutes())}`;
  if (then.toDateString() === new Date(now).toDateString()) return `today ${clock}`;
  if (then.toDateString() === new Date(now - DAY_MS).toDateString()) return `yesterday ${clock}`;
  return `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())}`;
}

export function wholeTime(seconds: number | null): string {
  const then = new Date((seconds ?? Number.NaN) * 1000);
  return Number.isNaN(then.getTime()) ? "" : then.toLocaleString("en-GB");
}

/** `2,048 × 1,024, 20 z, 10 t`: width and height first, as people say them. */
export function dimensions(tensor: Tensor): string {
  const { dim_labels: labels, shape } = tensor;
  const size = (name: string) => shape[labels.indexOf(name)];
  const [x, y] = [size("x"), size("y")];
  if (x === undefined || y === undefined) return shape.length === 0 ? "one value" : shape.map(count).join(" × ");
  const others = labels
    .map((name, i) => [name, shape[i] ?? 1] as const)
    .filter(([name, n]) => !["x", "y", "c"].includes(name) && n > 1)
    .reverse();
  return [`${count(x)} × ${count(y)}`, ...others.map(([name, n]) => `${count(n)} ${name}`)].join(", ");
}

export function channels(tensor: Tensor): string {
  const at = tensor.dim_labels.indexOf("c");
  if (at >= 0) return count(tensor.shape[at] ?? 1);
  return tensor.dim_labels.includes("x") && tensor.dim_labels.includes("y") ? "1" : "–";
}

export interface Facts {
  dimensions: string;
  dtype: string;
  channels: string;
}

/** What several arrays have in common, else that they differ. */
function common(values: string[]): string {
  return new Set(values).size === 1 ? (values[0] ?? "–") : "various";
}

/** `700 cells × 765 genes`, `10 neurons, 39 connections`; null where nothing is counted. */
function counts({ facts }: Source): string | null {
  if (!facts) return null;
  const words = Object.entries(facts).map(([what, n]) => counted(n, what.replace(/s$/, "")));
  return words.join("cells" in facts ? " × " : ", ");
}

export function factsOf(source: Source): Facts {
  const known = counts(source);
  if (known !== null) return { dimensions: known, dtype: "–", channels: "–" };
  const tensors = source.tensors ?? [];
  if (tensors.length === 0) return { dimensions: "–", dtype: "–", channels: "–" };
  const sizes = common(tensors.map(dimensions));
  const several = `${arraysWord(source)}${sizes === "various" ? "" : ` of ${sizes}`}`;
  return {
    dimensions: tensors.length === 1 ? sizes : several,
    dtype: common(tensors.map((t) => t.dtype)),
    channels: common(tensors.map(channels)),
  };
}

/** `5 images`, `1,203 arrays`. */
export function arraysWord(source: Source): string {
  return counted(source.tensors?.length ?? 0, kindOf(source) === "images" ? "image" : "array");
}

/** The arrays that a source is opened up to show; none where there is only one, or none is known. */
export function partsOf(source: Source): Tensor[] {
  const tensors = source.tensors ?? [];
  return kindOf(source) !== "cells" && tensors.length > 1 ? tensors : [];
}

/** Whether a person can look into it further here: its arrays, or why it failed. */
export function opensUp(source: Source): boolean {
  return source.status === "failed" || partsOf(source).length > 0;
}

/**
 * The page that opens when a source is chosen; null where there is none.
 *
 * The images of one file list each other, so the first stands for them; the arrays of an HDF5 file do not.
 */
export function routeOf(source: Source): Route | null {
  if (source.status === "failed") return null;
  if (kindOf(source) === "cells") return { page: "cells", dataset: source.source_id };
  if (kindOf(source) === "network") return { page: "network", network: source.source_id };
  const parts = partsOf(source);
  if (parts.length > 0 && kindOf(source) !== "images") return null;
  return { page: "image", image: (source.tensors ?? [])[0]?.array_id ?? source.source_id };
}

/** The page of a source, or of one of its arrays. */
export function routeAt(source: Source, part: number | null): Route | null {
  if (part === null) return routeOf(source);
  const tensor = partsOf(source)[part];
  return tensor ? { page: "image", image: tensor.array_id } : null;
}

/** What is shown as a source's picture; null where the server can make none: asking in vain would be an error each. */
export function pictureOf(source: Source): string | null {
  if (source.status === "failed" || kindOf(source) === "network") return null;
  if (kindOf(source) === "cells" || source.tensors === null) return source.source_id;
  return source.tensors.find(isPicture)?.array_id ?? null;
}

export function isPicture(tensor: Tensor): boolean {
  const plane = tensor.dim_labels.slice(-2).join("") === "yx";
  return plane && !tensor.shape.includes(0) && /^(bool|u?int|float)/.test(tensor.dtype);
}

const NUMBER = 4;
const LONGEST_TAIL = 14;

/** How much of a file's name must stay at its end: its extensions, and the number that is often before them. */
export function tailOf(name: string): number {
  const extensions = /(\.[a-z0-9]{1,6}){1,2}$/i.exec(name)?.[0].length ?? NUMBER;
  return Math.min(LONGEST_TAIL, extensions + NUMBER);
}

/** The folders between what is served and the file, without either: `plate 3/day 2`. */
export function folderOf(source: Source): string {
  const parts = source.source_url.replace(/^[a-z0-9+.-]+:\/+/i, "").split("/");
  const folders = parts.slice(1, -1).join("/");
  try {
    return decodeURIComponent(folders);
  } catch {
    return folders;
  }
}
