/** What a person does with the stack of filters. */

import { isAbort, toApiError } from "../api/client";
import { counted } from "../data/format";
import { columnOf, ensure, type Filter, filterOf, type Keep, newId, type Source, setFilters } from "./filters";
import { get, set } from "./store";

/** A filter by a field or gene that lets all through, to be narrowed; the one there is, if there is one. */
export async function addFilter(of: Source): Promise<Filter | null> {
  const column = columnOf(of);
  const before = filterOf(get().filters, column);
  if (before) return before;
  try {
    await ensure(of);
  } catch (error) {
    if (!isAbort(error)) set({ error: toApiError(error) });
    return null;
  }
  const info = get().columns[column];
  if (!info) return null;
  const by: Keep =
    info.kind === "category"
      ? { kind: "category", of, hidden: new Uint8Array(info.field.categories.length + 1) }
      : { kind: "range", of, min: null, max: null, missing: true };
  return put({ id: newId(), on: true, by });
}

function put(filter: Filter): Filter {
  void setFilters([...get().filters, filter]);
  return filter;
}

/** `during` names what is dragged: its changes are one step of the history. */
export function amend(id: string, changes: Partial<Omit<Filter, "id">>, during: string | null = null): void {
  void setFilters(
    get().filters.map((filter) => (filter.id === id ? { ...filter, ...changes } : filter)),
    during,
  );
}

export function removeFilter(id: string): void {
  void setFilters(get().filters.filter((filter) => filter.id !== id));
}

export function clearFilters(): void {
  if (get().filters.length > 0) void setFilters([]);
}

/** Shows only what is selected, or all but that. */
export function filterBySelection(inside: boolean): Filter | null {
  const { selection } = get();
  if (selection === null) {
    set({ notice: "Select some cells first: click one, or draw around them with the lasso (L)." });
    return null;
  }
  const name = counted(selection.count, "selected cell");
  return put({ id: newId(), on: true, by: { kind: "cells", bits: selection.cells, inside, name } });
}

/** What colours the cells now, as a filter: from the range of its colours, where it has been narrowed. */
export async function filterByColor(): Promise<Filter | null> {
  const { color, range } = get();
  if (color.kind === "none") return null;
  const made = await addFilter(color);
  if (made?.by.kind !== "range" || range === null) return made;
  amend(made.id, { on: true, by: { ...made.by, min: range[0], max: range[1], missing: false } });
  return made;
}
