/** What the home page knows of the server's sources, and how that stays true while files come and go. */

import { create } from "zustand";
import { type Catalog, EVERYTHING, getCatalog, getSources, type Query, type Source } from "../../api/catalog";
import { type ApiError, isAbort, toApiError } from "../../api/client";
import type { Spot } from "./layout";

/** Sources asked for at a time. */
export const PAGE = 200;
const LOOK_MS = 2000;
/** Nobody is looking: now and then is enough. */
const HIDDEN_MS = 30_000;
const RECONNECT_MS = 1500;

export interface Home {
  query: Query;
  catalog: Catalog | null;
  /** How many sources match the query; null until that is known. */
  total: number | null;
  /** Sources that have arrived, by the number of their page. */
  pages: ReadonlyMap<number, Source[]>;
  /** Number of each source that has arrived. */
  places: ReadonlyMap<string, number>;
  /** Sources that are opened up, by id. */
  opened: ReadonlySet<string>;
  /** Where the keyboard is; `id` finds it again when others come and go before it. */
  active: (Spot & { id: string | null }) | null;
  /** The query's answer is not there yet; what is shown is the last one's. */
  asking: boolean;
  offline: boolean;
  error: ApiError | null;
}

const START: Home = {
  query: EVERYTHING,
  catalog: null,
  total: null,
  pages: new Map(),
  places: new Map(),
  opened: new Set(),
  active: null,
  asking: true,
  offline: false,
  error: null,
};

export const useHome = create<Home>(() => START);
const { setState: set, getState: get } = useHome;

export function sourceAt(home: Pick<Home, "pages">, index: number): Source | undefined {
  return home.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
}

/** Pages on the screen; they are kept fresh, others when they come into sight. */
let sight: [first: number, last: number] = [0, 0];
/** Pages that hold the answer to the query as it is now. */
const fresh = new Set<number>();
const loading = new Set<number>();
/** Whether the pages are the answer to another question than the one asked. */
let outdated = true;
/** The revision that fresh pages are of, or later. */
let known: Catalog["revision"] | null = null;
let own = new AbortController();
let looking: AbortController | null = null;

/** Ends what is under way; what is shown belongs to another question from now on. */
function turn(): void {
  own.abort();
  own = new AbortController();
  sight = [0, 0];
  fresh.clear();
  loading.clear();
}

/** The page is opened: its question, and what was opened up when it was left. */
export function begin(query: Query, opened: readonly string[]): void {
  const before = get();
  turn();
  // Back from an image: the list is as it was left, and brought up to date.
  const same = before.total !== null && !outdated && JSON.stringify(before.query) === JSON.stringify(query);
  outdated = !same;
  if (same) set({ query, opened: new Set(opened), asking: false, error: null });
  else set({ ...START, catalog: before.catalog, query, opened: new Set(opened) });
}

/** Another question. What is shown stays until its answer is there. */
export function ask(query: Query): void {
  turn();
  outdated = true;
  set({ query, asking: true, active: null });
  void load([0]);
}

/** These sources are on the screen: what is missing of them is fetched. */
export function show(first: number, last: number): void {
  sight = [Math.floor(first / PAGE), Math.floor(Math.max(first, last) / PAGE)];
  // Until a new query has been answered, the screen shows places of the one before.
  if (!get().asking) void load(inSight());
}

function inSight(): number[] {
  return Array.from({ length: sight[1] - sight[0] + 1 }, (_, i) => sight[0] + i);
}

/** Fetches pages together, so that no source is seen twice or missed while others move. */
async function load(wanted: number[]): Promise<void> {
  const numbers = wanted.filter((page) => !fresh.has(page) && !loading.has(page));
  if (numbers.length === 0) return;
  const { signal } = own;
  const { query } = get();
  const revision = known;
  for (const page of numbers) loading.add(page);
  try {
    const answers = await Promise.all(numbers.map((page) => getSources(query, page * PAGE, PAGE, signal)));
    if (signal.aborted) return;
    // What changed meanwhile may be missing in it: the next look asks again.
    if (revision === known) for (const page of numbers) fresh.add(page);
    const pages = new Map(outdated ? [] : get().pages);
    outdated = false;
    answers.forEach((answer, i) => {
      pages.set(numbers[i] ?? 0, answer.sources);
    });
    arrive(pages, answers.at(-1)?.total ?? 0);
  } catch (error) {
    if (!isAbort(error) && !signal.aborted) fail(toApiError(error));
  } finally {
    if (!signal.aborted) for (const page of numbers) loading.delete(page);
  }
}

function arrive(pages: Map<number, Source[]>, total: number): void {
  const places = new Map<string, number>();
  for (const [page, sources] of pages) {
    if (page * PAGE >= total) pages.delete(page);
    else for (const [i, source] of sources.entries()) places.set(source.source_id, page * PAGE + i);
  }
  set(({ active }) => ({
    pages,
    places,
    total,
    asking: false,
    error: null,
    offline: false,
    active: follow(active, pages, places, total),
  }));
}

/** Where the active source is now; if it is gone, whatever took its place. */
function follow(active: Home["active"], pages: Home["pages"], places: Home["places"], total: number): Home["active"] {
  if (active === null || total === 0) return null;
  const moved = active.id === null ? undefined : places.get(active.id);
  if (moved !== undefined) return { ...active, index: moved };
  const index = Math.min(active.index, total - 1);
  const id = sourceAt({ pages }, index)?.source_id ?? null;
  return id === active.id ? active : { index, part: null, id };
}

export function activate(spot: Spot | null): void {
  if (spot === null) set({ active: null });
  else set(({ pages }) => ({ active: { ...spot, id: sourceAt({ pages }, spot.index)?.source_id ?? null } }));
}

/** Open a source up, or close it. */
export function toggle(id: string): void {
  set(({ opened, active }) => {
    const next = new Set(opened);
    if (!next.delete(id)) next.add(id);
    const inside = active?.id === id && active.part !== null && !next.has(id);
    return { opened: next, ...(inside ? { active: { ...active, part: null } } : {}) };
  });
}

function fail(error: ApiError): void {
  set({ error: error.offline ? null : error, offline: error.offline, asking: false });
}

/** Asks the server for changes until stopped. */
export function watch(): () => void {
  const stop = new AbortController();
  looking = stop;
  let wake = () => {};
  const visible = () => {
    if (document.visibilityState === "visible") wake();
  };
  document.addEventListener("visibilitychange", visible);
  known = null;
  // At the same time as the first look, which asks for it again if it came too late.
  void load([0]);
  void (async () => {
    while (!stop.signal.aborted) {
      await look(stop.signal);
      await new Promise<void>((done) => {
        const timer = setTimeout(done, pauseMs());
        wake = () => {
          clearTimeout(timer);
          done();
        };
      });
    }
  })();
  return () => {
    stop.abort();
    wake();
    own.abort();
    document.removeEventListener("visibilitychange", visible);
  };
}

function pauseMs(): number {
  if (document.visibilityState === "hidden") return HIDDEN_MS;
  return get().offline ? RECONNECT_MS : LOOK_MS;
}

async function look(signal: AbortSignal): Promise<void> {
  try {
    const before = get();
    const catalog = await getCatalog(signal);
    if (signal.aborted) return;
    if (catalog.revision !== known) fresh.clear();
    known = catalog.revision;
    if (JSON.stringify(catalog) !== JSON.stringify(before.catalog)) set({ catalog });
    if (before.offline || before.error !== null) set({ offline: false, error: null });
    await load(inSight());
  } catch (error) {
    if (!isAbort(error) && !signal.aborted) fail(toApiError(error));
  }
}

/** Ask again at once, after an error. */
export function again(): void {
  set({ error: null, asking: get().total === null });
  fresh.clear();
  if (looking) void look(looking.signal);
}
