/** The server's documents; see docs/reference/http-cells.md. */

export interface Dataset {
  id: string;
  path: string;
  name: string;
  status?: string;
  message?: string;
  hint?: string;
  /** Files of an export that are not there. */
  missing?: string[];
}

export interface EmbeddingInfo {
  id: string;
  label: string;
  width: number;
  dimensions: number[];
  default: boolean;
  axes: string[];
  files: Record<string, string>;
}

export type FieldKind = "category" | "continuous" | "text";

export interface FieldEntry {
  key: string;
  kind: FieldKind;
  n_categories?: number;
  index: number;
  info: string;
}

export interface ExpressionInfo {
  id: string;
  label: string;
  n_genes: number;
  genes: string;
}

/** A picture under the cells. */
export interface TissueInfo {
  array_id: string;
  name: string;
  /** Whose first two columns, as stored, are x and y. */
  embedding: string;
  /** column = a·x + b·y + c, row = d·x + e·y + f */
  matrix: [number, number, number, number, number, number];
  /** Diameter of what was measured as one cell, in units of x. */
  spot: number | null;
}

/** Arrows of cells; `files` and `embeddings` by `2d` and the like. */
export interface VectorField {
  label: string;
  available_dimensions: number[];
  files: Record<string, string>;
  embeddings: Record<string, string>;
}

export interface Identity {
  id: string;
  name: string;
  stats: { n_cells: number; n_genes: number; has_connectivity?: boolean };
  embeddings: { items: EmbeddingInfo[] };
  obs_fields: FieldEntry[];
  /** Columns of obs that the server could not read. */
  unreadable_fields?: { key: string; message: string }[];
  /** Files of an export that are not there. */
  incomplete?: string[];
  expression: { default: string | null; items: ExpressionInfo[] };
  tissue?: TissueInfo[];
  vector_fields?: { default_field: string; fields: Record<string, VectorField> };
  /** Orders of the cells in which arrays can be asked for, besides the file's. */
  orders?: string[];
}

export interface CategoryField {
  index: number;
  key: string;
  kind: "category";
  ordered: boolean;
  categories: string[];
  counts: number[];
  n_missing: number;
  dtype: "uint8" | "uint16" | "uint32";
  missing: number;
  codes: string;
  colors: string[] | null;
}

export interface ContinuousField {
  index: number;
  key: string;
  kind: "continuous";
  min: number | null;
  max: number | null;
  n_missing: number;
  values: string;
}

export interface TextField {
  index: number;
  key: string;
  kind: "text";
}

export type Field = CategoryField | ContinuousField | TextField;

export interface Genes {
  expression: string;
  names: string[];
  symbols: string[] | null;
  values: string;
}

export interface CellNames {
  start: number;
  names: string[];
}

export interface Cell {
  index: number;
  name: string;
  fields: Record<string, string | number | null>;
}
