/** What the analysis dock shows, and what is being asked; it stays while the dock is closed. */

import { create } from "zustand";
import { type ApiError, isAbort, toApiError } from "../../api/client";
import type { Tell } from "../../api/jobs";
import { loadGenes } from "../../state/actions";
import { register } from "../../state/parts";
import { set as setModel, useModel } from "../../state/store";
import type { Comparison, Composition, DistributionRow, SummaryRow } from "./api";
import { forgetFields, type Grouping, type Operand, type ShownGroup } from "./groupings";
import type { GeneSet } from "./lists";
import type { Standard } from "./scales";
import type { Limits } from "./volcano";

export type Tab = "genes" | "compare" | "scores" | "makeup";
export type Chart = "dots" | "heat" | "violin";
export type Method = "wilcoxon" | "t-test";

export interface Gene {
  index: number;
  name: string;
}

export interface Work {
  state: "idle" | "running" | "done" | "failed" | "cancelled";
  /** 0 to 1; null until the server tells. */
  progress: number | null;
  message: string;
  error: ApiError | null;
}

export type Kind = "summary" | "spread" | "markers" | "compare" | "makeup" | "score";

export interface SummaryShown {
  rows: SummaryRow[];
  groups: ShownGroup[];
  note: string;
  title: string;
}

export interface SpreadShown {
  row: DistributionRow;
  groups: ShownGroup[];
  title: string;
}

export interface Compared {
  job: string;
  result: Comparison;
  expression: string;
  method: Method;
  /** How many cells the filters let through when it was asked; null when all counted. */
  within: number | null;
}

export interface MakeupShown {
  answer: Composition;
  groups: ShownGroup[];
  field: number;
  note: string;
}

export interface Analysis {
  tab: Tab;
  /** Over the whole page rather than below the plot. */
  large: boolean;
  /** Of the dock, in pixels. */
  height: number;
  /** Only cells that pass the filters count. */
  within: boolean;
  grouping: Grouping | null;
  genes: Gene[];
  chart: Chart;
  standard: Standard;
  /** Genes and groups that are alike stand together. */
  ordered: boolean;
  /** What the violins are of: one of the genes, or a field of numbers. */
  violin: { kind: "gene"; index: number } | { kind: "field"; index: number } | null;
  a: Operand | null;
  b: Operand;
  method: Method;
  limits: Limits;
  /** The gene marked in the volcano and in the table: its row in the answer. */
  marked: number | null;
  sets: GeneSet[];
  makeupField: number | null;
  makeupShares: boolean;
  work: Record<Kind, Work>;
  summary: SummaryShown | null;
  spread: SpreadShown | null;
  compared: Compared | null;
  makeup: MakeupShown | null;
}

const IDLE: Work = { state: "idle", progress: null, message: "", error: null };
export const LEAST_HEIGHT = 200;

const FRESH: Analysis = {
  tab: "genes",
  large: false,
  height: 360,
  within: true,
  grouping: null,
  genes: [],
  chart: "dots",
  standard: "none",
  ordered: false,
  violin: null,
  a: null,
  b: { kind: "rest" },
  method: "wilcoxon",
  limits: { change: 1, p: 0.05 },
  marked: null,
  sets: [],
  makeupField: null,
  makeupShares: true,
  work: { summary: IDLE, spread: IDLE, markers: IDLE, compare: IDLE, makeup: IDLE, score: IDLE },
  summary: null,
  spread: null,
  compared: null,
  makeup: null,
};

export const useAnalysis = create<Analysis>(() => FRESH);
export const now = useAnalysis.getState;
export const change = useAnalysis.setState;

const running = new Map<Kind, AbortController>();

function tellOf(kind: Kind, work: Partial<Work>): void {
  change(({ work: all }) => ({ work: { ...all, [kind]: { ...all[kind], ...work } } }));
}

/** Does one thing of a kind, the latest that was wanted; what came before is called off. */
export async function perform(
  kind: Kind,
  act: (signal: AbortSignal, tell: Tell) => Promise<Partial<Analysis>>,
): Promise<void> {
  running.get(kind)?.abort();
  const own = new AbortController();
  running.set(kind, own);
  tellOf(kind, { state: "running", progress: null, message: "", error: null });
  const mine = () => running.get(kind) === own;
  try {
    const found = await act(own.signal, ({ progress, message }) => mine() && tellOf(kind, { progress, message }));
    if (!mine()) return;
    change(found);
    tellOf(kind, { state: "done" });
  } catch (error) {
    if (!mine() || isAbort(error)) return;
    tellOf(kind, { state: "failed", error: toApiError(error) });
  } finally {
    if (mine()) running.delete(kind);
  }
}

export function cancel(kind: Kind): void {
  const own = running.get(kind);
  running.delete(kind);
  own?.abort();
  if (own) tellOf(kind, { state: "cancelled" });
}

interface Saved {
  tab?: unknown;
  genes?: unknown;
  grouping?: unknown;
}

function isGene(value: unknown): value is Gene {
  const { index, name } = (value ?? {}) as Partial<Gene>;
  return Number.isInteger(index) && typeof name === "string";
}

/** What a session keeps of the dock: which genes, by what. Numbers of genes are looked up again by their names. */
async function load(value: unknown): Promise<void> {
  const { genes, grouping, tab } = (value ?? {}) as Saved;
  const list = await loadGenes().catch((error: unknown) => setModel({ error: toApiError(error) }));
  const names = list?.names ?? [];
  const own = (Array.isArray(genes) ? genes : []).filter(isGene).flatMap(({ index, name }) => {
    const there = names[index] === name ? index : names.indexOf(name);
    return there < 0 ? [] : [{ index: there, name }];
  });
  const { kind, key } = (grouping ?? {}) as { kind?: unknown; key?: unknown };
  const field = useModel.getState().identity?.obs_fields.find((one) => one.key === key && one.kind === "category");
  const by: Grouping | null =
    kind === "groups" || kind === "selection"
      ? { kind }
      : field
        ? { kind: "field", index: field.index, key: field.key }
        : null;
  change({ genes: own, grouping: by, ...(TABS.has(tab) ? { tab: tab as Tab } : {}) });
}

const TABS = new Set<unknown>(["genes", "compare", "scores", "makeup"] satisfies Tab[]);

register("analysis", {
  save: () => {
    const { genes, grouping, tab } = now();
    return genes.length > 0 || grouping !== null ? { genes, grouping, tab } : undefined;
  },
  load,
});

function forget(): void {
  for (const own of running.values()) own.abort();
  running.clear();
  forgetFields();
  const { height, large, tab } = now();
  change({ ...FRESH, height, large, tab }, true);
}

// Another data set, or the page was left: nothing of the last one may stay.
let shown = useModel.getState().identity;
useModel.subscribe(({ identity }) => {
  if (identity === shown) return;
  shown = identity;
  forget();
});
