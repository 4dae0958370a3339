/** Lists of genes as people paste them, and files of gene sets (GMT). */

import type { Genes } from "../../api/types";

export interface Found {
  /** Numbers of the genes, in the order of the text, each once. */
  genes: number[];
  /** Names that no gene has. */
  unknown: string[];
  /** Names that several genes have; the first of them was taken. */
  shared: string[];
}

type Numbers = Map<string, number[]>;

interface Names {
  exact: Numbers[];
  loose: Numbers[];
}

/** Where each name is, made once for each list of genes. */
const prepared = new WeakMap<Genes, Names>();

function numbersOf(texts: string[], change: (text: string) => string): Numbers {
  const numbers: Numbers = new Map();
  texts.forEach((text, i) => {
    const key = change(text);
    const known = numbers.get(key);
    if (known) known.push(i);
    else numbers.set(key, [i]);
  });
  return numbers;
}

function namesOf(genes: Genes): Names {
  let names = prepared.get(genes);
  if (names === undefined) {
    const texts = genes.symbols ? [genes.names, genes.symbols] : [genes.names];
    const lower = (text: string) => text.toLowerCase();
    names = {
      exact: texts.map((list) => numbersOf(list, (text) => text)),
      loose: texts.map((list) => numbersOf(list, lower)),
    };
    prepared.set(genes, names);
  }
  return names;
}

/** Genes of one name or symbol: as it is written, else whatever the case. */
function genesNamed(genes: Genes, name: string): number[] {
  const { exact, loose } = namesOf(genes);
  for (const numbers of exact) {
    const found = numbers.get(name);
    if (found) return found;
  }
  for (const numbers of loose) {
    const found = numbers.get(name.toLowerCase());
    if (found) return found;
  }
  return [];
}

const BETWEEN = /[\n\r\t,;|]+/;
const QUOTES = /^["'`]+|["'`]+$/g;

function words(text: string, between: RegExp): string[] {
  return text
    .split(between)
    .map((word) => word.trim().replace(QUOTES, "").trim())
    .filter((word) => word !== "");
}

/** Names are parted by lines, tabulators, commas or semicolons; by spaces where the whole is no name. */
function namesIn(genes: Genes, text: string): string[] {
  return words(text, BETWEEN).flatMap((word) => (genesNamed(genes, word).length > 0 ? [word] : words(word, /\s+/)));
}

export function findAll(genes: Genes, text: string): Found {
  return findNames(genes, namesIn(genes, text));
}

export function findNames(genes: Genes, names: string[]): Found {
  const found = new Set<number>();
  const unknown = new Set<string>();
  const shared = new Set<string>();
  for (const name of names) {
    const [first, ...others] = genesNamed(genes, name);
    if (first === undefined) unknown.add(name);
    else found.add(first);
    if (others.length > 0) shared.add(name);
  }
  return { genes: [...found], unknown: [...unknown], shared: [...shared] };
}

export interface GeneSet {
  name: string;
  description: string;
  genes: string[];
}

export interface GmtFile {
  sets: GeneSet[];
  /** Numbers of the lines that are no gene set, from 1. */
  bad: number[];
}

/** One set a line: its name, a description, then its genes, parted by tabulators. */
export function readGmt(text: string): GmtFile {
  const file: GmtFile = { sets: [], bad: [] };
  text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\n|\r/)
    .forEach((line, i) => {
      if (line.trim() === "" || line.startsWith("#")) return;
      const [name = "", description = "", ...genes] = line.split("\t").map((part) => part.trim());
      const some = genes.filter((gene) => gene !== "");
      if (name === "" || some.length === 0) file.bad.push(i + 1);
      else file.sets.push({ name, description, genes: some });
    });
  return file;
}

/** What to say of names that were not found, or found twice. */
export function wordsOf({ unknown, shared }: Found): string {
  const listed = (names: string[]) =>
    names.slice(0, 8).join(", ") + (names.length > 8 ? ` and ${names.length - 8} more` : "");
  const parts: string[] = [];
  if (unknown.length > 0) parts.push(`Not among the genes: ${listed(unknown)}.`);
  if (shared.length > 0) parts.push(`Several genes are called ${listed(shared)}; the first was taken.`);
  return parts.join(" ");
}
