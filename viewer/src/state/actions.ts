/** What a person can do: each action fetches what it needs, and the latest of a kind always wins. */

import { ApiError, getJson, isAbort, isCopy, toApiError } from "../api/client";
import { isCell, isDatasets, isIdentity } from "../api/shapes";
import type { Cell, Dataset, EmbeddingInfo, FieldEntry, Identity } from "../api/types";
import { counted } from "../data/format";
import type { By, Mode } from "../data/selecting";
import type { Ground } from "../data/worker";
import { followUrl, forgetAddress, linkedNow, writeAddress } from "./address";
import { fetchPoints } from "./arrival";
import { fetchPainted, isOf, keyOf, loadGenes } from "./colors";
import { addressOf, crewIsThere, crewOf } from "./crew";
import { type FindGene, filtersFrom } from "./filterlink";
import { forgetFilters, hiddenOf, hide, hold, setFilters } from "./filters";
import { forgetParts } from "./parts";
import { setPlace } from "./route";
import { type Color, type Geometry, get, NOTHING, type Painted, set, setProgress, useModel } from "./store";
import { type Linked, readUrl } from "./url";
import { readView } from "./viewlink";
import { forgetGrounds, groundOf, layViews, MOST_VIEWS, ownOf, setOwn, viewsNow } from "./views";

const MOST_DEFAULT_CATEGORIES = 100;
const POLL_MS = 1500;

export { addressOf, crewOf, followUrl, hide, keyOf, linkedNow, loadGenes, writeAddress };

const path = addressOf;

/** One running request of each kind; a newer one ends it. */
const running = new Map<string, AbortController>();

async function latest(kind: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  running.get(kind)?.abort();
  const own = new AbortController();
  running.set(kind, own);
  try {
    await work(own.signal);
  } catch (error) {
    if (!isAbort(error) && !own.signal.aborted) fail(toApiError(error));
  } finally {
    if (running.get(kind) === own) {
      running.delete(kind);
      setProgress(kind, null);
    }
  }
}

function fail(error: ApiError): void {
  const bare = get().geometry === null;
  if (bare) set({ error, phase: "error" });
  else if (error.offline) set({ offline: true });
  else set({ error });
  if (error.offline) void reconnect();
}

/** Asks until the server is back; what is drawn stays. */
async function reconnect(): Promise<void> {
  if (running.has("reconnect")) return;
  const own = new AbortController();
  running.set("reconnect", own);
  for (;;) {
    await new Promise((done) => setTimeout(done, POLL_MS));
    try {
      await getJson("_cellucid/health", own.signal);
      break;
    } catch {
      // Still gone; asked again.
    }
    if (own.signal.aborted) return;
  }
  running.delete("reconnect");
  set({ offline: false, error: null });
  const { geometry, color, painted } = get();
  const whole = painted.kind === "none" || painted.arrived === undefined;
  if (geometry === null) await start();
  else if (!whole || painted.key !== keyOf(color)) await paint(color);
}

/** Is the server still there? Asked when the tab is looked at again, and now and then. */
export async function checkServer(): Promise<void> {
  if (get().offline || isCopy()) return;
  const own = new AbortController();
  running.set("check", own);
  try {
    await getJson("_cellucid/health", own.signal);
  } catch (error) {
    if (error instanceof ApiError && error.offline && !own.signal.aborted) {
      set({ offline: true });
      void reconnect();
    }
  }
}

export async function start(): Promise<void> {
  const linked = readUrl(location.search);
  set({ phase: "loading", error: null });
  setLooks(linked);
  await latest("dataset", async (signal) => {
    setProgress("dataset", { label: "Opening", fraction: null });
    const { datasets } = await getJson<{ datasets: Dataset[] }>("_cellucid/datasets", signal, isDatasets);
    const wanted = datasets.find((d) => d.id === linked.dataset);
    set({ datasets });
    if (linked.dataset !== null && !wanted) {
      const words = `There is no data set “${linked.dataset}” here`;
      if (datasets.length !== 1) {
        throw new ApiError("dataset_not_found", words, "It may have been moved or deleted; see all sources.", 404);
      }
      set({ notice: `${words}; this is the only one.` });
    }
    const best = datasets.find((d) => d.status === "ok") ?? datasets.find((d) => d.status !== "error");
    const first = wanted ?? best ?? datasets[0];
    if (!first) throw new ApiError("no_datasets", "The server offers no data", "Start it with a file to serve.", 0);
    await open(first, linked, signal);
  });
}

/** What needs nothing of the server. */
function setLooks(linked: Linked): void {
  const { cmap, size, alpha, fileColors, layout, tissue, tissueCamera, spot, pictureAlpha, spotAlpha } = linked;
  const { together, edges, vectors } = linked;
  set({
    cmap,
    size,
    alpha,
    fileColors,
    layout,
    tissue,
    tissueCamera,
    spot,
    pictureAlpha,
    spotAlpha,
    together,
    edges,
    vectors,
  });
}

/** Ends what runs and forgets the data set; the theme is the whole page's and stays. */
export function leave(): void {
  for (const one of running.values()) one.abort();
  running.clear();
  forgetAddress();
  if (crewIsThere()) void crewOf().run({ kind: "forget" });
  forgetFilters();
  forgetParts();
  set(({ theme }) => ({ ...useModel.getInitialState(), theme }));
}

async function open(dataset: Dataset, linked: Linked, signal: AbortSignal): Promise<void> {
  const before = get().identity;
  set({ dataset, identity: null, error: null });
  const identity = await getJson<Identity>(path("dataset_identity.json"), signal, isIdentity);
  if (before !== null && before.stats.n_cells !== identity.stats.n_cells) forgetMade();
  set({ identity, camera: linked.camera });
  setPlace(identity.name);
  await show(linked, identity, signal);
  if (get().geometry === null || signal.aborted) return;
  if (linked.selected.length > 0) await select({ kind: "cells", cells: linked.selected }, "replace");
  // Not needed before there is something to undo.
  if (!signal.aborted) void import("./history").then(({ beginHistory }) => beginHistory()).catch(() => undefined);
}

/** Sets of cells mean nothing when the file that changed has another number of them. */
function forgetMade(): void {
  void crewOf().run({ kind: "forget" });
  forgetFilters();
  const drawn = { geometry: null, painted: NOTHING };
  set(({ views }) => ({
    ...{ filters: [], groups: [], marks: null, selection: null, passing: null, counts: {}, kept: {}, columns: {} },
    ...drawn,
    views: views.map((view) => ({ ...view, ...drawn })),
  }));
}

/** The view of a session that is opened, in place of the one there is. */
export async function applyLink(linked: Linked): Promise<void> {
  const { identity } = get();
  if (identity === null) return;
  setLooks(linked);
  await latest("dataset", async (signal) => {
    await show(linked, identity, signal, () => set({ camera: linked.camera }));
  });
}

async function show(linked: Linked, identity: Identity, signal: AbortSignal, shown?: () => void): Promise<void> {
  const known = identity.expression.items.some((e) => e.id === linked.expr);
  set({ expression: known ? linked.expr : identity.expression.default });
  const embeddings = identity.embeddings.items;
  const embedding =
    embeddings.find((e) => e.id === linked.embedding) ?? embeddings.find((e) => e.default) ?? embeddings[0];
  if (!embedding) {
    set({ phase: "empty" });
    return;
  }
  if (linked.embedding !== null && embedding.id !== linked.embedding) {
    set({ notice: `There is no embedding “${linked.embedding}”; this is ${embedding.label}.` });
  }
  await choosePoints(embedding, linked.dim, linked.columns);
  if (get().geometry === null || signal.aborted) return;
  shown?.();
  if (linked.filters.length > 0) await filterLinked(linked.filters, identity, signal);
  if (!signal.aborted) await paintLinked(linked, identity, signal);
  if (!signal.aborted) await showViews(linked, identity, signal);
}

/** The other views of a link, one after the other. */
async function showViews(linked: Linked, identity: Identity, signal: AbortSignal): Promise<void> {
  const wanted = linked.views.slice(0, MOST_VIEWS - 1).map(readView);
  if (wanted.length === 0 && get().views.length === 1) return;
  const ids = layViews(wanted.length, linked.at);
  for (const [i, one] of wanted.entries()) {
    const id = ids[i] ?? "";
    const { items } = identity.embeddings;
    const embedding = items.find((e) => e.id === one.embedding) ?? get().geometry?.embedding ?? items[0];
    if (!embedding || signal.aborted) return;
    await choosePoints(embedding, one.dim, one.columns, id);
    const color = await colorOf(one, identity);
    if (color !== null && !signal.aborted) await paint(color, id);
    const { range, cmap, fileColors, camera } = one;
    setOwn(id, { range, cmap, fileColors, camera });
  }
}

async function filterLinked(texts: string[], identity: Identity, signal: AbortSignal): Promise<void> {
  const { findGene } = await import("./genefind");
  const find: FindGene = (expression, index, name) => findGene(identity, expression, index, name);
  const { filters, missed } = await filtersFrom(texts, identity, find);
  if (signal.aborted) return;
  if (missed > 0) set({ notice: `${counted(missed, "filter")} of the link left out: there is no such field or gene.` });
  // In the background: what passes is drawn when it is known.
  void setFilters(filters);
}

/** What the link asks for, else the first field that makes a good legend. */
async function paintLinked(linked: Linked, identity: Identity, signal: AbortSignal): Promise<void> {
  const asked = linked.color === null ? null : await colorOf(linked, identity);
  if (signal.aborted) return;
  if (asked === null && linked.color !== null && linked.color !== "none") {
    set({ notice: missingColor(linked.color) });
  }
  const good = (f: FieldEntry) => (f.n_categories ?? 0) >= 2 && (f.n_categories ?? 0) <= MOST_DEFAULT_CATEGORIES;
  const first = identity.obs_fields.find(good);
  const fallback: Color = first ? { kind: "field", index: first.index, key: first.key } : { kind: "none" };
  await paint(asked ?? (linked.color === "none" ? { kind: "none" } : fallback));
  if (asked === null) return;
  if (linked.range !== null && get().painted.kind === "continuous") set({ range: linked.range });
  const { painted } = get();
  if (painted.kind === "category" && linked.hidden.length > 0) {
    const hidden = new Uint8Array(painted.field.categories.length + 1);
    for (const code of linked.hidden) if (code < hidden.length) hidden[code] = 1;
    hide(hidden);
  }
}

function missingColor(color: string): string {
  const [kind = "", ...rest] = color.split(":");
  const why = kind === "score" ? ": scores are in session files, not in links" : " here";
  return `There is no ${kind} “${rest.join(":")}”${why}; these are the default colours.`;
}

async function colorOf(linked: Pick<Linked, "color" | "gene">, identity: Identity): Promise<Color | null> {
  const [kind, ...rest] = (linked.color ?? "").split(":");
  const key = rest.join(":");
  if (kind === "field") {
    const field = identity.obs_fields.find((f) => f.key === key && f.kind !== "text");
    return field ? { kind: "field", index: field.index, key } : null;
  }
  if (kind === "score") return get().scores.find((score) => score.key === key) ?? null;
  const expression = get().expression;
  if (kind !== "gene" || expression === null) return null;
  const genes = await loadGenes();
  const numbered = linked.gene !== null && genes?.names[linked.gene] === key ? linked.gene : -1;
  const index = numbered >= 0 ? numbered : (genes?.names.indexOf(key) ?? -1);
  const found = index >= 0 ? index : (genes?.symbols?.indexOf(key) ?? -1);
  return found >= 0 ? { kind: "gene", index: found, key: genes?.names[found] ?? key, expression } : null;
}

export async function choosePoints(
  embedding: EmbeddingInfo,
  dim: number | null,
  columns: number[] | null,
  view = get().focused,
): Promise<void> {
  const most = Math.max(...embedding.dimensions);
  const fits = dim !== null && embedding.dimensions.includes(dim);
  const chosen = fits ? dim : Math.min(most, 2) || most;
  const axes = columns?.length === chosen && columns.every((c) => Number.isInteger(c) && c >= 0 && c < embedding.width);
  const own = axes && columns ? columns : Array.from({ length: chosen }, (_, i) => i);
  const wanted = { embedding, dim: chosen, columns: own, task: `points ${view}` };
  const before = ownOf(get(), view).geometry;
  const moved = before !== null && (before.embedding.id !== embedding.id || before.dim !== chosen);
  // What comes in parts is waited for only until the first can be seen.
  await new Promise<void>((first) => {
    void latest(wanted.task, async (signal) => {
      const show = (geometry: Geometry) => {
        setOwn(view, moved && ownOf(get(), view).geometry === before ? { geometry, camera: null } : { geometry });
        set({ phase: "ready", hover: null });
        first();
      };
      const same = viewsNow(get()).find(({ geometry: g }) => g?.arrived === g?.n && groundOf(g) === groundOf(wanted));
      if (same?.geometry) show(same.geometry);
      else await fetchPoints(wanted, signal, show);
      forgetGrounds(before);
    }).finally(first);
  });
}

export async function chooseExpression(expression: string): Promise<void> {
  set({ expression });
  await latest("genes", async (signal) => {
    const genes = await loadGenes();
    if (signal.aborted) return;
    const { color } = get();
    if (color.kind !== "gene" || genes === null) return;
    const index = genes.names.indexOf(color.key);
    if (index >= 0) await paint({ ...color, index, expression });
    else set({ notice: `${color.key} is not among the genes of ${expression}.` });
  });
}

export async function paint(color: Color, view = get().focused): Promise<void> {
  setOwn(view, { color });
  set({ error: null });
  const task = `color ${view}`;
  await latest(task, async (signal) => {
    const label = color.kind === "none" ? "" : color.key;
    const tell = (fraction: number | null) => setProgress(task, { label, fraction });
    if (color.kind !== "none") tell(null);
    const known = viewsNow(get()).find(({ painted }) => painted.kind !== "none" && isOf(painted, color))?.painted;
    const show = (painted: Painted) => {
      if (signal.aborted) return;
      setOwn(view, { painted, range: null });
      set((now) => ({ hidden: hiddenOf(now.filters, now.painted), hover: null }));
    };
    const painted = color.kind === "none" ? NOTHING : (known ?? (await fetchPainted(color, signal, show, tell)));
    show(painted);
    if (!signal.aborted && painted.kind !== "none") hold(painted);
  });
}

/** Cells that every view of them shows as chosen. */
export async function select(by: By, mode: Mode, ground: Ground = groundOf(get().geometry)): Promise<void> {
  const { identity } = get();
  const selection = await crewOf().run({ kind: "select", by, mode, ground });
  if (get().identity === identity) set({ selection });
}

export function unselect(): void {
  if (get().selection === null) return;
  void crewOf().run({ kind: "unselect" });
  set({ selection: null });
}

export async function describeCell(cell: number): Promise<void> {
  await latest("cell", async (signal) => {
    const detail = await getJson<Cell>(path(`cells/${cell}.json`), signal, isCell);
    set(({ hover }) => (hover?.cell === cell ? { hover: { ...hover, detail } } : {}));
  });
}

export function forgetCell(): void {
  running.get("cell")?.abort();
  if (get().hover !== null) set({ hover: null });
}
