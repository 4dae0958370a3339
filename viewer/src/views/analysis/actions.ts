/** What a person does in the analysis dock. */

import { ApiError, getBytes } from "../../api/client";
import type { Genes } from "../../api/types";
import { bitsFor, complement, put } from "../../data/bits";
import { addressOf, loadGenes, paint } from "../../state/actions";
import { choose } from "../../state/grouping";
import { get, set } from "../../state/store";
import { ask } from "./api";
import {
  askedOf,
  cellsOfOperand,
  type Grouping,
  nameOf,
  nameOfOperand,
  type Operand,
  type ShownGroup,
  type Where,
  withinOf,
} from "./groupings";
import { change, type Gene, type Method, now, perform } from "./state";

/** As many as are read at one sight, and asked for in one answer. */
export const MOST_GENES = 200;

const MARKERS_TOLD = "Best genes of each group";

function within(): { within?: ReturnType<typeof withinOf> } {
  const cells = now().within ? withinOf(get()) : null;
  return cells === null ? {} : { within: cells };
}

export function colorBy(gene: Gene): void {
  const { expression } = get();
  if (expression !== null) void paint({ kind: "gene", index: gene.index, key: gene.name, expression });
}

/** Adds genes behind those that are there, each once; says how many were too many. */
export function addGenes(indices: number[]): number {
  const names = get().genes?.names ?? [];
  const before = now().genes;
  const there = new Set(before.map((one) => one.index));
  const fresh = indices.filter((index) => !there.has(index)).map((index) => ({ index, name: names[index] ?? "" }));
  const genes = before.concat(fresh);
  change({ genes: genes.slice(0, MOST_GENES) });
  return Math.max(0, genes.length - MOST_GENES);
}

/** Genes by their names in a matrix; those that it lacks are gone. */
function numberedIn(all: Genes, genes: Gene[]): Gene[] {
  const numbers = new Map(all.names.map((name, i) => [name, i]));
  return genes.flatMap(({ name }) => {
    const index = numbers.get(name);
    return index === undefined ? [] : [{ index, name }];
  });
}

/** The genes as they are in the matrix that is chosen now. */
export async function followMatrix(): Promise<void> {
  const all = await loadGenes();
  if (all === null || all.expression !== get().expression) return; // a later choice has been made, and is followed
  change(({ genes }) => ({ genes: numberedIn(all, genes) }));
}

export function summarise(grouping: Grouping, genes: Gene[]): Promise<void> {
  return perform("summary", async (signal, tell) => {
    const { groups, shown, note } = await askedOf(grouping);
    const body = { groups, genes: genes.map((one) => one.index), expression: get().expression, ...within() };
    const answer = await ask("summary", body, signal, tell);
    return { summary: { rows: answer.rows, groups: shown(answer.groups), note, title: nameOf(grouping) } };
  });
}

const BINS = 48;

export function spread(grouping: Grouping, of: { kind: "gene" | "field"; index: number }): Promise<void> {
  return perform("spread", async (signal, tell) => {
    const { groups, shown } = await askedOf(grouping);
    const what = of.kind === "gene" ? { genes: [of.index], expression: get().expression } : { fields: [of.index] };
    const answer = await ask("distribution", { groups, ...what, bins: BINS, ...within() }, signal, tell);
    const row = answer.rows[0];
    if (!row) throw new ApiError("bad_answer", "The server's answer is empty", "Try again.", 0);
    return { spread: { row, groups: shown(answer.groups), title: nameOf(grouping) } };
  });
}

/** The best genes of each group take the place of those that were chosen. */
export function findMarkers(grouping: Grouping, each: number): Promise<void> {
  return perform("markers", async (signal, tell) => {
    tell({ progress: 0, message: MARKERS_TOLD });
    const { groups } = await askedOf(grouping);
    const { method } = now();
    const { expression } = get();
    const body = { groups, top: each, method, expression, ...within() };
    const answer = await ask("markers", body, signal, tell);
    const genes = new Map<number, Gene>();
    for (const { genes: indices, names } of answer.results) {
      for (const [i, index] of indices.entries()) genes.set(index, { index, name: names[i] ?? "" });
    }
    const found = [...genes.values()].slice(0, MOST_GENES);
    const chosen = get().expression === expression ? null : await loadGenes();
    return { genes: chosen === null ? found : numberedIn(chosen, found) };
  });
}

export function compare(a: Operand, b: Operand, method: Method): Promise<void> {
  return perform("compare", async (signal, tell) => {
    const state = get();
    const body = {
      group: cellsOfOperand(a),
      reference: cellsOfOperand(b),
      name: nameOfOperand(a, state),
      reference_name: nameOfOperand(b, state),
      expression: state.expression,
      method,
      ...within(),
    };
    const answer = await ask("differential", body, signal, tell);
    const result = answer.results[0];
    if (!result) throw new ApiError("bad_answer", "The server's answer is empty", "Try again.", 0);
    const passing = "within" in body ? state.passingCount : null;
    const expression = answer.expression;
    return { compared: { job: answer.job, result, expression, method, within: passing }, marked: null };
  });
}

export function compose(grouping: Grouping, field: number): Promise<void> {
  return perform("makeup", async (signal, tell) => {
    const { groups, shown, note } = await askedOf(grouping);
    const answer = await ask("composition", { groups, field, ...within() }, signal, tell);
    return { makeup: { answer, groups: shown(answer.groups), field, note } };
  });
}

const CODES = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };

async function cellsAt(where: Where, others: Where[]) {
  const n = get().identity?.stats.n_cells ?? 0;
  if (where.kind === "cells") return where.cells;
  if (where.kind === "rest") {
    const first = others.find((one) => one.kind === "cells");
    return complement(first?.cells ?? bitsFor(n), n);
  }
  const { field, code } = where;
  const kind = CODES[field.dtype];
  const codes = new kind(await getBytes(addressOf(field.codes), n * kind.BYTES_PER_ELEMENT));
  const cells = bitsFor(n);
  for (let i = 0; i < n; i += 1) if (codes[i] === code) put(cells, i);
  return cells;
}

/** The cells of a group become the selection. */
export async function chooseGroup(group: ShownGroup, all: ShownGroup[]): Promise<void> {
  const { identity } = get();
  try {
    const cells = await cellsAt(
      group.where,
      all.map((one) => one.where),
    );
    if (get().identity === identity) choose(cells);
  } catch (error) {
    if (error instanceof ApiError) set({ error });
    else throw error;
  }
}
