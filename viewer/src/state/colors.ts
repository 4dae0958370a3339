/** Colours of the cells: the values of a field, a gene or a score, from the server to where they can be drawn. */

import { getBytes, getJson } from "../api/client";
import { isField, isGenes } from "../api/shapes";
import type { Field, Genes } from "../api/types";
import { labelOf } from "../data/genes";
import { codesComeInParts, fetchCodes, fetchNumbers } from "./arrival";
import { addressOf, crewOf } from "./crew";
import { CODE_BYTES, columnOf, valuesOf } from "./filters";
import { followIndex } from "./indexing";
import { type Color, get, NOTHING, type Painted, set } from "./store";

const path = addressOf;

export async function loadGenes(): Promise<Genes | null> {
  const { expression, genes, identity } = get();
  if (genes !== null && genes.expression === expression) return genes;
  const info = identity?.expression.items.find((e) => e.id === expression);
  if (!info) return null;
  const fetched = await getJson<Genes>(path(info.genes), undefined, isGenes);
  // Another data set may have been opened meanwhile, whose matrix has the same name.
  if (get().expression === expression && get().identity === identity) set({ genes: fetched });
  return fetched;
}

/** Whether these are the complete colours of a field or gene. */
export function isOf(painted: Exclude<Painted, { kind: "none" }>, color: Color): boolean {
  return painted.arrived === undefined && color.kind !== "none" && painted.column === columnOf(color);
}

export function keyOf(color: Color): string {
  return color.kind === "none" ? "none" : `${color.kind}:${color.key}`;
}

export async function fetchPainted(
  color: Exclude<Color, { kind: "none" }>,
  signal: AbortSignal,
  show: (now: Painted) => void,
  tell: (fraction: number) => void,
): Promise<Painted> {
  const n = get().identity?.stats.n_cells ?? 0;
  const key = keyOf(color);
  const column = columnOf(color);
  if (color.kind === "gene") {
    const genes = await loadGenes();
    void followIndex(path, color.expression);
    const own = genes?.expression === color.expression;
    const named = { key, column, title: own ? labelOf(genes, color.index, color.key) : color.key };
    const url = own ? genes.values.replace("{index}", String(color.index)) : valuesOf(color);
    return fetchNumbers(url, named, signal, show, tell);
  }
  if (color.kind === "score") {
    const { scoreBytes } = await import("./scores");
    const bytes = await scoreBytes(color, n, signal);
    const laid = await crewOf().run({ kind: "values", bytes, n, key, column });
    return { kind: "continuous", key, column, title: color.key, ...laid };
  }
  const field = await getJson<Field>(path(`fields/${color.index}.json`), signal, isField);
  if (field.kind === "category") {
    if (codesComeInParts(get().identity, field)) return fetchCodes(field, { key, column }, signal, show);
    const bytes = await getBytes(path(field.codes), n * CODE_BYTES[field.dtype], signal);
    const task = {
      kind: "codes",
      bytes,
      n,
      dtype: field.dtype,
      categories: field.categories.length,
      key,
      column,
    } as const;
    return { kind: "category", key, column, field, ...(await crewOf().run(task)) };
  }
  if (field.kind === "text") return NOTHING;
  return fetchNumbers(field.values, { key, column, title: color.key }, signal, show, tell);
}
