/** Session files: everything a person has made of a data set, in one document. See docs/reference/session.md. */

import { getJson, isAbort } from "../api/client";
import { isDigest, isField } from "../api/shapes";
import type { Identity } from "../api/types";
import { size } from "../data/bits";
import { counted } from "../data/format";
import { applyLink, linkedNow } from "./actions";
import { addressOf } from "./crew";
import { type Filter, type Keep, newId, type Source, setFilters } from "./filters";
import { findGene } from "./genefind";
import { choose, GROUP_COLORS, setGroups } from "./grouping";
import type { Group } from "./groups";
import { asOne } from "./history";
import { pack, unpack } from "./packing";
import { loadParts, saveParts } from "./parts";
import { loadScores, savedScore, scoreFrom } from "./scores";
import { get, set } from "./store";
import { readUrl, writeUrl } from "./url";

const FORMAT = "coverslip session";
const VERSION = 1;
/** Nothing that a person made is larger; a wrong file may be. */
const MOST_BYTES = 256 * 2 ** 20;

type Json = Record<string, unknown>;

interface Digest {
  n: number;
  digest: string;
}

/** What the server says of the names and the order of the cells; null when it does not. */
async function digestOf(): Promise<string | null> {
  try {
    const { digest } = await getJson<Digest>(addressOf("cells/digest.json"), undefined, isDigest);
    return typeof digest === "string" ? digest : null;
  } catch (error) {
    if (isAbort(error)) throw error;
    return null;
  }
}

async function saveFilter({ on, by }: Filter, n: number): Promise<Json> {
  if (by.kind === "cells") {
    return { on, cells: { name: by.name, inside: by.inside, ...(await pack(by.bits, n)) } };
  }
  const { of } = by;
  if (of.kind === "score") {
    if (by.kind !== "range") throw new Error("a score has no categories");
    return { on, range: { score: savedScore(of), min: by.min, max: by.max, missing: by.missing } };
  }
  const who = of.kind === "gene" ? { gene: of.key, expression: of.expression } : { field: of.key };
  if (by.kind === "range") {
    return { on, range: { ...who, index: of.index, min: by.min, max: by.max, missing: by.missing } };
  }
  const field = await categoriesOf(of);
  const hidden = Array.from(by.hidden.keys()).filter((code) => by.hidden[code]);
  return { on, category: { ...who, index: of.index, hidden: hidden.map((code) => field[code] ?? null) } };
}

async function categoriesOf(of: Exclude<Source, { kind: "score" }>): Promise<string[]> {
  const field = await getJson<{ categories?: string[] }>(addressOf(`fields/${of.index}.json`), undefined, isField);
  return field.categories ?? [];
}

/** The document of everything as it is now. */
export async function sessionNow(): Promise<Json> {
  const { identity, filters, selection, groups } = get();
  if (identity === null) throw new Error("No data set is open yet.");
  const n = identity.stats.n_cells;
  const { dataset: _, ...view } = linkedNow();
  return {
    format: FORMAT,
    version: VERSION,
    saved: new Date().toISOString(),
    dataset: { id: identity.id, name: identity.name, cells: { n, digest: await digestOf() } },
    view: writeUrl({ ...view, dataset: null, hidden: [], filters: [], selected: [] }, ""),
    filters: await Promise.all(filters.map((filter) => saveFilter(filter, n))),
    selection: selection && (await pack(selection.cells, n)),
    groups: await Promise.all(
      groups.map(async ({ cells, count: _count, ...group }) => ({ ...group, ...(await pack(cells, n)) })),
    ),
    parts: saveParts(),
  };
}

/** `NAME.coverslip.json`, of letters that every disk takes. */
export function fileName(name: string): string {
  return `${name.replace(/[^\p{L}\p{N}._-]+/gu, "_").replace(/^[._]+/, "") || "cells"}.coverslip.json`;
}

export async function saveSession(): Promise<void> {
  try {
    const session = await sessionNow();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(session, null, 1)], { type: "application/json" }));
    link.download = fileName(get().identity?.name ?? "");
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    set({ notice: `Saved as ${link.download}, into your downloads.` });
  } catch (error) {
    set({ notice: `The session was not saved: ${wordsOf(error)}` });
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Reads a file that a person chose; a wrong one is told in a sentence and changes nothing. */
export async function openSession(file: File): Promise<void> {
  try {
    if (file.size > MOST_BYTES) throw new Error("it is too large to be a session");
    const left = await loadSession(parsed(await file.text()));
    set({ notice: `Opened ${file.name}${left}.` });
  } catch (error) {
    set({ notice: `${file.name} was not opened: ${wordsOf(error)}.` });
  }
}

function parsed(text: string): Json {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Error("it is not a session file");
  }
  if (typeof found !== "object" || found === null || (found as Json).format !== FORMAT) {
    throw new Error("it is not a session file");
  }
  return found as Json;
}

function objectOf(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

function listOf(value: unknown): Json[] {
  return Array.isArray(value) ? value.map(objectOf) : [];
}

/** Whether the session is of these very cells, in this order. */
async function check(session: Json, identity: Identity): Promise<void> {
  if (typeof session.version !== "number" || session.version > VERSION) {
    throw new Error("it was saved by a newer coverslip");
  }
  const cells = objectOf(objectOf(session.dataset).cells);
  const n = identity.stats.n_cells;
  if (cells.n !== n) {
    const there = typeof cells.n === "number" ? counted(cells.n, "cell") : "an unknown number of cells";
    throw new Error(`it is of ${there}, and ${identity.name} has ${counted(n, "cell")}`);
  }
  const digest = typeof cells.digest === "string" ? await digestOf() : null;
  if (digest !== null && digest !== cells.digest) {
    throw new Error(`it is of other cells than those of ${identity.name}, or of the same in another order`);
  }
}

async function filterFrom(saved: Json, identity: Identity, n: number): Promise<Filter | null> {
  const by = await keepFrom(saved, identity, n);
  return by && { id: newId(), on: saved.on !== false, by };
}

async function keepFrom(saved: Json, identity: Identity, n: number): Promise<Keep | null> {
  if (saved.cells !== undefined) {
    const { name, inside } = objectOf(saved.cells);
    const bits = await unpack(saved.cells, n, "A filter");
    return { kind: "cells", bits, inside: inside !== false, name: typeof name === "string" ? name : "some cells" };
  }
  const own = objectOf(saved.category ?? saved.range);
  const of = await sourceFrom(own, identity);
  if (of === null) return null;
  if (saved.range !== undefined) {
    const end = (value: unknown) => (typeof value === "number" && Number.isFinite(value) ? value : null);
    return { kind: "range", of, min: end(own.min), max: end(own.max), missing: own.missing === true };
  }
  if (of.kind !== "field" || saved.category === undefined) return null;
  const names = await categoriesOf(of);
  const hidden = new Uint8Array(names.length + 1);
  const wanted = new Set(Array.isArray(own.hidden) ? own.hidden : []);
  names.forEach((name, code) => {
    if (wanted.has(name)) hidden[code] = 1;
  });
  if (wanted.has(null)) hidden[names.length] = 1;
  return { kind: "category", of, hidden };
}

async function sourceFrom(own: Json, identity: Identity): Promise<Source | null> {
  if (own.score !== undefined) return scoreFrom(own.score);
  if (typeof own.field === "string") {
    const field = identity.obs_fields.find((f) => f.key === own.field && f.kind !== "text");
    return field ? { kind: "field", index: field.index, key: field.key } : null;
  }
  const expression = typeof own.expression === "string" ? own.expression : identity.expression.default;
  if (typeof own.gene !== "string" || expression === null) return null;
  return findGene(identity, expression, typeof own.index === "number" ? own.index : null, own.gene);
}

async function groupFrom(saved: Json, i: number, n: number): Promise<Group> {
  const name = typeof saved.name === "string" && saved.name.trim() !== "" ? saved.name : `Group ${i + 1}`;
  const color = typeof saved.color === "string" ? saved.color : "";
  const cells = await unpack(saved, n, `The group “${name}”`);
  return {
    id: newId(),
    name,
    color: /^#[0-9a-f]{6}$/i.test(color) ? color.toLowerCase() : (GROUP_COLORS[i % GROUP_COLORS.length] as string),
    cells,
    count: size(cells),
    shown: saved.shown !== false,
  };
}

/** Lays out a session; everything is looked at before anything is changed. What could not be found is told. */
export async function loadSession(session: Json): Promise<string> {
  const { identity } = get();
  if (identity === null) throw new Error("no data set is open yet");
  await check(session, identity);
  const n = identity.stats.n_cells;
  const asked = listOf(session.filters);
  const found = await Promise.all(asked.map((saved) => filterFrom(saved, identity, n)));
  const groups = await Promise.all(listOf(session.groups).map((saved, i) => groupFrom(saved, i, n)));
  const selection = session.selection ? await unpack(session.selection, n, "The selection") : null;
  if (get().identity !== identity) throw new Error("another data set was opened meanwhile");
  const filters = found.filter((filter) => filter !== null);
  // Before the view, which may be coloured by one.
  await loadScores(objectOf(session.parts).scores);
  if (typeof session.view === "string") await applyLink(readUrl(session.view));
  asOne(() => {
    setGroups(groups);
    choose(selection);
    void setFilters(filters);
  });
  await loadParts(objectOf(session.parts));
  const missed = asked.length - filters.length;
  return missed > 0 ? `; ${counted(missed, "filter")} of fields or genes that are not here left out` : "";
}
