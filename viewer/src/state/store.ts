/** What is shown and what is known, in one place; views read it and never talk to each other. */

import { create } from "zustand";
import type { ApiError } from "../api/client";
import type { CategoryField, Cell, Dataset, EmbeddingInfo, Genes, Identity } from "../api/types";
import type { Bits } from "../data/bits";
import type { Codes, Summary } from "../data/points";
import type { Selection } from "../data/selecting";
import type { ColorMap } from "../gpu/lut";
import type { ColumnInfo, Filter } from "./filters";
import type { Group, Marks } from "./groups";
import type { Theme } from "./theme";

export type Color =
  | { kind: "none" }
  | { kind: "field"; index: number; key: string }
  | { kind: "gene"; index: number; key: string; expression: string }
  /** A gene set's score; all that is needed to compute it. */
  | {
      kind: "score";
      id: string;
      key: string;
      expression: string;
      method: "scanpy" | "mean" | "zmean";
      genes: { index: number; name: string }[];
    };

/**
 * What colours the points now; it stays until the next is complete, so that nothing flickers.
 *
 * `column` names the values to filters; networks have none.
 */
export type Painted =
  | { kind: "none"; key: string }
  | { kind: "category"; key: string; column?: string; field: CategoryField; values: Codes; arrived?: number }
  | {
      kind: "continuous";
      key: string;
      column?: string;
      title: string;
      /** Of what has arrived. */
      summary: Summary;
      values: Float32Array;
      arrived?: number;
    };

export interface Geometry {
  positions: Float32Array;
  n: number;
  /** Places whose coordinates have arrived, from the first; they are drawn while the rest is on its way. */
  arrived: number;
  nowhere: number;
  embedding: EmbeddingInfo;
  dim: number;
  columns: number[];
}

export interface Hover {
  cell: number;
  position: [number, number, number];
  /** The view that was asked, by id or `tissue`; the others mark the same cell. */
  view: string;
  x: number;
  y: number;
  /** Width and height of that view. */
  room: [number, number];
  detail: Cell | null;
}

/** Which views are shown. */
export type Layout = "embedding" | "tissue" | "both";

/**
 * What one of several views of the cells has of its own; all else (selection, filters, groups, hover) is of all of them.
 *
 * Of the view that has the focus these are in the model itself, where the panels read them; see `views.ts`.
 */
export type Own = Pick<Model, "geometry" | "color" | "painted" | "range" | "cmap" | "fileColors" | "camera">;

export interface View extends Own {
  id: string;
}

/** What a drag does. */
export type Tool = "move" | "lasso" | "rectangle";

export interface Progress {
  label: string;
  /** 0 to 1, or null when it is not known. */
  fraction: number | null;
}

export interface Model {
  phase: "loading" | "ready" | "error" | "empty";
  error: ApiError | null;
  offline: boolean;
  notice: string | null;
  progress: Record<string, Progress>;
  /** How much of the gene index is made, 0 to 1; null when none is being made. */
  indexing: number | null;
  datasets: Dataset[];
  dataset: Dataset | null;
  /** In the order of the grid. What the one that has the focus says here is out of date. */
  views: View[];
  /** Id of the view that has the focus. */
  focused: string;
  /** Views that lay the cells out alike move together. */
  together: boolean;
  /** Edges of the kNN graph are drawn. */
  edges: boolean;
  /** The vector field that is drawn. */
  vectors: { field: string; look: "arrows" | "flow" } | null;
  /** The dialog that saves a figure is open. */
  figure: boolean;
  identity: Identity | null;
  genes: Genes | null;
  expression: string | null;
  geometry: Geometry | null;
  color: Color;
  painted: Painted;
  /** What is switched off in the legend: of cells, as the filter by the coloured field says. Set by `setFilters`. */
  hidden: Uint8Array | null;
  filters: Filter[];
  /** Places (as in `selection.places`) of the cells that pass every filter; null when all do. */
  passing: Bits | null;
  /** How many pass; counts only while `passing` is not null. */
  passingCount: number;
  /** How many cells each filter alone lets through, by its id. */
  kept: Record<string, number>;
  /** By column: cells in each bin or category, then missing, among those that pass all filters of other columns. */
  counts: Record<string, Uint32Array>;
  /** Fields and genes whose values the worker holds, or has held. */
  columns: Record<string, ColumnInfo>;
  groups: Group[];
  /** Shown groups as they are drawn; null when none is. */
  marks: Marks | null;
  range: [number, number] | null;
  cmap: ColorMap;
  fileColors: boolean;
  size: number | null;
  alpha: number | null;
  camera: number[] | null;
  theme: Theme;
  hover: Hover | null;
  /** Null: what fits the data set and the screen. */
  layout: Layout | null;
  /** Name of the picture under the cells; null for the first. */
  tissue: string | null;
  tissueCamera: number[] | null;
  /** Diameter of cells on the tissue, in pixels of the picture; null for what fits. */
  spot: number | null;
  /** Opacity of the picture, and of the cells on it. */
  pictureAlpha: number;
  spotAlpha: number;
  tool: Tool;
  selection: Selection | null;
  /** Scores of gene sets, for this data set. */
  scores: Extract<Color, { kind: "score" }>[];
  /** Whether the analysis is open. */
  analysis: boolean;
  sheet: "none" | "panel" | "legend";
  help: boolean;
}

export const NOTHING: Painted = { kind: "none", key: "none" };

export const BLANK: Own = {
  geometry: null,
  color: { kind: "none" },
  painted: NOTHING,
  range: null,
  cmap: "viridis",
  fileColors: false,
  camera: null,
};

export const useModel = create<Model>(() => ({
  phase: "loading",
  error: null,
  offline: false,
  notice: null,
  progress: {},
  indexing: null,
  datasets: [],
  dataset: null,
  views: [{ id: "1", ...BLANK }],
  focused: "1",
  together: true,
  edges: false,
  vectors: null,
  figure: false,
  identity: null,
  genes: null,
  expression: null,
  ...BLANK,
  hidden: null,
  filters: [],
  passing: null,
  passingCount: 0,
  kept: {},
  counts: {},
  columns: {},
  groups: [],
  marks: null,
  size: null,
  alpha: null,
  theme: "system",
  hover: null,
  layout: null,
  tissue: null,
  tissueCamera: null,
  spot: null,
  pictureAlpha: 1,
  spotAlpha: 1,
  tool: "move",
  selection: null,
  scores: [],
  analysis: false,
  sheet: "none",
  help: false,
}));

export const set = useModel.setState;
export const get = useModel.getState;

const percent = (one: Progress | undefined) => one && `${one.label}:${one.fraction && Math.round(one.fraction * 100)}`;

export function setProgress(key: string, progress: Progress | null): void {
  // Told with every piece that comes; nobody sees less than a hundredth.
  if (progress !== null && percent(progress) === percent(get().progress[key])) return;
  set((state) => {
    const { [key]: _, ...rest } = state.progress;
    return { progress: progress === null ? rest : { ...rest, [key]: progress } };
  });
}

/** How many cells pass the filters, of those that have coordinates or not. */
export function shownCells({ identity, passing, passingCount }: Model): number {
  return passing === null ? (identity?.stats.n_cells ?? 0) : passingCount;
}

/** Selections of more cells than this would not fit an address. */
export const MOST_LINKED = 200;
