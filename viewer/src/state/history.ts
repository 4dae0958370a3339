/** Undo and redo of the selection, the groups and the filters. Sets of cells are shared between steps, never copied. */

import { create } from "zustand";
import { crewOf } from "./crew";
import { gestureNow, setFilters } from "./filters";
import { mark } from "./grouping";
import { get, type Model, set, useModel } from "./store";

type Step = Pick<Model, "selection" | "groups" | "filters">;

const MOST_STEPS = 100;
const MOST_BYTES = 64 * 2 ** 20;

let past: Step[] = [];
let future: Step[] = [];
let current: Step = stepOf(get());
let identity = get().identity;
let gesture: string | null = null;
let restoring = false;
/** How many steps there were before several changes that are one. */
let together: number | null = null;
let stop: (() => void) | null = null;

/** How many steps there are to go back and forth, for buttons. */
export const useHistory = create<{ past: number; future: number }>(() => ({ past: 0, future: 0 }));

function stepOf({ selection, groups, filters }: Model): Step {
  return { selection, groups, filters };
}

function same(a: Step, b: Step): boolean {
  return a.selection === b.selection && a.groups === b.groups && a.filters === b.filters;
}

/** Starts afresh with what there is now. */
export function beginHistory(): void {
  stop?.();
  past = [];
  future = [];
  current = stepOf(get());
  identity = get().identity;
  gesture = null;
  tell();
  stop = useModel.subscribe(follow);
}

function tell(): void {
  useHistory.setState({ past: past.length, future: future.length });
}

function follow(state: Model): void {
  if (state.identity !== identity) {
    beginHistory();
    return;
  }
  const now = stepOf(state);
  if (same(now, current)) return;
  const own = gestureNow();
  const dragged = own !== null && own === gesture && now.filters !== current.filters;
  const goesOn = dragged || (together !== null && past.length > together);
  if (!restoring && !goesOn) {
    past.push(current);
    future = [];
    bound();
  }
  if (!restoring) gesture = own;
  current = now;
  tell();
}

/** Memory that the sets of cells of all steps take, each counted once. */
export function bytesOf(steps: Step[]): number {
  const sets = new Set<ArrayBufferView>();
  for (const { selection, groups, filters } of steps) {
    if (selection) sets.add(selection.cells).add(selection.places);
    for (const { cells } of groups) sets.add(cells);
    for (const { by } of filters) {
      if (by.kind === "cells") sets.add(by.bits);
      if (by.kind === "category") sets.add(by.hidden);
    }
  }
  let bytes = 0;
  for (const one of sets) bytes += one.byteLength;
  return bytes;
}

function bound(): void {
  while (past.length > MOST_STEPS || (past.length > 1 && bytesOf(past) > MOST_BYTES)) past.shift();
}

function restore(step: Step): void {
  restoring = true;
  gesture = null;
  const before = get();
  if (step.selection !== before.selection) {
    void crewOf().run({ kind: "choose", places: step.selection?.places ?? null });
    set({ selection: step.selection });
  }
  if (step.groups !== before.groups) {
    set({ groups: step.groups });
    void mark();
  }
  if (step.filters !== before.filters) void setFilters(step.filters);
  restoring = false;
}

/** Several changes as one step. */
export function asOne(work: () => void): void {
  together = past.length;
  try {
    work();
  } finally {
    together = null;
  }
}

export function undo(): void {
  const step = past.pop();
  if (step === undefined) return;
  future.push(current);
  restore(step);
  tell();
}

export function redo(): void {
  const step = future.pop();
  if (step === undefined) return;
  past.push(current);
  restore(step);
  tell();
}
