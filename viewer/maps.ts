/** d3's colour maps as short tables, written when the page is built: its module cannot be had in parts, and brings all its schemes. */

import {
  interpolateCividis,
  interpolateGreys,
  interpolateMagma,
  interpolatePlasma,
  interpolateRdBu,
  interpolateViridis,
} from "d3-scale-chromatic";
import type { Plugin } from "vite";

const NAME = "virtual:color-maps";
const STEPS = 256;
/** A step of zero, in text; steps are small, and so the text is too, once it is compressed. */
const ZERO = 80;

const MAPS: Record<string, (t: number) => string> = {
  viridis: interpolateViridis,
  magma: interpolateMagma,
  plasma: interpolatePlasma,
  cividis: interpolateCividis,
  greys: (t) => interpolateGreys(0.15 + 0.85 * t),
  rdbu: (t) => interpolateRdBu(1 - t),
};

function channels(css: string): number[] {
  const hex = css.startsWith("#") ? css.slice(1).match(/../g) : null;
  return hex ? hex.map((part) => Number.parseInt(part, 16)) : (css.match(/\d+/g) ?? []).map(Number);
}

/** Red, then green, then blue: each step's difference from the one before, as a character. */
function table(at: (t: number) => string): string {
  const colors = Array.from({ length: STEPS }, (_, i) => channels(at(i / (STEPS - 1))));
  let text = "";
  for (const channel of [0, 1, 2]) {
    let before = 0;
    for (const color of colors) {
      const value = color[channel] ?? 0;
      text += String.fromCharCode(ZERO + value - before);
      before = value;
    }
  }
  return text;
}

export function colorMaps(): Plugin {
  return {
    name: "color-maps",
    resolveId: (id) => (id === NAME ? `\0${NAME}` : undefined),
    load: (id) => {
      if (id !== `\0${NAME}`) return undefined;
      const tables = Object.fromEntries(Object.entries(MAPS).map(([name, at]) => [name, table(at)]));
      return `export const ZERO = ${ZERO};\nexport const TABLES = ${JSON.stringify(tables)};`;
    },
  };
}
