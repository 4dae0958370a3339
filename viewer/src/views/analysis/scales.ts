/** Numbers of a table of genes × groups made comparable, and as colours. */

import { deviation, extent, mean } from "d3-array";
import { COLOR_MAPS, type ColorMap } from "../../gpu/lut";

/** Genes × groups; null where a group has no cell. */
export type Grid = (number | null)[][];

/** As it is; from 0 to 1 within each gene; or standard deviations from the gene's mean over the groups. */
export type Standard = "none" | "unit" | "z";

export function standardised(grid: Grid, standard: Standard): Grid {
  if (standard === "none") return grid;
  return grid.map((row) => (standard === "unit" ? toUnit(row) : toZ(row)));
}

function known(row: (number | null)[]): number[] {
  return row.filter((v): v is number => v !== null && Number.isFinite(v));
}

function toUnit(row: (number | null)[]): (number | null)[] {
  const [low = 0, high = 0] = extent(known(row));
  const width = high - low;
  return row.map((v) => (v === null ? null : width > 0 ? (v - low) / width : 0));
}

function toZ(row: (number | null)[]): (number | null)[] {
  const values = known(row);
  const [middle, spread] = [mean(values) ?? 0, deviation(values) ?? 0];
  return row.map((v) => (v === null ? null : spread > 0 ? (v - middle) / spread : 0));
}

/** Ends of the colours: of all numbers; around 0 where they are standard deviations; from 0 where nothing is below. */
export function domainOf(grid: Grid, standard: Standard): [number, number] {
  const [low = 0, high = 0] = extent(grid.flatMap(known));
  if (standard === "unit") return [0, 1];
  if (standard === "z") {
    const reach = Math.max(Math.abs(low), Math.abs(high)) || 1;
    return [-reach, reach];
  }
  const from = Math.min(0, low);
  return [from, high > from ? high : from + 1];
}

export const NO_VALUE = "rgb(158, 158, 158)";

export function colorAt(value: number | null, [low, high]: [number, number], map: ColorMap): string {
  if (value === null || !Number.isFinite(value)) return NO_VALUE;
  const share = (value - low) / (high - low);
  return COLOR_MAPS[map].at(Math.min(1, Math.max(0, share)));
}
