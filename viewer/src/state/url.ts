/** The view in the address bar: a copied link shows the same. */

import { COLOR_MAPS, type ColorMap } from "../gpu/lut";
import { CELLS_PARAMETERS } from "./route";
import type { Layout } from "./store";
import { readTheme, type Theme } from "./theme";

export interface Linked {
  dataset: string | null;
  embedding: string | null;
  dim: number | null;
  columns: number[] | null;
  /** `field:NAME`, `gene:NAME`, `none`, or null for the default. */
  color: string | null;
  /** Which of several genes of one name: its number. */
  gene: number | null;
  expr: string | null;
  range: [number, number] | null;
  cmap: ColorMap;
  /** Codes of the coloured field, of links from before there were filters. */
  hidden: number[];
  /** As `filterlink.ts` writes and reads them. */
  filters: string[];
  fileColors: boolean;
  /** The other views, in the order of the grid, as `viewlink.ts` writes and reads them. */
  views: string[];
  /** How many of them stand before the view that all else is about. */
  at: number;
  together: boolean;
  edges: boolean;
  vectors: { field: string; look: "arrows" | "flow" } | null;
  size: number | null;
  alpha: number | null;
  camera: number[] | null;
  layout: Layout | null;
  tissue: string | null;
  tissueCamera: number[] | null;
  spot: number | null;
  pictureAlpha: number;
  spotAlpha: number;
  selected: number[];
  theme: Theme;
}

const NAMES = ["dataset", ...CELLS_PARAMETERS, "theme"];

function numbers(text: string | null): number[] | null {
  if (text === null || text === "") return null;
  const found = text.split(",").map(Number);
  return found.every(Number.isFinite) ? found : null;
}

function numberOf(text: string | null): number | null {
  return numbers(text)?.[0] ?? null;
}

const LAYOUTS: Layout[] = ["embedding", "tissue", "both"];

/** An opacity; all of it when nothing, or nonsense, is said. */
function share(text: string | null): number {
  const value = numberOf(text) ?? 1;
  return value >= 0 && value <= 1 ? value : 1;
}

function readVectors(text: string | null): Linked["vectors"] {
  const found = /^(arrows|flow):(.+)$/.exec(text ?? "");
  return found ? { look: found[1] as "arrows" | "flow", field: found[2] as string } : null;
}

export function readUrl(search: string): Linked {
  const query = new URLSearchParams(search);
  const range = numbers(query.get("range"));
  const cmap = query.get("cmap");
  return {
    dataset: query.get("dataset"),
    embedding: query.get("embedding"),
    dim: numberOf(query.get("dim")),
    columns: numbers(query.get("columns")),
    color: query.get("color"),
    gene: numberOf(query.get("gene")),
    expr: query.get("expr"),
    range: range?.length === 2 ? [range[0] as number, range[1] as number] : null,
    cmap: cmap !== null && Object.hasOwn(COLOR_MAPS, cmap) ? (cmap as ColorMap) : "viridis",
    hidden: readRuns(query.get("hidden")),
    filters: query.getAll("filter"),
    fileColors: query.get("filecolors") === "1",
    views: query.getAll("pane"),
    at: numberOf(query.get("at")) ?? 0,
    together: query.get("apart") !== "1",
    edges: query.get("knn") === "1",
    vectors: readVectors(query.get("vectors")),
    size: numberOf(query.get("size")),
    alpha: numberOf(query.get("alpha")),
    camera: numbers(query.get("camera")),
    layout: LAYOUTS.find((one) => one === query.get("view")) ?? null,
    tissue: query.get("tissue"),
    tissueCamera: numbers(query.get("tissuecamera")),
    spot: numberOf(query.get("spot")),
    pictureAlpha: share(query.get("picture")),
    spotAlpha: share(query.get("spots")),
    selected: readRuns(query.get("selected")),
    theme: readTheme(search),
  };
}

/** The query of a view; parameters that are not ours are kept as they are. */
export function writeUrl(view: Linked, search: string): string {
  const query = new URLSearchParams(search);
  for (const name of NAMES) query.delete(name);
  const put = (name: string, value: string | number | null | undefined) => {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  };
  put("dataset", view.dataset);
  put("embedding", view.embedding);
  put("dim", view.dim);
  put("columns", view.columns?.join(","));
  put("color", view.color);
  put("gene", view.gene);
  put("expr", view.expr);
  put("range", view.range?.map((v) => Number(v.toPrecision(7))).join(","));
  put("cmap", view.cmap === "viridis" ? null : view.cmap);
  put("hidden", writeRuns(view.hidden));
  for (const text of view.filters) query.append("filter", text);
  put("filecolors", view.fileColors ? 1 : null);
  for (const text of view.views) query.append("pane", text);
  put("at", view.at === 0 ? null : view.at);
  put("apart", view.together ? null : 1);
  put("knn", view.edges ? 1 : null);
  put("vectors", view.vectors && `${view.vectors.look}:${view.vectors.field}`);
  put("size", view.size);
  put("alpha", view.alpha);
  put("camera", view.camera?.map((v) => Number(v.toPrecision(5))).join(","));
  put("view", view.layout);
  put("tissue", view.tissue);
  put("tissuecamera", view.tissueCamera?.map((v) => Number(v.toPrecision(7))).join(","));
  put("spot", view.spot);
  put("picture", view.pictureAlpha === 1 ? null : view.pictureAlpha);
  put("spots", view.spotAlpha === 1 ? null : view.spotAlpha);
  put("selected", writeRuns(view.selected));
  put("theme", view.theme === "system" ? null : view.theme);
  return query.toString();
}

/** Code numbers as runs, `0-4,7`, because "all but one of 70,000" must fit an address. */
export function writeRuns(codes: number[]): string {
  const sorted = [...codes].sort((a, b) => a - b);
  const runs: string[] = [];
  for (let i = 0; i < sorted.length; ) {
    const start = sorted[i] as number;
    let end = start;
    while (sorted[i + 1] === end + 1) {
      i += 1;
      end += 1;
    }
    runs.push(end > start ? `${start}-${end}` : `${start}`);
    i += 1;
  }
  return runs.join(",");
}

const MOST_CODES = 1_000_000;

export function readRuns(text: string | null): number[] {
  const codes: number[] = [];
  for (const run of (text ?? "").split(",")) {
    const found = /^(\d+)(?:-(\d+))?$/.exec(run);
    if (!found) continue;
    const start = Number(found[1]);
    if (!Number.isSafeInteger(start + MOST_CODES)) continue;
    const end = Math.min(Number(found[2] ?? found[1]), start + MOST_CODES);
    for (let code = start; code <= end && codes.length < MOST_CODES; code += 1) codes.push(code);
  }
  return codes;
}
