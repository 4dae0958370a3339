/**
 * Colours for categories.
 *
 * The first six are from Okabe and Ito's set (jfly.uni-koeln.de/color, 2008); the next fourteen were chosen one by one as the
 * colour farthest from all before it, and from the grey of missing values, under normal sight, protanopia, deuteranopia and
 * tritanopia at once (matrices of Machado et al. 2009; a test holds all pairs at a CIELAB distance of at least 13). Beyond
 * twenty, hue turns by the golden angle while lightness cycles, so that neighbours in the legend differ in both.
 */

export type Rgb = readonly [number, number, number];

// biome-ignore format: a table
const FIRST = [
  "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#882211", "#99dd88", "#005555", "#8877ff",
  "#4433aa", "#663377", "#dd3344", "#77ddaa", "#ff8855", "#eebbdd", "#885588", "#ff4477", "#8899ff", "#007733",
];

export const MISSING_COLOR: Rgb = [158, 158, 158];
const GOLDEN_ANGLE = 137.50776405003785;
const LIGHTNESS = [0.42, 0.62, 0.52, 0.72];

export function fromHex(hex: string): Rgb {
  const value = Number.parseInt(hex.slice(1, 7), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

export function toCss([r, g, b]: Rgb): string {
  return `rgb(${r}, ${g}, ${b})`;
}

function fromHsl(hue: number, saturation: number, lightness: number): Rgb {
  const a = saturation * Math.min(lightness, 1 - lightness);
  const channel = (n: number) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (lightness - a * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}

/** Colour of category number `code`. */
export function categoryColor(code: number): Rgb {
  const first = FIRST[code];
  if (first !== undefined) return fromHex(first);
  const turn = code - FIRST.length;
  return fromHsl((turn * GOLDEN_ANGLE) % 360, 0.62, LIGHTNESS[turn % LIGHTNESS.length] as number);
}
