/** A network's documents, its places on the screen and its link: everything about it that needs no GPU. */

import { ApiError, believed, getJson, getResponse } from "../../api/client";
import { arrayPath } from "../../api/images";
import { isAbout, isTableHead } from "../../api/shapes";
import { permute } from "../../data/order";
import { FAR, NOWHERE } from "../../data/points";
import { readRuns, writeRuns } from "../../state/url";

export interface Population {
  name: string;
  number: number;
  /** Its first gid. */
  start: number;
  count: number;
  /** Its first row. */
  offset: number;
}

export interface Projection {
  index: number;
  name: string;
  source: string;
  destination: string;
  type: string | null;
  edges: number;
  attributes: { name: string; dtype: string }[];
  indexed: boolean;
}

export type Corner = [number, number, number];

export interface Column {
  index: number;
  key: string;
  populations: string[];
  dtype: string;
  single: boolean;
}

export interface About {
  name: string;
  unit: string;
  neurons: number;
  edges: number;
  bounds: [Corner, Corner] | null;
  populations: Population[];
  projections: Projection[];
  left_out: Record<string, string>;
  layers: Record<string, [Corner, Corner]>;
  electrodes: { coordinates: [number, number, number, number][]; input_radius?: number; output_radius?: number } | null;
  columns: Column[];
}

export interface ColumnInfo {
  kind: "number" | "category";
  dtype: string;
  categories: string[] | null;
  min: number | null;
  max: number | null;
}

export function addressOf(id: string, rest = ""): string {
  return `api/networks/${arrayPath(id)}${rest === "" ? "" : `/${rest}`}`;
}

export function getAbout(id: string, signal?: AbortSignal): Promise<About> {
  return getJson<About>(addressOf(id), signal, isAbout);
}

// -- tables ----------------------------------------------------------------------------------------------------------

interface TableHead {
  rows: number;
  columns: { name: string; dtype: string; shape: number[]; offset: number; bytes: number }[];
  total?: number;
}

export interface Table {
  rows: number;
  total: number;
  /** Whole numbers. */
  whole: (name: string) => Uint32Array;
  /** Numbers; null where there is no such column. */
  numbers: (name: string) => Float32Array | null;
}

const MAGIC = 0x43535442; // CSTB

function noTable(): ApiError {
  return new ApiError("bad_answer", "The server's answer is no table", "Reload the page.", 0);
}

function headIn(bytes: Uint8Array): TableHead {
  try {
    return believed<TableHead>(JSON.parse(new TextDecoder().decode(bytes)), isTableHead, 0);
  } catch {
    throw noTable();
  }
}

/** The columns of docs/reference/http-networks.md, looked at without copying. */
export function readTable(body: ArrayBuffer): Table {
  const view = new DataView(body);
  if (body.byteLength < 8 || view.getUint32(0) !== MAGIC) throw noTable();
  const start = 8 + view.getUint32(4, true);
  if (start > body.byteLength) throw noTable();
  const head = headIn(new Uint8Array(body, 8, start - 8));
  const inside = ({ offset, bytes }: TableHead["columns"][number]) =>
    (start + offset) % 4 === 0 && bytes % 4 === 0 && start + offset + bytes <= body.byteLength;
  const find = (name: string, dtype: string) => {
    const found = head.columns.find((c) => c.name === name && c.dtype === dtype);
    if (found && !inside(found)) throw noTable();
    return found;
  };
  return {
    rows: head.rows,
    total: head.total ?? head.rows,
    whole: (name) => {
      const at = find(name, "uint32");
      return at ? new Uint32Array(body, start + at.offset, at.bytes / 4) : new Uint32Array(0);
    },
    numbers: (name) => {
      const at = find(name, "float32");
      return at ? new Float32Array(body, start + at.offset, at.bytes / 4) : null;
    },
  };
}

export async function getTable(url: string, signal?: AbortSignal): Promise<Table> {
  return readTable(await (await getResponse(url, signal)).arrayBuffer());
}

// -- gids and rows ---------------------------------------------------------------------------------------------------

export function populationOf(populations: Population[], gid: number): Population | null {
  return populations.find((p) => gid >= p.start && gid < p.start + p.count) ?? null;
}

/** The row of a neuron; -1 where there is no such gid. */
export function rowOf(populations: Population[], gid: number): number {
  const own = populationOf(populations, gid);
  return own ? own.offset + gid - own.start : -1;
}

export function gidOf(populations: Population[], row: number): number {
  const own = populations.find((p) => row >= p.offset && row < p.offset + p.count);
  return own ? own.start + row - own.offset : -1;
}

// -- places ----------------------------------------------------------------------------------------------------------

export interface Frame {
  middle: Corner;
  /** Units of the screen's space for one µm: the longest side of the box is 2. */
  scale: number;
}

/** Takes every neuron into [-1, 1]; null bounds: nobody knows where they are. */
export function frameOf(bounds: [Corner, Corner] | null): Frame {
  if (!bounds) return { middle: [0, 0, 0], scale: 1 };
  const [low, high] = bounds;
  const middle = low.map((value, i) => (value + (high[i] ?? value)) / 2) as Corner;
  const longest = Math.max(...low.map((value, i) => (high[i] ?? value) - value));
  return { middle, scale: longest > 0 ? 2 / longest : 1 };
}

/** In µm, by row → in the screen's space, by row. */
export function inFrame(coordinates: Float32Array, { middle, scale }: Frame): Float32Array {
  const out = new Float32Array(coordinates.length);
  for (let at = 0; at < coordinates.length; at += 3) {
    let known = true;
    for (let k = 0; k < 3; k += 1) {
      const value = coordinates[at + k] as number;
      out[at + k] = (value - (middle[k] as number)) * scale;
      known &&= Number.isFinite(value);
    }
    if (!known) out.fill(NOWHERE, at, at + 3);
  }
  return out;
}

const EDGES_OF_BOX = [0, 1, 0, 2, 0, 4, 1, 3, 1, 5, 2, 3, 2, 6, 3, 7, 4, 5, 4, 6, 5, 7, 6, 7];

/** The twelve edges of boxes in µm as ends of lines in the screen's space. */
export function boxLines(boxes: [Corner, Corner][], { middle, scale }: Frame): Float32Array {
  const out = new Float32Array(boxes.length * EDGES_OF_BOX.length * 3);
  boxes.forEach((box, number) => {
    EDGES_OF_BOX.forEach((corner, end) => {
      for (let k = 0; k < 3; k += 1) {
        const value = box[(corner >> k) & 1]?.[k] ?? 0;
        out[(number * EDGES_OF_BOX.length + end) * 3 + k] = (value - (middle[k] as number)) * scale;
      }
    });
  });
  return out;
}

/** Cubes where electrodes are; their side is a fifth of the way to the next one. */
export function electrodeBoxes({ coordinates }: NonNullable<About["electrodes"]>): [Corner, Corner][] {
  let gap = Number.POSITIVE_INFINITY;
  const [, x0 = 0, y0 = 0, z0 = 0] = coordinates[0] ?? [];
  for (const [, x, y, z] of coordinates.slice(1)) {
    const distance = Math.hypot(x - x0, y - y0, z - z0);
    if (distance > 0) gap = Math.min(gap, distance);
  }
  const half = Number.isFinite(gap) ? gap / 10 : 10;
  return coordinates.map(([, x, y, z]) => [
    [x - half, y - half, z - half],
    [x + half, y + half, z + half],
  ]);
}

/**
 * Ends of connections as lines, in an order of which every beginning is an even sample of all of them.
 *
 * Connections of which an end is nowhere stay in place and are not drawn.
 */
export function edgeLines(
  places: Float32Array,
  sources: Uint32Array,
  destinations: Uint32Array,
  populations: Population[],
): { positions: Float32Array; codes: Float32Array } {
  const n = sources.length;
  const ends = new Float32Array(n * 6);
  const codes = new Float32Array(n * 2);
  // Gids of one population follow each other: the last one found is mostly the next one.
  let own = populations[0];
  const place = (gid: number): number => {
    if (!own || gid < own.start || gid >= own.start + own.count) own = populationOf(populations, gid) ?? own;
    return own ? (own.offset + gid - own.start) * 3 : 0;
  };
  for (let i = 0; i < n; i += 1) {
    const from = place(sources[i] as number);
    const code = own ? populations.indexOf(own) : 0;
    const to = place(destinations[i] as number);
    for (let k = 0; k < 3; k += 1) {
      ends[i * 6 + k] = places[from + k] as number;
      ends[i * 6 + 3 + k] = places[to + k] as number;
    }
    if ((places[from] as number) > FAR || (places[to] as number) > FAR) ends.fill(NOWHERE, i * 6, i * 6 + 6);
    codes[i * 2] = code;
    codes[i * 2 + 1] = code;
  }
  return {
    positions: permute(ends, n, 6, new Float32Array(n * 6)),
    codes: permute(codes, n, 2, new Float32Array(n * 2)),
  };
}

/** Lines from one neuron to others. */
export function spokes(places: Float32Array, row: number, others: number[]): Float32Array {
  const out = new Float32Array(others.length * 6);
  others.forEach((other, i) => {
    const known = other >= 0 && (places[row * 3] ?? NOWHERE) < FAR && (places[other * 3] ?? NOWHERE) < FAR;
    if (!known) {
      out.fill(NOWHERE, i * 6, i * 6 + 6);
      return;
    }
    for (let k = 0; k < 3; k += 1) {
      out[i * 6 + k] = places[row * 3 + k] as number;
      out[i * 6 + 3 + k] = places[other * 3 + k] as number;
    }
  });
  return out;
}

// -- numbers ---------------------------------------------------------------------------------------------------------

/** The longest of 1, 2, 5 × 10ⁿ that is no longer than this. */
export function nice(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((step) => step * power).find((length) => length <= most) ?? power;
}

/** A bar of a round length in µm, and how long it is on the screen. */
export function scaleBar(zoom: number, { scale }: Frame, longestPx = 140): { um: number; px: number } {
  const pxPerUm = 2 ** zoom * scale;
  const um = nice(longestPx / pxPerUm);
  return { um, px: um * pxPerUm };
}

export function lengthWords(um: number): string {
  return um >= 1000 ? `${Number((um / 1000).toPrecision(3))} mm` : `${Number(um.toPrecision(3))} µm`;
}

/** How opaque a line is when so many of them lie over each other. */
export function edgeAlpha(count: number): number {
  return Math.max(0.03, Math.min(0.5, 30 / Math.sqrt(Math.max(1, count))));
}

// -- link ------------------------------------------------------------------------------------------------------------

export const EDGE_STEPS = [0, 2_000, 20_000, 200_000, 1_000_000] as const;
export const DEFAULT_EDGES = 2_000;

export interface Linked {
  color: string | null;
  gid: number | null;
  edges: number;
  camera: number[] | null;
  /** What is left out of the picture. */
  without: string[];
  /** An attribute of connections. */
  weight: string | null;
  cmap: string | null;
  /** Codes of the groups that are hidden in the legend. */
  hidden: number[];
}

export const FRAMES = ["electrodes", "box", "layers"] as const;

export function readLinked(search: string): Linked {
  const query = new URLSearchParams(search);
  const whole = (name: string) => {
    const text = query.get(name);
    return text !== null && /^\d{1,10}$/.test(text) ? Number(text) : null;
  };
  const camera = (query.get("camera") ?? "").split(",").map(Number);
  const edges = whole("edges");
  return {
    color: query.get("color"),
    gid: whole("gid"),
    edges: EDGE_STEPS.find((step) => step === edges) ?? DEFAULT_EDGES,
    camera: camera.length === 6 && camera.every(Number.isFinite) ? camera : null,
    without: (query.get("without") ?? "").split(",").filter((name) => FRAMES.some((known) => known === name)),
    weight: query.get("weight"),
    cmap: query.get("cmap"),
    hidden: readRuns(query.get("hidden")),
  };
}

export function writeLinked(linked: Linked): Record<string, string | null> {
  return {
    color: linked.color,
    gid: linked.gid === null ? null : String(linked.gid),
    edges: linked.edges === DEFAULT_EDGES ? null : String(linked.edges),
    camera: linked.camera?.map((n) => Number(n.toFixed(3))).join(",") ?? null,
    without: linked.without.length === 0 ? null : linked.without.join(","),
    weight: linked.weight,
    cmap: linked.cmap === "viridis" ? null : linked.cmap,
    hidden: writeRuns(linked.hidden) || null,
  };
}

/** What a person who cannot see the picture is told. */
export function summary(about: About, drawn: number, color: string, picked: number | null): string {
  const parts = about.populations.map((p) => `${p.count.toLocaleString("en-US")} ${p.name}`).join(", ");
  const edges = `${drawn.toLocaleString("en-US")} of ${about.edges.toLocaleString("en-US")} connections drawn`;
  const neuron = picked === null ? "" : `; neuron ${picked} is chosen`;
  return `Network of ${about.neurons.toLocaleString("en-US")} neurons in 3D: ${parts}; coloured by ${color}; ${edges}${neuron}`;
}
