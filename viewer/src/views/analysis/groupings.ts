/** Which cells are compared: categories of a field, groups that a person made, the selection; and how the server is told. */

import { getJson } from "../../api/client";
import { isField } from "../../api/shapes";
import type { CategoryField, Field, FieldEntry } from "../../api/types";
import type { Bits } from "../../data/bits";
import { toCells } from "../../data/sets";
import { categoryColor, toCss } from "../../gpu/palette";
import { addressOf } from "../../state/actions";
import { get, type Model } from "../../state/store";
import { type Cells, type GroupSize, type Groups, toBase64 } from "./api";

/** What parts the cells into groups. */
export type Grouping = { kind: "field"; index: number; key: string } | { kind: "groups" } | { kind: "selection" };

/** One group to compare. */
export type Operand =
  | { kind: "selection" }
  | { kind: "group"; id: string }
  | { kind: "category"; index: number; key: string; code: number; name: string }
  | { kind: "rest" };

/** Where the cells of a group on a chart are. */
export type Where =
  | { kind: "category"; field: CategoryField; code: number }
  | { kind: "cells"; cells: Bits }
  | { kind: "rest" };

export interface ShownGroup {
  name: string;
  color: string;
  n: number;
  where: Where;
}

export interface Asked {
  groups: Groups;
  /** What the groups of the answer are. */
  shown: (answered: GroupSize[]) => ShownGroup[];
  /** What was left out, and why. */
  note: string;
}

/** More groups than this are not read at one sight. */
export const MOST_GROUPS = 60;

const SELECTED = "#d55e00";
const OTHERS = "rgb(158, 158, 158)";

let known = new Map<string, Promise<Field>>();

export function forgetFields(): void {
  known = new Map();
}

export function fieldOf(index: number): Promise<Field> {
  const address = addressOf(`fields/${index}.json`);
  let field = known.get(address);
  if (!field) {
    field = getJson<Field>(address, undefined, isField);
    known.set(address, field);
    field.catch(() => known.delete(address));
  }
  return field;
}

export async function categoriesOf(index: number): Promise<CategoryField> {
  const field = await fieldOf(index);
  if (field.kind !== "category") throw new Error(`${field.key} has no categories`);
  return field;
}

/** In the order in which people mean them: made by hand first. */
export function groupingsOf({
  identity,
  groups,
  selection,
}: Pick<Model, "identity" | "groups" | "selection">): Grouping[] {
  const fields = (identity?.obs_fields ?? []).filter(isCategory);
  return [
    ...fields.map(({ index, key }) => ({ kind: "field", index, key }) as const),
    ...(groups.length > 0 ? [{ kind: "groups" } as const] : []),
    ...(selection ? [{ kind: "selection" } as const] : []),
  ];
}

export function isCategory(field: FieldEntry): boolean {
  return field.kind === "category" && (field.n_categories ?? 0) > 0;
}

export function idOf(grouping: Grouping): string {
  return grouping.kind === "field" ? `field:${grouping.index}` : grouping.kind;
}

export function nameOf(grouping: Grouping): string {
  if (grouping.kind === "field") return grouping.key;
  return grouping.kind === "groups" ? "My groups" : "Selection and the rest";
}

export function colorOfCategory(field: CategoryField, code: number, fileColors: boolean): string {
  const own = fileColors ? field.colors?.[code] : undefined;
  return own ?? toCss(categoryColor(code));
}

/** What to ask the server; throws when the selection or the groups are gone. */
export async function askedOf(grouping: Grouping): Promise<Asked> {
  if (grouping.kind === "field") return askedOfField(await categoriesOf(grouping.index));
  const { groups, selection, identity } = get();
  const n = identity?.stats.n_cells ?? 0;
  if (grouping.kind === "groups") {
    const some = groups.filter((one) => one.count > 0);
    return {
      groups: some.map(({ name, cells }) => ({ name, cells: cellsOf(cells, n) })),
      shown: (answered) =>
        some.map(({ name, color, cells }, i) => ({
          name,
          color,
          n: answered[i]?.n_cells ?? 0,
          where: { kind: "cells", cells },
        })),
      note: "",
    };
  }
  if (!selection) throw new Error("No cell is selected");
  const { cells } = selection;
  return {
    groups: [
      { name: "selection", cells: cellsOf(cells, n) },
      { name: "rest", cells: { kind: "rest" } },
    ],
    shown: (answered) => [
      { name: "Selection", color: SELECTED, n: answered[0]?.n_cells ?? 0, where: { kind: "cells", cells } },
      { name: "Rest", color: OTHERS, n: answered[1]?.n_cells ?? 0, where: { kind: "rest" } },
    ],
    note: "",
  };
}

function askedOfField(field: CategoryField): Asked {
  const { fileColors } = get();
  const codes = largest(field.counts);
  const some = field.counts.filter((count) => count > 0).length;
  return {
    groups: codes.length < some ? { field: field.index, codes } : { field: field.index },
    shown: (answered) =>
      answered.map(({ name, n_cells: n, code = -1 }) => ({
        name,
        n,
        color: colorOfCategory(field, code, fileColors),
        where: { kind: "category", field, code },
      })),
    note: codes.length < some ? `The ${codes.length} largest of ${some.toLocaleString("en")} groups.` : "",
  };
}

/** Codes of the largest categories, in the field's order. */
export function largest(counts: number[], most = MOST_GROUPS): number[] {
  const codes = Array.from(counts.keys()).filter((code) => (counts[code] ?? 0) > 0);
  codes.sort((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0) || a - b);
  return codes.slice(0, most).sort((a, b) => a - b);
}

function cellsOf(bits: Bits, n: number): Cells {
  return { kind: "cells", bits: toBase64(bits, n) };
}

/** The cells that pass the filters, where a filter is on. */
export function withinOf({ passing, identity }: Model): Cells | null {
  const n = identity?.stats.n_cells ?? 0;
  return passing === null ? null : cellsOf(toCells(passing, n), n);
}

export function cellsOfOperand(operand: Operand): Cells {
  const { selection, groups, identity } = get();
  const n = identity?.stats.n_cells ?? 0;
  if (operand.kind === "rest") return { kind: "rest" };
  if (operand.kind === "category") return { kind: "category", field: operand.index, codes: [operand.code] };
  const bits = operand.kind === "selection" ? selection?.cells : groups.find((one) => one.id === operand.id)?.cells;
  if (!bits) throw new Error(operand.kind === "selection" ? "No cell is selected" : "That group is gone");
  return cellsOf(bits, n);
}

export function nameOfOperand(operand: Operand, { groups }: Pick<Model, "groups">): string {
  if (operand.kind === "category") return operand.name;
  if (operand.kind === "group") return groups.find((one) => one.id === operand.id)?.name ?? "gone";
  return operand.kind === "selection" ? "selection" : "rest";
}
