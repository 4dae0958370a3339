/** A gene that the matrix lacks, looked for in a larger one: often the first holds the most variable genes only. */

import { useEffect, useState } from "react";
import { getJson } from "../api/client";
import { isGenes } from "../api/shapes";
import type { ExpressionInfo, Genes } from "../api/types";
import { findGenes, type GeneHit, matchOf } from "../data/genes";
import { addressOf } from "../state/crew";

const LEAST_LETTERS = 2;

/** Lists of genes that were asked for. */
const lists = new WeakMap<ExpressionInfo, Promise<Genes>>();

function listOf(matrix: ExpressionInfo): Promise<Genes> {
  let list = lists.get(matrix);
  if (list === undefined) {
    list = getJson<Genes>(addressOf(matrix.genes), undefined, isGenes);
    lists.set(matrix, list);
    list.catch(() => lists.delete(matrix));
  }
  return list;
}

/**
 * The gene of just this name or symbol in another matrix.
 *
 * Null where that has none either; undefined until it is known, and while the own one (`best` of its genes) may have it.
 */
export function useElsewhere(
  query: string,
  best: GeneHit | undefined,
  matrix: ExpressionInfo | undefined,
): GeneHit | null | undefined {
  const [found, setFound] = useState<GeneHit | null>();
  const wanted = matchOf(best, query) === "other" && query.trim().length >= LEAST_LETTERS ? query : "";
  useEffect(() => {
    setFound(undefined);
    if (wanted === "" || matrix === undefined) return;
    let asked = true;
    listOf(matrix).then(
      (genes) => {
        const [hit] = findGenes(genes, wanted).hits;
        if (asked) setFound(hit && matchOf(hit, wanted) === "exact" ? hit : null);
      },
      () => undefined,
    );
    return () => {
      asked = false;
    };
  }, [wanted, matrix]);
  return found;
}
