/** How far the gene index of the matrix is that a gene was asked of: the server makes it in the background. */

import { getJson } from "../api/client";
import { isGeneIndex } from "../api/shapes";
import { get, set } from "./store";

const LOOK_MS = 1000;
const AT_WORK = ["building", "waiting"];

interface GeneIndex {
  expression: string;
  state: "off" | "none" | "waiting" | "building" | "ready" | "failed";
  share: number;
  message: string | null;
}

let following = "";

/** Tell the share that is done until it is ready; what cannot be told is not missed. */
export async function followIndex(path: (rest: string) => string, expression: string): Promise<void> {
  const url = path(`gene_index.json?expression=${encodeURIComponent(expression)}`);
  if (following === url) return;
  following = url;
  try {
    while (following === url && get().color.kind === "gene") {
      const told = await getJson<GeneIndex>(url, undefined, isGeneIndex);
      if (following !== url || !AT_WORK.includes(told.state)) break;
      set({ indexing: told.share });
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  } catch {
    // The gene itself tells when the server is out of reach.
  } finally {
    if (following === url) {
      following = "";
      set({ indexing: null });
    }
  }
}

/** The words of the bottom strip. */
export function indexWords(share: number): string {
  return `gene index ${Math.round(share * 100)} %`;
}
