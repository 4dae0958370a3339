/** Lookup tables: one colour for each category code, or 256 steps of a colour map; the last entry is "missing". */

import { TABLES, ZERO } from "virtual:color-maps";
import { categoryColor, fromHex, MISSING_COLOR, type Rgb } from "./palette";

/** Texture width; a table fills as many rows as it needs. */
export const LUT_WIDTH = 1024;
export const MAP_STEPS = 256;

/** Of a map's colours those at 256 even steps, as CSS. */
function stepsOf(table: string): (t: number) => string {
  let colors: string[] | undefined;
  const read = () => {
    const values = Array.from({ length: 3 * MAP_STEPS }, () => 0);
    for (let i = 0; i < values.length; i += 1) {
      const before = i % MAP_STEPS === 0 ? 0 : (values[i - 1] ?? 0);
      values[i] = before + table.charCodeAt(i) - ZERO;
    }
    return values
      .slice(0, MAP_STEPS)
      .map((r, i) => `rgb(${r}, ${values[i + MAP_STEPS]}, ${values[i + 2 * MAP_STEPS]})`);
  };
  return (t) => {
    colors ??= read();
    return colors[Math.round(Math.min(1, Math.max(0, t)) * (MAP_STEPS - 1))] ?? "";
  };
}

export const COLOR_MAPS = {
  viridis: { label: "Viridis", at: stepsOf(TABLES.viridis) },
  magma: { label: "Magma", at: stepsOf(TABLES.magma) },
  plasma: { label: "Plasma", at: stepsOf(TABLES.plasma) },
  cividis: { label: "Cividis", at: stepsOf(TABLES.cividis) },
  greys: { label: "Greys", at: stepsOf(TABLES.greys) },
  rdbu: { label: "Red–blue (around the middle)", at: stepsOf(TABLES.rdbu) },
} as const;

export type ColorMap = keyof typeof COLOR_MAPS;

export interface Lut {
  /** RGBA, `LUT_WIDTH` × rows. */
  pixels: Uint8Array;
  rows: number;
  /** Number of entries before "missing". */
  entries: number;
}

function emptyLut(entries: number): Lut {
  const rows = Math.ceil((entries + 1) / LUT_WIDTH);
  return { pixels: new Uint8Array(rows * LUT_WIDTH * 4), rows, entries };
}

function put(lut: Lut, entry: number, [r, g, b]: Rgb, alpha: number): void {
  lut.pixels.set([r, g, b, alpha], entry * 4);
}

export function parseColor(css: string): Rgb {
  if (css.startsWith("#")) return fromHex(css);
  const [r = 0, g = 0, b = 0] = (css.match(/[\d.]+/g) ?? []).map(Number);
  return [r, g, b];
}

/** `hidden[code]` is 1 for a category that is not drawn; the entry after the last is "missing". */
export function categoryLut(categories: number, colors: string[] | null, hidden: Uint8Array | null): Lut {
  const lut = emptyLut(categories);
  for (let code = 0; code < categories; code += 1) {
    const color = colors?.[code];
    put(lut, code, color === undefined ? categoryColor(code) : fromHex(color), hidden?.[code] ? 0 : 255);
  }
  put(lut, categories, MISSING_COLOR, hidden?.[categories] ? 0 : 255);
  return lut;
}

export function mapLut(map: ColorMap): Lut {
  const lut = emptyLut(MAP_STEPS);
  const { at } = COLOR_MAPS[map];
  for (let step = 0; step < MAP_STEPS; step += 1) put(lut, step, parseColor(at(step / (MAP_STEPS - 1))), 255);
  put(lut, MAP_STEPS, MISSING_COLOR, 255);
  return lut;
}

/** One colour for every cell: what is shown before anything was chosen. */
export function plainLut(): Lut {
  const lut = emptyLut(1);
  put(lut, 0, [90, 122, 150], 255);
  put(lut, 1, MISSING_COLOR, 255);
  return lut;
}

/** A colour map as a CSS gradient for the legend. */
export function gradient(map: ColorMap): string {
  const { at } = COLOR_MAPS[map];
  const stops = Array.from({ length: 17 }, (_, i) => at(i / 16));
  return `linear-gradient(to right, ${stops.join(", ")})`;
}
