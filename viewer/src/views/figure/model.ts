/** What stands where in a figure, in CSS pixels (96 to an inch), and what it is called: all of it that needs no canvas. */

import { type Bits, has } from "../../data/bits";
import { count as countText, number, shorten } from "../../data/format";
import { COLOR_MAPS, type ColorMap, type Lut, parseColor } from "../../gpu/lut";
import { toCss } from "../../gpu/palette";
import type { Painted } from "../../state/store";
import type { Path } from "./lines";

export const CSS_DPI = 96;
const INCH_MM = 25.4;
/** No browser makes larger canvases everywhere. */
export const MOST_SIDE = 16_000;
export const MOST_PIXELS = 120_000_000;
/** More circles than this make an SVG that few programs open; their place is taken by one picture. */
export const MOST_CIRCLES = 50_000;
const MOST_ROWS = 40;

export interface Settings {
  format: "svg" | "png";
  /** All views, or the one that has the focus. */
  all: boolean;
  width: number;
  unit: "mm" | "px";
  dpi: number;
  background: "white" | "transparent" | "theme";
  title: string;
  legend: boolean;
  axes: boolean;
}

export const DEFAULTS: Settings = {
  format: "png",
  all: true,
  width: 180,
  unit: "mm",
  dpi: 300,
  background: "white",
  title: "",
  legend: true,
  axes: true,
};

/** Width in CSS pixels: "px" are those of the finished picture. */
export function cssWidth({ width, unit, dpi, format }: Settings): number {
  if (unit === "mm") return (width / INCH_MM) * CSS_DPI;
  return format === "png" ? (width * CSS_DPI) / dpi : width;
}

/** From CSS pixels to those of the picture. */
export function scaleOf({ dpi }: Settings): number {
  return dpi / CSS_DPI;
}

export type Item =
  | { kind: "rect"; x: number; y: number; w: number; h: number; fill: string | null; stroke: string | null }
  | { kind: "circle"; x: number; y: number; r: number; fill: string }
  | { kind: "gradient"; x: number; y: number; w: number; h: number; stops: string[] }
  | {
      kind: "text";
      x: number;
      y: number;
      text: string;
      size: number;
      anchor: "start" | "middle" | "end";
      bold: boolean;
      /** Turned to be read from below. */
      turned: boolean;
    }
  /** Lines over a frame at x, y; nothing of them is seen outside it. */
  | { kind: "lines"; paths: Path[]; x: number; y: number; w: number; h: number }
  /** The points of pane number `pane`. */
  | { kind: "points"; pane: number; x: number; y: number; w: number; h: number };

export interface Pane {
  title: string;
  axes: string[];
  dim: number;
  /** Width by height of the view on the screen. */
  aspect: number;
  legend: Legend;
}

export type Legend =
  | { kind: "none" }
  | { kind: "category"; title: string; rows: { name: string; count: number; color: string }[]; more: number }
  | { kind: "continuous"; title: string; low: number; high: number; cmap: ColorMap; missing: number };

/** Cells of each category that are shown, then those without one. */
export function shownCounts(painted: Extract<Painted, { kind: "category" }>, passing: Bits | null): number[] {
  const { counts, n_missing, categories } = painted.field;
  if (passing === null) return [...counts, n_missing];
  const found = new Array<number>(categories.length + 1).fill(0);
  painted.values.forEach((value, place) => {
    const code = Math.min(value, categories.length);
    if (has(passing, place)) found[code] = (found[code] ?? 0) + 1;
  });
  return found;
}

/** Categories that are not hidden, in their order, and how many cells of each are shown. */
export function legendOf(
  painted: Painted,
  lut: Lut,
  range: readonly [number, number] | null,
  cmap: ColorMap,
  hidden: Uint8Array | null,
  passing: Bits | null,
): Legend {
  if (painted.kind === "none") return { kind: "none" };
  if (painted.kind === "continuous") {
    const [low, high] = range ?? [painted.summary.min, painted.summary.max];
    return { kind: "continuous", title: painted.title, low, high, cmap, missing: painted.summary.missing };
  }
  const { categories, key } = painted.field;
  const counts = shownCounts(painted, passing);
  const color = (code: number) => toCss([0, 1, 2].map((k) => lut.pixels[code * 4 + k] ?? 0) as never);
  const rows = categories.map((name, code) => ({ name, count: counts[code] ?? 0, color: color(code), code }));
  const code = categories.length;
  const missing = counts[code] ?? 0;
  if (missing > 0) rows.push({ name: "missing", count: missing, color: color(code), code });
  const shown = rows.filter((row) => !hidden?.[row.code]);
  const kept = shown.length > MOST_ROWS ? shown.slice(0, MOST_ROWS - 1) : shown;
  const plain = kept.map(({ code: _, ...row }) => row);
  return { kind: "category", title: key, rows: plain, more: shown.length - kept.length };
}

const TEXT = 10;
const LINE = 14;
const GAP = 12;
const MARGIN = 8;
const TITLE = 14;
/** Sizes of a legend's text and its share of the width, tried one after the other until every name fits whole. */
const LEGENDS = [
  [10, 0.34],
  [9, 0.34],
  [9, 0.42],
  [8, 0.42],
  [8, 0.5],
] as const;
/** Where no name can be whole. */
const LEGEND_SHARE = 0.42;

export type Measure = (text: string, size: number) => number;

function textAt(x: number, y: number, text: string, more: Partial<Extract<Item, { kind: "text" }>> = {}): Item {
  return { kind: "text", x, y, text, size: TEXT, anchor: "start", bold: false, turned: false, ...more };
}

export function columnsFor(panes: number): number {
  return panes < 2 ? 1 : panes < 5 ? 2 : 3;
}

/** Every part of the figure, from back to front, and its height. */
export function laidOut(
  panes: Pane[],
  settings: Settings,
  measure: Measure,
): { items: Item[]; width: number; height: number } {
  const width = cssWidth(settings);
  const columns = columnsFor(panes.length);
  const cell = (width - 2 * MARGIN - (columns - 1) * GAP) / columns;
  const items: Item[] = [];
  const legends = panes.map(({ legend }) =>
    settings.legend ? laidLegend(legend, cell, measure) : { items: [], w: 0, h: 0 },
  );
  // Frames of one size, however long the names beside them are.
  const beside = Math.max(0, ...legends.map(({ w }) => w));
  let y = MARGIN;
  if (settings.title.trim() !== "") {
    items.push(textAt(MARGIN, y + TITLE, settings.title.trim(), { size: TITLE, bold: true }));
    y += TITLE + GAP;
  }
  for (let row = 0; row * columns < panes.length; row += 1) {
    let tallest = 0;
    for (let column = 0; column < columns; column += 1) {
      const at = row * columns + column;
      const pane = panes[at];
      if (!pane) continue;
      const x = MARGIN + column * (cell + GAP);
      const legend = legends[at] ?? { items: [], h: 0 };
      const made = laidPane(pane, at, x, y, cell - beside, { ...legend, w: beside }, settings, panes.length > 1);
      items.push(...made.items);
      tallest = Math.max(tallest, made.height);
    }
    y += tallest + GAP;
  }
  return { items, width, height: y - GAP + MARGIN };
}

function laidPane(
  pane: Pane,
  at: number,
  x: number,
  y: number,
  room: number,
  legend: { items: Item[]; w: number; h: number },
  { axes: withAxes }: Settings,
  titled: boolean,
): { items: Item[]; height: number } {
  const items: Item[] = [];
  const top = titled ? LINE : 0;
  if (titled) items.push(textAt(x, y + TEXT, pane.title, { bold: true }));
  const labelled = withAxes && pane.dim < 3;
  const left = labelled && pane.dim > 1 ? LINE : 0;
  const w = room - left - (legend.w > 0 ? GAP : 0);
  const h = w / Math.max(0.4, Math.min(2.5, pane.aspect));
  const [px, py] = [x + left, y + top];
  items.push({ kind: "points", pane: at, x: px, y: py, w, h });
  items.push({ kind: "rect", x: px, y: py, w, h, fill: null, stroke: "frame" });
  if (labelled) {
    items.push(textAt(px + w / 2, py + h + LINE - 2, pane.axes[0] ?? "", { anchor: "middle" }));
    if (left > 0) {
      items.push(textAt(px - 5, py + h / 2, pane.axes[1] ?? "", { anchor: "middle", turned: true }));
    }
  }
  items.push(...legend.items.map((item) => ({ ...item, x: item.x + px + w + GAP, y: item.y + py })));
  return { items, height: top + Math.max(h + (labelled ? LINE : 0), legend.h) };
}

/** As much of a name, and all that follows it, as there is room for. */
function fitting(name: string, after: string, room: number, measure: Measure, size = TEXT): string {
  let letters = name.length;
  while (letters > 4 && measure(shorten(name, letters) + after, size) > room) letters -= 1;
  return shorten(name, letters) + after;
}

const DOT = 14;

/** The size of the text, and how wide it may be: two names that are cut to the same are worse than small ones. */
function roomFor(legend: Legend, cell: number, measure: Measure): { size: number; most: number } {
  if (legend.kind !== "category") return { size: TEXT, most: cell * LEGENDS[0][1] };
  const widest = (size: number) =>
    Math.max(0, ...legend.rows.map(({ name, count }) => measure(`${name} (${countText(count)})`, size)));
  const fits = LEGENDS.find(([size, share]) => DOT + widest(size) <= cell * share);
  return fits ? { size: fits[0], most: cell * fits[1] } : { size: 8, most: cell * LEGEND_SHARE };
}

function laidLegend(legend: Legend, cell: number, measure: Measure): { items: Item[]; w: number; h: number } {
  if (legend.kind === "none") return { items: [], w: 0, h: 0 };
  const { size, most } = roomFor(legend, cell, measure);
  const title = fitting(legend.title, "", most * 0.9, measure);
  const items: Item[] = [textAt(0, TEXT, title, { bold: true })];
  let y = LINE + 4;
  if (legend.kind === "continuous") {
    const w = Math.min(most, 120);
    const { at } = COLOR_MAPS[legend.cmap];
    const stops = Array.from({ length: 33 }, (_, i) => toCss(parseColor(at(i / 32))));
    items.push({ kind: "gradient", x: 0, y, w, h: 10, stops });
    items.push(textAt(0, y + 22, number(legend.low)), textAt(w, y + 22, number(legend.high), { anchor: "end" }));
    if (legend.missing > 0) items.push(textAt(0, y + 22 + LINE, `missing ${countText(legend.missing)}`));
    return { items, w: Math.max(w, Math.min(most, measure(title, TEXT) * 1.1)), h: y + 26 + LINE };
  }
  let widest = measure(title, TEXT) * 1.1;
  for (const { name, count, color } of legend.rows) {
    const told = fitting(name, ` (${countText(count)})`, most - DOT, measure, size);
    items.push({ kind: "circle", x: 4, y: y + 6, r: 4, fill: color });
    items.push(textAt(DOT, y + TEXT - 0.5, told, { size }));
    widest = Math.max(widest, DOT + measure(told, size));
    y += size < TEXT ? LINE - 1 : LINE;
  }
  if (legend.more > 0) {
    items.push(textAt(DOT, y + TEXT, `and ${countText(legend.more)} more`));
    y += LINE;
  }
  return { items, w: Math.min(most, widest), h: y };
}

/** Why a picture cannot be made so; null when it can. */
export function tooLarge(width: number, height: number, scale: number): string | null {
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (!(w > 0 && h > 0)) return "Give a width and a resolution.";
  if (Math.max(w, h) <= MOST_SIDE && w * h <= MOST_PIXELS) return null;
  return `${countText(w)} × ${countText(h)} pixels are more than a browser can draw: take a smaller width or fewer dpi.`;
}
