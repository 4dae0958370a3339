/** What a person does with groups of cells; every change is a new list, so that history can tell. */

import { toApiError } from "../api/client";
import { type Bits, complement, difference, intersection, size, union } from "../data/bits";
import type { Mode } from "../data/selecting";
import { toPlaces } from "../data/sets";
import { select } from "./actions";
import { crewOf } from "./crew";
import { newId } from "./filters";
import type { Group } from "./groups";
import { get, set } from "./store";

/** Vivid on light and dark, and none of the first that categories get; then they repeat. */
export const GROUP_COLORS = ["#e6007a", "#00a5cf", "#7a5af8", "#ff7a00", "#3fa34d", "#b5179e", "#c29200", "#c0392b"];
/** One byte a cell says which group it is drawn as. */
const MOST_MARKED = 255;

/** What two sets of cells make. */
export const OPERATIONS = { union, intersection, difference } as const;

function freshName(groups: Group[]): string {
  const taken = new Set(groups.map((group) => group.name));
  let i = groups.length + 1;
  while (taken.has(`Group ${i}`)) i += 1;
  return `Group ${i}`;
}

function freshColor(groups: Group[]): string {
  const used = (color: string) => groups.filter((group) => group.color === color).length;
  return GROUP_COLORS.reduce((best, color) => (used(color) < used(best) ? color : best));
}

/** Replaces the list; what is drawn follows. */
export function setGroups(groups: Group[]): void {
  set({ groups });
  void mark();
}

export function keep(cells: Bits, name?: string): Group | null {
  const { groups } = get();
  const count = size(cells);
  if (count === 0) return null;
  const group = { id: newId(), name: name ?? freshName(groups), color: freshColor(groups), cells, count, shown: true };
  setGroups([...groups, group]);
  return group;
}

/** Keeps what is selected; whether anything was. */
export function keepSelection(): Group | null {
  const { selection } = get();
  if (selection === null) {
    set({ notice: "Select some cells first: click one, or draw around them with the lasso (L)." });
    return null;
  }
  return keep(selection.cells);
}

export function change(id: string, changes: Partial<Pick<Group, "name" | "color" | "shown">>): void {
  setGroups(get().groups.map((group) => (group.id === id ? { ...group, ...changes } : group)));
}

export function remove(id: string): void {
  setGroups(get().groups.filter((group) => group.id !== id));
}

/** The selection after a group is put in its place, added, taken away or met with it; only cells that are shown. */
export function selectGroup(group: Group, mode: Mode): Promise<void> {
  return select({ kind: "set", cells: group.cells }, mode);
}

/** All cells that are shown but those of a group. */
export function selectOthers(group: Group): Promise<void> {
  return select({ kind: "set", cells: complement(group.cells, cellsOf()) }, "replace");
}

/** A new group of what two make. */
export function combine(a: Group, b: Group, operation: keyof typeof OPERATIONS): Group | null {
  const words = { union: "or", intersection: "and", difference: "without" }[operation];
  const made = keep(OPERATIONS[operation](a.cells, b.cells), `${a.name} ${words} ${b.name}`);
  if (made === null) set({ notice: `There is no cell in ${a.name} ${words} ${b.name}.` });
  return made;
}

function cellsOf(): number {
  return get().identity?.stats.n_cells ?? 0;
}

let marking = 0;

/** What the shown groups look like, for the layer of points. */
export async function mark(): Promise<void> {
  const own = ++marking;
  const shown = get().groups.filter((group) => group.shown);
  if (shown.length > MOST_MARKED) {
    set({ notice: `Only the first ${MOST_MARKED} of ${shown.length} shown groups are drawn in their colours.` });
  }
  const drawn = shown.slice(0, MOST_MARKED);
  if (drawn.length === 0) {
    set({ marks: null });
    return;
  }
  try {
    const sets = drawn.map((group) => group.cells);
    const codes = await crewOf().run({ kind: "marks", sets, n: cellsOf() });
    if (own === marking) set({ marks: { codes, colors: drawn.map((group) => group.color) } });
  } catch (error) {
    set({ error: toApiError(error) });
  }
}

/** A selection of these cells, whatever is shown: as it was, or as a file says. */
export function choose(cells: Bits | null): void {
  const n = cellsOf();
  const count = cells === null ? 0 : size(cells);
  const selection = cells === null || count === 0 ? null : { cells, places: toPlaces(cells, n), count };
  void crewOf().run({ kind: "choose", places: selection?.places ?? null });
  set({ selection });
}
