/** Lengths and times as people write them. */

import { number } from "./format";

/** Names of NGFF 0.5 (those of UDUNITS-2) in metres. */
const METRES: Record<string, number> = {
  angstrom: 1e-10,
  attometer: 1e-18,
  femtometer: 1e-15,
  picometer: 1e-12,
  nanometer: 1e-9,
  micrometer: 1e-6,
  millimeter: 1e-3,
  centimeter: 1e-2,
  decimeter: 1e-1,
  meter: 1,
  kilometer: 1e3,
  inch: 0.0254,
  foot: 0.3048,
};

const SECONDS: Record<string, number> = {
  nanosecond: 1e-9,
  microsecond: 1e-6,
  millisecond: 1e-3,
  second: 1,
  minute: 60,
  hour: 3600,
  day: 86_400,
};

const SYMBOLS: Record<string, string> = {
  angstrom: "Å",
  picometer: "pm",
  nanometer: "nm",
  micrometer: "µm",
  millimeter: "mm",
  centimeter: "cm",
  meter: "m",
  kilometer: "km",
  inch: "in",
  foot: "ft",
  nanosecond: "ns",
  microsecond: "µs",
  millisecond: "ms",
  second: "s",
  minute: "min",
  hour: "h",
  day: "d",
};

export function symbol(unit: string): string {
  return SYMBOLS[unit] ?? unit;
}

/** A unit of length in metres; null when it is none that is known. */
export function inMetres(unit: string | null): number | null {
  return unit === null ? null : (METRES[unit] ?? null);
}

const LADDER: [string, number][] = [
  ["pm", 1e-12],
  ["Å", 1e-10],
  ["nm", 1e-9],
  ["µm", 1e-6],
  ["mm", 1e-3],
  ["m", 1],
  ["km", 1e3],
];

export interface Bar {
  /** Length on the screen in CSS pixels. */
  px: number;
  label: string;
}

/** The longest of 1, 2 and 5 times a power of ten that is not above `most`. */
export function nice(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [5, 2, 1].find((s) => s * power <= most * (1 + 1e-9)) ?? 1;
  return step * power;
}

/**
 * A scale bar of at most `longest` screen pixels.
 *
 * `perPixel` is the length of one screen pixel in `unit`; without a unit it is a number of image pixels.
 */
export function scaleBar(perPixel: number, unit: string | null, longest: number): Bar | null {
  if (!(perPixel > 0) || !Number.isFinite(perPixel) || longest < 1) return null;
  const metres = inMetres(unit);
  if (unit === null || metres === null) {
    const length = nice(perPixel * longest);
    return { px: length / perPixel, label: `${number(length)} ${unit === null ? "px" : symbol(unit)}` };
  }
  const length = nice(perPixel * metres * longest);
  return { px: length / (perPixel * metres), label: inBestUnit(length, unit) };
}

/** Ångström for what was measured in it, up to a thousand of them. */
function inBestUnit(metres: number, unit: string): string {
  const small = unit === "angstrom" && metres >= 1e-10 && metres < 1e-7;
  const steps = small ? LADDER.filter(([name]) => name === "Å") : LADDER.filter(([name]) => name !== "Å");
  let best = steps[0] as [string, number];
  for (const step of steps) if (step[1] <= metres * (1 + 1e-9)) best = step;
  return `${number(Number((metres / best[1]).toPrecision(6)))} ${best[0]}`;
}

/** A position or a duration with its unit, in the unit of its axis. */
export function measured(value: number, unit: string | null): string {
  return unit === null ? number(value) : `${number(value)} ${symbol(unit)}`;
}

/** The duration of a time step: 90 s are 1.5 min. */
export function duration(value: number, unit: string | null): string {
  const seconds = unit === null ? undefined : SECONDS[unit];
  if (seconds === undefined) return measured(value, unit);
  const total = value * seconds;
  const size = Math.abs(total);
  if (size >= 3600) return `${number(total / 3600)} h`;
  if (size >= 120) return `${number(total / 60)} min`;
  if (size >= 1 || size === 0) return `${number(total)} s`;
  return size >= 1e-3 ? `${number(total * 1e3)} ms` : `${number(total * 1e6)} µs`;
}
