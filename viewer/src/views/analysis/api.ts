/** Questions of groups of cells, and their answers; see docs/reference/http-analysis.md. */

import { answerTo, type Tell } from "../../api/jobs";
import { isAnswer } from "../../api/shapes";
import type { Bits } from "../../data/bits";
import { addressOf } from "../../state/actions";

export type Cells =
  | { kind: "category"; field: number; codes: number[] }
  | { kind: "cells"; bits: string }
  | { kind: "rest" }
  | { kind: "all" };

export type Groups = { field: number; codes?: number[] } | { name: string; cells: Cells }[];

export interface GroupSize {
  name: string;
  n_cells: number;
  code?: number;
}

export interface SummaryRow {
  gene?: number;
  field?: number;
  name: string;
  n: number[];
  mean: (number | null)[];
  fraction: (number | null)[];
  n_expressing: number[];
}

export interface Summary {
  job: string;
  groups: GroupSize[];
  rows: SummaryRow[];
}

export interface DistributionRow {
  gene?: number;
  field?: number;
  name: string;
  n: number[];
  edges: number[] | null;
  /** For each group; nulls where it has no value. */
  quantiles: ((number | null)[] | null)[];
  counts: number[][];
  mean: (number | null)[];
}

export interface Distribution {
  job: string;
  groups: GroupSize[];
  quantiles: number[];
  rows: DistributionRow[];
}

export interface Comparison {
  name: string;
  n_cells: number;
  reference: string;
  n_reference: number;
  genes: number[];
  names: string[];
  scores: (number | null)[];
  logfoldchanges: (number | null)[];
  pvals: (number | null)[];
  pvals_adj: (number | null)[];
  log10_pvals_adj: (number | null)[];
  means: (number | null)[];
  means_reference: (number | null)[];
  fractions: (number | null)[];
  fractions_reference: (number | null)[];
}

export interface Differential {
  job: string;
  expression: string;
  method: string;
  n_tested: number;
  results: Comparison[];
}

export interface Composition {
  job: string;
  name: string;
  categories: string[];
  groups: GroupSize[];
  counts: number[][];
  n_missing: number[];
}

interface Answers {
  summary: Summary;
  distribution: Distribution;
  differential: Differential;
  markers: Differential;
  composition: Composition;
}

export function ask<K extends keyof Answers>(
  what: K,
  body: object,
  signal: AbortSignal,
  tell: Tell,
): Promise<Answers[K]> {
  return answerTo<Answers[K]>(addressOf, { what, body }, signal, tell, isAnswer[what]);
}

const PIECE = 0x8000;

/** Bit i & 7 of byte i >> 3 is cell i: the words of `Bits` as they lie in memory, on every machine that has a browser. */
export function toBase64(bits: Bits, n: number): string {
  const bytes = new Uint8Array(bits.buffer, bits.byteOffset, Math.ceil(n / 8));
  let text = "";
  for (let i = 0; i < bytes.length; i += PIECE) text += String.fromCharCode(...bytes.subarray(i, i + PIECE));
  return btoa(text);
}
