/** Filters in a link: those whose text is short. See docs/reference/session.md. */

import type { Identity } from "../api/types";
import { bitsFor, members, put, size } from "../data/bits";
import { type Filter, type Keep, newId, restricts, type Source } from "./filters";
import { MOST_LINKED } from "./store";
import { readRuns, writeRuns } from "./url";

/** Longer ones are in session files only: addresses of more than some 8,000 characters are cut off on their way. */
const MOST_TEXT = 1500;

/** float32 survives nine digits. */
function end(value: number | null): string {
  return value === null ? "" : String(Number(value.toPrecision(9)));
}

function keepText(by: Keep, identity: Identity): string | null {
  if (by.kind === "cells") {
    if (size(by.bits) > MOST_LINKED) return null;
    return `${by.inside ? "in" : "out"}:${writeRuns(members(by.bits))}`;
  }
  const { of } = by;
  if (by.kind === "category") {
    const codes = Array.from(by.hidden.keys()).filter((code) => by.hidden[code]);
    return `hide:${writeRuns(codes)}:${of.key}`;
  }
  // Its genes are not in the link.
  if (of.kind === "score") return null;
  const range = `${end(by.min)}:${end(by.max)}:${by.missing ? 1 : 0}`;
  if (of.kind === "field") return `range:${range}:${of.key}`;
  const expression = of.expression === identity.expression.default ? "" : encodeURIComponent(of.expression);
  return `gene:${range}:${expression}:${of.index}:${of.key}`;
}

/** Null for a filter that does not fit. */
export function filterText({ on, by }: Filter, identity: Identity): string | null {
  const text = keepText(by, identity);
  return text === null || text.length > MOST_TEXT ? null : `${on ? "" : "off-"}${text}`;
}

/** Filters of the stack that fit a link; those that leave no cell out say nothing. */
export function linkedFilters(filters: Filter[], identity: Identity | null): { texts: string[]; left: number } {
  if (identity === null) return { texts: [], left: 0 };
  const all = filters.filter(restricts).map((filter) => filterText(filter, identity));
  const texts = all.filter((text) => text !== null);
  return { texts, left: all.length - texts.length };
}

function bound(text: string | undefined): number | null | undefined {
  if (text === "") return null;
  const value = Number(text);
  return text !== undefined && Number.isFinite(value) ? value : undefined;
}

export type FindGene = (expression: string, index: number | null, name: string) => Promise<Source | null>;

async function keepFrom(text: string, identity: Identity, findGene: FindGene): Promise<Keep | null> {
  const [kind, ...parts] = text.split(":");
  if (kind === "in" || kind === "out") {
    const bits = bitsFor(identity.stats.n_cells);
    for (const cell of readRuns(parts[0] ?? "")) if (cell < identity.stats.n_cells) put(bits, cell);
    const count = size(bits);
    const name = `${count} cells`;
    return count === 0 ? null : { kind: "cells", bits, inside: kind === "in", name };
  }
  const rest = (from: number) => parts.slice(from).join(":");
  const fieldOf = (key: string) => identity.obs_fields.find((f) => f.key === key);
  if (kind === "hide") {
    const field = fieldOf(rest(1));
    if (field?.kind !== "category") return null;
    const hidden = new Uint8Array((field.n_categories ?? 0) + 1);
    for (const code of readRuns(parts[0] ?? "")) if (code < hidden.length) hidden[code] = 1;
    return { kind: "category", of: { kind: "field", index: field.index, key: field.key }, hidden };
  }
  const [min, max] = [bound(parts[0]), bound(parts[1])];
  if (min === undefined || max === undefined || (kind !== "range" && kind !== "gene")) return null;
  const range = { kind: "range", min, max, missing: parts[2] === "1" } as const;
  if (kind === "range") {
    const field = fieldOf(rest(3));
    return field?.kind === "continuous"
      ? { ...range, of: { kind: "field", index: field.index, key: field.key } }
      : null;
  }
  const index = /^\d+$/.test(parts[4] ?? "") ? Number(parts[4]) : null;
  const expression = parts[3] ? decoded(parts[3]) : identity.expression.default;
  const of = expression === null ? null : await findGene(expression, index, rest(5));
  return of === null ? null : { ...range, of };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The filters of a link, and how many of them mean nothing here. */
export async function filtersFrom(texts: string[], identity: Identity, findGene: FindGene) {
  const filters: Filter[] = [];
  for (const text of texts) {
    const off = text.startsWith("off-");
    const by = await keepFrom(off ? text.slice(4) : text, identity, findGene);
    if (by !== null) filters.push({ id: newId(), on: !off, by });
  }
  return { filters, missed: texts.length - filters.length };
}
