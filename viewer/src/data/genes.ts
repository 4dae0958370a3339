/** Searching genes by name and symbol: what starts with the words first, then what holds them. */

import type { Genes } from "../api/types";

export interface GeneHit {
  index: number;
  name: string;
  symbol: string | null;
}

export interface GeneHits {
  hits: GeneHit[];
  total: number;
}

export const SHOWN = 50;

/** What people call a gene: its symbol, where the data has one beside its name. */
export function labelOf(genes: Genes | null, index: number | undefined, name: string): string {
  if (index === undefined || genes?.names[index] !== name) return name;
  return genes.symbols?.[index] || name;
}

/** Lower-case search texts, made once for each list of genes: 60,000 of them in a few ms. */
const prepared = new WeakMap<Genes, { names: string[]; symbols: string[] | null }>();

function textsOf(genes: Genes): { names: string[]; symbols: string[] | null } {
  let texts = prepared.get(genes);
  if (texts === undefined) {
    const lower = (list: string[]) => list.map((text) => text.toLowerCase());
    texts = { names: lower(genes.names), symbols: genes.symbols ? lower(genes.symbols) : null };
    prepared.set(genes, texts);
  }
  return texts;
}

/** How a gene's name or symbol goes with what is typed. */
export function matchOf(hit: GeneHit | undefined, query: string): "exact" | "begins" | "other" {
  const wanted = query.trim().toLowerCase();
  const names = [hit?.name, hit?.symbol].map((text) => text?.toLowerCase() ?? "");
  if (names.includes(wanted)) return "exact";
  return names.some((text) => text.startsWith(wanted)) ? "begins" : "other";
}

const LEAST_LETTERS = 3;
const NEAREST = 4;

/** Letters to change, add or leave out to make one word of the other; more than `most` need not be exact. */
function steps(a: string, b: string, most: number): number {
  if (Math.abs(a.length - b.length) > most) return most + 1;
  let before = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const now = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const other = (before[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      now.push(Math.min(other, (before[j] as number) + 1, (now[j - 1] as number) + 1));
    }
    if (Math.min(...now) > most) return most + 1;
    before = now;
  }
  return before[b.length] as number;
}

/** Names that differ from the query by a slip of the finger, the nearest first. */
export function nearGenes(genes: Genes, query: string): string[] {
  const wanted = query.trim().toLowerCase();
  if (wanted.length < LEAST_LETTERS) return [];
  const most = wanted.length < 5 ? 1 : 2;
  const { names, symbols } = textsOf(genes);
  const found = (symbols ?? names).flatMap((text, i) => {
    const far = steps(wanted, text, most);
    return far <= most ? [{ far, name: (genes.symbols ?? genes.names)[i] as string }] : [];
  });
  return found
    .sort((a, b) => a.far - b.far)
    .slice(0, NEAREST)
    .map(({ name }) => name);
}

export function findGenes(genes: Genes, query: string): GeneHits {
  const wanted = query.trim().toLowerCase();
  const { names, symbols } = textsOf(genes);
  const exact: number[] = [];
  const starts: number[] = [];
  const holds: number[] = [];
  for (let i = 0; i < names.length; i += 1) {
    const name = names[i] as string;
    const symbol = symbols?.[i] ?? "";
    if (name === wanted || symbol === wanted) exact.push(i);
    else if (name.startsWith(wanted) || symbol.startsWith(wanted)) starts.push(i);
    else if (name.includes(wanted) || symbol.includes(wanted)) holds.push(i);
  }
  const order = exact.concat(starts, holds);
  const hits = order.slice(0, SHOWN).map((index) => ({
    index,
    name: genes.names[index] as string,
    symbol: genes.symbols?.[index] ?? null,
  }));
  return { hits, total: order.length };
}
