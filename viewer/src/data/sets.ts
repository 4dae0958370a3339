/** Sets of cells in the two orders there are: that of the file, and that of drawing. */

import { type Bits, bitsFor, has, put } from "./bits";
import { stepOf } from "./order";

/** The same set of cells by the places where they are drawn. */
export function toPlaces(cells: Bits, n: number): Bits {
  const places = bitsFor(n);
  const step = stepOf(n);
  for (let place = 0, cell = 0; place < n; place += 1) {
    if (has(cells, cell)) put(places, place);
    cell += step;
    if (cell >= n) cell -= n;
  }
  return places;
}

/** The same set of places by the cells that are drawn there. */
export function toCells(places: Bits, n: number): Bits {
  const cells = bitsFor(n);
  const step = stepOf(n);
  for (let place = 0, cell = 0; place < n; place += 1) {
    if (has(places, place)) put(cells, cell);
    cell += step;
    if (cell >= n) cell -= n;
  }
  return cells;
}

/** Which of several sets of cells each place is drawn as: one more than its number, 0 for none; later sets lie over earlier. */
export function marksOf(sets: Bits[], n: number): Uint8Array<ArrayBuffer> {
  const codes = new Uint8Array(n);
  const step = stepOf(n);
  sets.forEach((cells, i) => {
    for (let place = 0, cell = 0; place < n; place += 1) {
      if (has(cells, cell)) codes[place] = i + 1;
      cell += step;
      if (cell >= n) cell -= n;
    }
  });
  return codes;
}
