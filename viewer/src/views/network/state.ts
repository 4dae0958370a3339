/** What is known of the network that is open, and the actions that change it. */

import { create } from "zustand";
import { type ApiError, getBytes, getJson, isAbort, toApiError } from "../../api/client";
import { isColumnInfo } from "../../api/shapes";
import type { CategoryField } from "../../api/types";
import { type Bits, bitsFor, put } from "../../data/bits";
import { permute, placeOf } from "../../data/order";
import { layOutCodes, layOutValues, summarise } from "../../data/points";
import { COLOR_MAPS, type ColorMap } from "../../gpu/lut";
import { set as setModel, useModel } from "../../state/store";
import {
  type About,
  addressOf,
  type Column,
  type ColumnInfo,
  DEFAULT_EDGES,
  edgeLines,
  type Frame,
  frameOf,
  getAbout,
  getTable,
  inFrame,
  type Linked,
  populationOf,
  rowOf,
} from "./model";

export interface Partners {
  gids: Uint32Array;
  projections: Uint32Array;
  values: Float32Array | null;
}

export interface Picked {
  gid: number;
  row: number;
  population: string;
  /** In µm; NaN where nobody knows. */
  place: [number, number, number];
  inputs: Partners | null;
  outputs: Partners | null;
}

export interface Lines {
  positions: Float32Array;
  codes: Float32Array;
  count: number;
  total: number;
}

export interface NetworkState {
  phase: "loading" | "ready" | "error" | "empty";
  id: string;
  about: About | null;
  error: ApiError | null;
  /** What could not be fetched while the rest is there. */
  notice: string | null;
  work: string;
  frame: Frame;
  /** In µm, by row. */
  coordinates: Float32Array;
  /** In the screen's space, by row. */
  places: Float32Array;
  color: string;
  edges: number;
  lines: Lines | null;
  picked: Picked | null;
  /** Places of the picked neuron and of everything connected to it. */
  lit: Bits | null;
  weight: string | null;
  without: string[];
  camera: number[] | null;
  drawn: number;
}

const NONE = new Float32Array(0);

export const useNetwork = create<NetworkState>(() => ({
  phase: "loading",
  id: "",
  about: null,
  error: null,
  notice: null,
  work: "",
  frame: { middle: [0, 0, 0], scale: 1 },
  coordinates: NONE,
  places: NONE,
  color: "population",
  edges: DEFAULT_EDGES,
  lines: null,
  picked: null,
  lit: null,
  weight: null,
  without: [],
  camera: null,
  drawn: 0,
}));

export const now = useNetwork.getState;
export const change = useNetwork.setState;

const running = new Map<string, AbortController>();

/** The latest of several questions of one kind counts; the others are called off. */
async function latest(key: string, words: string, ask: (signal: AbortSignal) => Promise<void>): Promise<void> {
  running.get(key)?.abort();
  const own = new AbortController();
  running.set(key, own);
  change({ work: words });
  try {
    await ask(own.signal);
    if (running.get(key) === own) change({ notice: null });
  } catch (error) {
    if (isAbort(error) || own.signal.aborted) return;
    const failure = toApiError(error);
    change(
      now().phase === "ready" ? { notice: `${failure.message}. ${failure.hint}` } : { phase: "error", error: failure },
    );
  } finally {
    if (running.get(key) === own) {
      running.delete(key);
      if (running.size === 0) change({ work: "" });
    }
  }
}

/** Where every neuron is, then what colours them, then their connections. */
export async function openNetwork(id: string, linked: Linked): Promise<void> {
  leaveNetwork();
  change({ ...linkedParts(linked), id });
  if (linked.cmap !== null && linked.cmap in COLOR_MAPS) setModel({ cmap: linked.cmap as ColorMap });
  await latest("open", "Opening the network…", async (signal) => {
    const about = await getAbout(id, signal);
    const n = about.neurons;
    change({ about });
    if (n === 0) return change({ phase: "empty" });
    const body = await getBytes(addressOf(id, "coordinates"), n * 12, signal);
    const coordinates = new Float32Array(body);
    const frame = frameOf(about.bounds);
    const places = inFrame(coordinates, frame);
    const positions = permute(places, n, 3, new Float32Array(n * 3));
    let nowhere = 0;
    for (let row = 0; row < n; row += 1) if (!Number.isFinite(coordinates[row * 3])) nowhere += 1;
    const embedding = { id: "network", label: about.name, axes: ["x", "y", "z"], width: 3, dimensions: [3] };
    setModel({
      geometry: { positions, n, arrived: n, nowhere, embedding: embedding as never, dim: 3, columns: [0, 1, 2] },
    });
    change({ frame, coordinates, places, phase: nowhere === n ? "empty" : "ready" });
  });
  const { phase, about } = now();
  if (phase !== "ready" || !about) return;
  const column = about.columns.find((c) => c.key === linked.color) ?? about.columns[0];
  await Promise.all([
    column ? paintBy(column, linked.hidden) : Promise.resolve(),
    drawEdges(now().edges),
    linked.gid === null ? Promise.resolve() : pick(linked.gid),
  ]);
}

function linkedParts({ edges, camera, without, weight }: Linked): Partial<NetworkState> {
  return { edges, camera, without, weight };
}

export function leaveNetwork(): void {
  for (const one of running.values()) one.abort();
  running.clear();
  useNetwork.setState(useNetwork.getInitialState(), true);
  setModel(({ theme }) => ({ ...useModel.getInitialState(), theme }));
}

const CODES = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array } as const;

/** Colour by a column, some of its groups hidden: the points stay where they are. */
export async function paintBy(column: Column, codes: number[] = []): Promise<void> {
  const { id, about } = now();
  const n = about?.neurons ?? 0;
  await latest("paint", `Reading ${column.key}…`, async (signal) => {
    const url = addressOf(id, `columns/${column.index}`);
    const info = await getJson<ColumnInfo>(url, signal, isColumnInfo);
    const Kind = info.kind === "category" ? CODES[info.dtype as keyof typeof CODES] : Float32Array;
    const raw = new Kind(await getBytes(`${url}.bin`, n * Kind.BYTES_PER_ELEMENT, signal));
    const painted =
      info.kind === "category"
        ? asCategories(column, info.categories ?? [], raw)
        : asNumbers(column, raw as Float32Array, n);
    setModel({ painted, hidden: painted.kind === "category" ? hiddenOf(codes, painted.field) : null, range: null });
    change({ color: column.key });
  });
}

/** One number a group, the last for what is missing; null when nothing is hidden. */
function hiddenOf(codes: number[], field: CategoryField): Uint8Array | null {
  const hidden = new Uint8Array(field.categories.length + 1);
  for (const code of codes) if (code < hidden.length) hidden[code] = 1;
  return hidden.some((one) => one === 1) ? hidden : null;
}

function asCategories(column: Column, categories: string[], codes: ArrayLike<number>) {
  const counts = categories.map(() => 0);
  let missing = 0;
  for (let row = 0; row < codes.length; row += 1) {
    const code = codes[row] as number;
    if (code < counts.length) counts[code] = (counts[code] ?? 0) + 1;
    else missing += 1;
  }
  const field: CategoryField = {
    index: column.index,
    key: column.key,
    kind: "category",
    ordered: false,
    categories,
    counts,
    n_missing: missing,
    dtype: "uint32",
    missing: -1,
    codes: "",
    colors: null,
  };
  const values = layOutCodes(codes, codes.length, categories.length);
  return { kind: "category" as const, key: `field:${column.key}`, field, values };
}

function asNumbers(column: Column, values: Float32Array, n: number) {
  return {
    kind: "continuous" as const,
    key: `field:${column.key}`,
    title: column.key,
    summary: summarise(values),
    values: layOutValues(values, n),
  };
}

/** About so many connections, evenly spread over all. */
export async function drawEdges(edges: number): Promise<void> {
  change({ edges });
  const { id, about, places } = now();
  if (!about) return;
  if (edges === 0 || about.edges === 0) {
    running.get("edges")?.abort();
    running.delete("edges");
    return change({ lines: null, work: running.size === 0 ? "" : now().work });
  }
  await latest("edges", "Reading connections…", async (signal) => {
    const table = await getTable(addressOf(id, `edges?limit=${edges}`), signal);
    const lines = edgeLines(places, table.whole("source"), table.whole("destination"), about.populations);
    change({ lines: { ...lines, count: table.rows, total: table.total } });
  });
}

/** The attributes of connections that there are, weights first. */
export function weightsOf(about: About): string[] {
  const names = new Set(about.projections.flatMap((p) => p.attributes.map((a) => a.name)));
  return [...names].sort((a, b) => Number(/weight/i.test(b)) - Number(/weight/i.test(a)));
}

async function partners(direction: "inputs" | "outputs", gid: number, signal: AbortSignal): Promise<Partners> {
  const { id, weight } = now();
  const query = weight === null ? "" : `?attributes=${encodeURIComponent(weight)}`;
  const table = await getTable(addressOf(id, `${direction}/${gid}${query}`), signal);
  return {
    gids: table.whole("gid"),
    projections: table.whole("projection"),
    values: weight === null ? null : table.numbers(weight),
  };
}

/** One neuron, and everything it is connected to. */
export async function pick(gid: number): Promise<void> {
  const { about, coordinates } = now();
  if (!about) return;
  const row = rowOf(about.populations, gid);
  if (row < 0) {
    change({ notice: `There is no neuron ${gid}. The populations tell which there are.` });
    return;
  }
  const population = populationOf(about.populations, gid)?.name ?? "";
  const place = [0, 1, 2].map((k) => coordinates[row * 3 + k] ?? Number.NaN) as [number, number, number];
  if (now().weight === null) change({ weight: weightsOf(about).find((name) => /weight/i.test(name)) ?? null });
  change({ picked: { gid, row, population, place, inputs: null, outputs: null }, lit: bitsOf(about, row, []) });
  await latest("pick", `Reading what neuron ${gid} is connected to…`, async (signal) => {
    const [inputs, outputs] = await Promise.all([partners("inputs", gid, signal), partners("outputs", gid, signal)]);
    change({
      picked: { gid, row, population, place, inputs, outputs },
      lit: bitsOf(about, row, [inputs.gids, outputs.gids]),
    });
  });
}

function bitsOf(about: About, row: number, lists: Uint32Array[]): Bits {
  const n = about.neurons;
  const bits = bitsFor(n);
  put(bits, placeOf(row, n));
  for (const gids of lists) {
    for (const gid of gids) {
      const other = rowOf(about.populations, gid);
      if (other >= 0) put(bits, placeOf(other, n));
    }
  }
  return bits;
}

export function unpick(): void {
  running.get("pick")?.abort();
  running.delete("pick");
  change({ picked: null, lit: null, work: running.size === 0 ? "" : now().work });
}

export function chooseWeight(weight: string | null): void {
  change({ weight });
  const { picked } = now();
  if (picked) void pick(picked.gid);
}

export function toggleFrame(name: string): void {
  const { without } = now();
  change({ without: without.includes(name) ? without.filter((other) => other !== name) : [...without, name] });
}
