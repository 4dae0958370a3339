/** Scores of gene sets: computed by the server, coloured and filtered by like any number of the cells. */

import { getBytes, getJson } from "../api/client";
import { answerTo, type Tell } from "../api/jobs";
import { isAnswer, isGenes } from "../api/shapes";
import type { Genes } from "../api/types";
import { addressOf } from "./crew";
import { newId } from "./filters";
import { register } from "./parts";
import { type Color, get, set } from "./store";

export type Score = Extract<Color, { kind: "score" }>;
export type Scoring = Score["method"];

/** What the server says of a score. */
export interface ScoreAnswer {
  job: string;
  genes: number[];
  names: string[];
  controls: number[];
  min: number | null;
  max: number | null;
  mean: number | null;
  values: string;
}

export function askScore({ genes, method, expression }: Score, signal: AbortSignal, tell: Tell): Promise<ScoreAnswer> {
  const body = { genes: genes.map((one) => one.index), method, expression };
  return answerTo<ScoreAnswer>(addressOf, { what: "score", body }, signal, tell, isAnswer.score);
}

/** float32, one for each cell. The server keeps its answers, so that asking again costs little. */
export async function scoreBytes(
  score: Score,
  n: number,
  signal: AbortSignal,
  tell: Tell = () => undefined,
): Promise<ArrayBuffer> {
  const { values } = await askScore(score, signal, tell);
  return getBytes(addressOf(values), n * 4, signal);
}

/** In place of one of the same name, else behind the others. */
export function keepScore(score: Omit<Score, "kind" | "id">): Score {
  const made: Score = { kind: "score", id: newId(), ...score };
  set(({ scores }) => {
    const at = scores.findIndex((one) => one.key === made.key);
    return { scores: at < 0 ? [...scores, made] : scores.with(at, made) };
  });
  return made;
}

export function dropScore(score: Score): void {
  set(({ scores }) => ({ scores: scores.filter((one) => one.id !== score.id) }));
}

const METHODS = new Set<unknown>(["scanpy", "mean", "zmean"]);

/** A score as a session or another program says it; null when it is none. */
export function scoreFrom(value: unknown): Score | null {
  if (typeof value !== "object" || value === null) return null;
  const { name, id, method, expression, genes } = value as Record<string, unknown>;
  if (typeof name !== "string" || typeof expression !== "string" || !METHODS.has(method)) return null;
  const own = (Array.isArray(genes) ? genes : []).flatMap((one: unknown) => {
    const { index, name: gene } = (one ?? {}) as Record<string, unknown>;
    return Number.isInteger(index) && typeof gene === "string" ? [{ index: index as number, name: gene }] : [];
  });
  if (own.length === 0) return null;
  const known = typeof id === "string" ? id : newId();
  return { kind: "score", id: known, key: name, method: method as Scoring, expression, genes: own };
}

export function savedScore({ key, id, method, expression, genes }: Score): object {
  return { name: key, id, method, expression, genes };
}

/** Genes by their names, where the file has other numbers for them now. */
export function renumbered(score: Score, genes: Genes): Score {
  const own = score.genes.flatMap(({ index, name }) => {
    const there = genes.names[index] === name ? index : genes.names.indexOf(name);
    return there < 0 ? [] : [{ index: there, name }];
  });
  return { ...score, genes: own };
}

/** The scores of a session, in place of those that there are; what the data does not have is left out. */
export async function loadScores(value: unknown): Promise<void> {
  const { identity } = get();
  const lists = new Map<string, Promise<Genes>>();
  const found = (Array.isArray(value) ? value : []).map(scoreFrom).map(async (score) => {
    const item = identity?.expression.items.find((one) => one.id === score?.expression);
    if (score === null || !item) return null;
    const genes = lists.get(item.id) ?? getJson<Genes>(addressOf(item.genes), undefined, isGenes);
    lists.set(item.id, genes);
    const own = renumbered(score, await genes);
    return own.genes.length > 0 ? own : null;
  });
  const scores = (await Promise.all(found)).filter((one) => one !== null);
  if (get().identity === identity) set({ scores });
}

register("scores", {
  save: () => {
    const { scores } = get();
    return scores.length > 0 ? scores.map(savedScore) : undefined;
  },
  load: loadScores,
});
