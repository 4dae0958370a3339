/** A gene by its name, or the very one of several of that name. */

import { getJson } from "../api/client";
import { isGenes } from "../api/shapes";
import type { Genes, Identity } from "../api/types";
import { addressOf } from "./crew";
import type { Source } from "./filters";
import { get } from "./store";

export async function findGene(
  identity: Identity,
  expression: string,
  index: number | null,
  name: string,
): Promise<Source | null> {
  const info = identity.expression.items.find((item) => item.id === expression);
  if (!info) return null;
  const known = get().genes;
  const genes =
    known?.expression === expression ? known : await getJson<Genes>(addressOf(info.genes), undefined, isGenes);
  const own = index !== null && genes.names[index] === name ? index : genes.names.indexOf(name);
  return own < 0 ? null : { kind: "gene", index: own, key: name, expression };
}
