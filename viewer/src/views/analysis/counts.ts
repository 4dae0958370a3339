/** Whether a matrix looks like raw counts: a look at a few genes is enough to say that it does not. */

import { getBytes } from "../../api/client";
import type { Genes } from "../../api/types";

/** Looked at, spread over the matrix. */
const GENES = 4;
/** Large data sets are asked for fewer genes, and the largest for none: a hint is not worth more. */
const MOST_BYTES = 8e6;

/** Only whole numbers, none below 0, and some above 1: a matrix of yes and no is no matrix of counts. */
export function areCounts(values: Float32Array): "yes" | "no" | "unknown" {
  let most = 0;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    if (value < 0 || !Number.isInteger(value)) return "no";
    if (value > most) most = value;
  }
  return most > 1 ? "yes" : "unknown";
}

export async function looksRaw(
  addressOf: (relative: string) => string,
  genes: Genes,
  n: number,
  signal: AbortSignal,
): Promise<boolean> {
  const many = Math.min(GENES, genes.names.length, Math.floor(MOST_BYTES / (4 * Math.max(1, n))));
  let counts = false;
  for (let i = 0; i < many; i += 1) {
    const index = Math.floor(((i + 0.5) * genes.names.length) / many);
    const url = addressOf(genes.values.replace("{index}", String(index)));
    const found = areCounts(new Float32Array(await getBytes(url, n * 4, signal)));
    if (found === "no") return false;
    counts ||= found === "yes";
  }
  return counts;
}
