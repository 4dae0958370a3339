/** What a matrix looks like: logarithms, raw counts or scaled values. A look at a few genes is enough. */

import { getBytes } from "../../api/client";
import type { Genes } from "../../api/types";

/** Looked at, spread over the matrix. */
const GENES = 4;
/** Large data sets are asked for fewer genes, and the largest for none: a hint is not worth more. */
const MOST_BYTES = 8e6;

export type MatrixKind = "counts" | "scaled" | "fine";

/** Whole numbers are counts when some are above 1: a matrix of yes and no is none. */
export function kindOfValues(values: Float32Array): MatrixKind | "unknown" {
  let most = 0;
  let whole = true;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    if (value < 0) return "scaled";
    whole &&= Number.isInteger(value);
    if (value > most) most = value;
  }
  if (!whole) return "fine";
  return most > 1 ? "counts" : "unknown";
}

export async function kindOf(
  addressOf: (relative: string) => string,
  genes: Genes,
  n: number,
  signal: AbortSignal,
): Promise<MatrixKind> {
  const many = Math.min(GENES, genes.names.length, Math.floor(MOST_BYTES / (4 * Math.max(1, n))));
  const found = new Set<MatrixKind | "unknown">();
  for (let i = 0; i < many; i += 1) {
    const index = Math.floor(((i + 0.5) * genes.names.length) / many);
    const url = addressOf(genes.values.replace("{index}", String(index)));
    found.add(kindOfValues(new Float32Array(await getBytes(url, n * 4, signal))));
    if (found.has("scaled")) return "scaled";
  }
  return found.has("counts") && !found.has("fine") ? "counts" : "fine";
}
