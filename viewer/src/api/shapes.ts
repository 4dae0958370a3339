/** The server's documents as the page needs them, by what it does with them; members that nothing reads are not looked at. */

import { and, either, flag, type Is, list, maybe, number, object, oneOf, record, text, tuple, whole } from "./shape";

/** More cells than this have no array in any browser. */
const MOST = 2 ** 31;
const many: Is = (value) => whole(value) && (value as number) < MOST;
const numbers = list(maybe(number));
const color: Is = (value) => typeof value === "string" && /^#[0-9a-f]{6}/i.test(value);

// -- cells -------------------------------------------------------------------------------------------------------------

export const isDatasets = object({
  datasets: list(
    object({ id: text, path: text, name: text, status: maybe(text), message: maybe(text), hint: maybe(text) }),
  ),
});

const embedding = object({
  id: text,
  label: text,
  width: whole,
  dimensions: list(oneOf(1, 2, 3)),
  axes: list(text),
  files: record(text),
});
const field = object({ key: text, kind: text, n_categories: maybe(many), index: whole, info: maybe(text) });
const tissue = object({ array_id: text, name: text, embedding: text, matrix: tuple(number, 6), spot: maybe(number) });
const vectors = object({
  label: maybe(text),
  available_dimensions: maybe(list(whole)),
  files: record(text),
  embeddings: record(text),
});

export const isIdentity = object({
  id: text,
  name: text,
  stats: object({ n_cells: many, n_genes: whole }),
  embeddings: object({ items: list(embedding) }),
  obs_fields: list(field),
  unreadable_fields: maybe(list(object({ key: text, message: text }))),
  incomplete: maybe(list(text)),
  expression: object({
    default: maybe(text),
    items: list(object({ id: text, label: text, n_genes: whole, genes: text })),
  }),
  tissue: maybe(list(tissue)),
  vector_fields: maybe(object({ default_field: maybe(text), fields: record(vectors) })),
  orders: maybe(list(text)),
});

const category = and(
  object({
    kind: oneOf("category"),
    index: whole,
    key: text,
    categories: list(text),
    counts: list(whole),
    n_missing: whole,
    dtype: oneOf("uint8", "uint16", "uint32"),
    codes: text,
    colors: maybe(list(color)),
  }),
  (value) => {
    const { categories, counts } = value as { categories: string[]; counts: number[] };
    return counts.length === categories.length;
  },
);
const continuous = object({
  kind: oneOf("continuous"),
  index: whole,
  key: text,
  min: maybe(number),
  max: maybe(number),
  n_missing: maybe(whole),
  values: text,
});
export const isField = either(category, continuous, object({ kind: oneOf("text"), index: whole, key: text }));

export const isGenes = and(object({ names: list(text), symbols: maybe(list(text)), values: text }), (value) => {
  const { names, symbols } = value as { names: string[]; symbols?: string[] | null };
  return !symbols || symbols.length === names.length;
});
export const isCellNames = object({ start: whole, names: list(text) });
export const isCell = object({ index: whole, name: text, fields: record(maybe(either(text, number, flag))) });
export const isDigest = object({ digest: maybe(text) });
export const isGeneIndex = object({ state: text, share: number });
export const isGraph = object({
  n_edges: many,
  index_dtype: oneOf("uint16", "uint32", "uint64"),
  sourcesPath: text,
  destinationsPath: text,
  weightsPath: maybe(text),
});

// -- images ------------------------------------------------------------------------------------------------------------

const axis = object({ name: text, type: maybe(text), unit: maybe(text), scale: number, origin: maybe(number) });
const limits = object({ start: number, end: number });
const channel = object({ index: whole, label: text, color, window: maybe(limits) });
const plate = object({
  rows: list(object({ name: text })),
  columns: list(object({ name: text })),
  wells: list(object({ path: text, rowIndex: whole, columnIndex: whole })),
});

export const isTileInfo = object({
  array_id: text,
  source_id: text,
  name: text,
  version: text,
  dtype: text,
  dim_labels: list(text),
  shape: list(whole),
  axes: list(axis),
  tile_size: (value) => whole(value) && (value as number) > 0,
  levels: list(object({ level: whole, shape: list(whole) })),
  channels: list(channel),
  labels: list(text),
  plate: maybe(plate),
  siblings: list(object({ array_id: text, name: text })),
});

export const isStatistics = object({
  channels: list(
    object({
      index: whole,
      min: maybe(number),
      max: maybe(number),
      percentiles: record(maybe(number)),
      histogram: object({ lo: maybe(number), hi: maybe(number), counts: list(number) }),
    }),
  ),
});

// -- the list of sources -----------------------------------------------------------------------------------------------

const tensor = object({ array_id: text, name: text, dim_labels: list(text), shape: list(whole), dtype: text });
const failure = object({ code: text, message: text, hint: maybe(text) });
export const isSource = object({
  source_id: text,
  name: text,
  source_url: text,
  source_type: text,
  kind: text,
  status: text,
  version: maybe(text),
  size_bytes: maybe(number),
  modified: maybe(either(number, text)),
  error: maybe(failure),
  tensors: either(oneOf(null), list(tensor)),
  facts: maybe(record(number)),
});
export const isSources = list(isSource);
export const isCatalog = object({
  revision: either(text, number),
  sources: whole,
  by_kind: record(maybe(whole)),
  failed: whole,
  scanning: flag,
  roots: list(text),
});
export const isName = object({ name: text });

// -- networks ----------------------------------------------------------------------------------------------------------

const corner = tuple(number, 3);
const box = tuple(corner, 2);
const population = object({ name: text, start: whole, count: many, offset: whole });
const projection = object({
  index: whole,
  name: text,
  source: text,
  destination: text,
  type: maybe(text),
  edges: whole,
  attributes: list(object({ name: text, dtype: text })),
});
export const isAbout = object({
  name: text,
  neurons: many,
  edges: whole,
  bounds: maybe(box),
  populations: list(population),
  projections: list(projection),
  left_out: record(text),
  layers: record(box),
  electrodes: maybe(object({ coordinates: list(tuple(number, 4)) })),
  columns: list(object({ index: whole, key: text, dtype: text })),
});
export const isColumnInfo = either(
  object({ kind: oneOf("category"), dtype: oneOf("uint8", "uint16", "uint32"), categories: maybe(list(text)) }),
  object({ kind: oneOf("number"), dtype: text, min: maybe(number), max: maybe(number) }),
);
export const isSides = object({ edges: list(number), counts: record(list(number)) });
export const isDegrees = object({ in: isSides, out: isSides });
export const isDistances = object({
  projections: list(object({ projection: whole, edges: list(number), probability: numbers })),
});
export const isMatrix = object({ populations: list(text), connections: list(numbers), probability: list(numbers) });
export const isTableHead = object({
  rows: whole,
  total: maybe(whole),
  columns: list(object({ name: text, dtype: text, offset: whole, bytes: whole })),
});

// -- HDF5, jobs, links, the notebook -----------------------------------------------------------------------------------

export const isDomains = object({ domains: list(object({ class: text, name: text })) });
export const isJob = object({ job: text, state: text, progress: number, message: maybe(text), result: text });
export const isShares = object({
  shares: list(
    object({
      id: text,
      name: maybe(text),
      source: text,
      label: maybe(text),
      expires_s: number,
      revoked_s: maybe(number),
    }),
  ),
});
export const isSharedLink = object({ fragment: text, expires_s: number });
export const isScope = object({ scope: maybe(oneOf("admin", "read", "share")) });
export const isCommands = object({
  last: number,
  ended: maybe(flag),
  commands: list(
    object({
      number: whole,
      do: text,
      n: maybe(whole),
      name: maybe(text),
      color: maybe(text),
      key: maybe(text),
      camera: maybe(list(number)),
    }),
  ),
});

// -- analyses ----------------------------------------------------------------------------------------------------------

const groups = list(object({ name: text, n_cells: whole, code: maybe(number) }));
const comparison = object({
  name: text,
  n_cells: whole,
  reference: text,
  n_reference: whole,
  genes: list(whole),
  names: list(text),
  scores: numbers,
  logfoldchanges: numbers,
  pvals: numbers,
  pvals_adj: numbers,
  log10_pvals_adj: numbers,
  means: numbers,
  means_reference: numbers,
  fractions: numbers,
  fractions_reference: numbers,
});
const differential = object({ results: list(comparison) });
export const isAnswer: Record<string, Is> = {
  summary: object({ groups, rows: list(object({ name: text, n: list(number), mean: numbers, fraction: numbers })) }),
  distribution: object({
    groups,
    rows: list(
      object({
        name: text,
        edges: maybe(list(number)),
        quantiles: list(maybe(numbers)),
        counts: list(list(number)),
        mean: numbers,
      }),
    ),
  }),
  differential,
  markers: object({ results: list(object({ genes: list(whole), names: list(text) })) }),
  composition: object({
    name: text,
    categories: list(text),
    groups,
    counts: list(list(number)),
    n_missing: list(number),
  }),
  score: object({ job: maybe(text), names: maybe(list(text)), min: maybe(number), max: maybe(number), values: text }),
};
