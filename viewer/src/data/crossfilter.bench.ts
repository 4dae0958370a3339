/** How long one step of a drag takes in the worker: one range anew, then every field that is on the screen. `npm run bench`. */

import { bench, describe } from "vitest";
import { Crossfilter, type Sieve } from "./crossfilter";

let state = 7;
function roll(): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state / 2 ** 32;
}

function filled(n: number, fields: number): Crossfilter {
  const filter = new Crossfilter();
  for (let k = 0; k < fields; k += 1) {
    const numbers = k % 2 === 0;
    filter.add(
      `f${k}`,
      Float32Array.from({ length: n }, () => (numbers ? roll() : Math.floor(roll() * 30))),
      numbers ? null : 30,
    );
  }
  return filter;
}

function stack(fields: number): Sieve[] {
  return Array.from({ length: fields }, (_, k) => {
    const column = `f${k}`;
    const hidden = Uint8Array.from({ length: 31 }, (__, code) => Number(code % 5 === 0));
    const rule =
      k % 2 === 0
        ? ({ kind: "range", column, min: 0.05, max: 0.95, missing: false } as const)
        : ({ kind: "category", column, hidden } as const);
    return { id: column, on: true, rule };
  });
}

for (const [n, fields] of [
  [1_000_000, 4],
  [1_000_000, 8],
  [5_000_000, 4],
] as const) {
  describe(`${n.toLocaleString("en")} cells, ${fields} filters, histograms of all ${fields} fields`, () => {
    const filter = filled(n, fields);
    const sieves = stack(fields);
    const watched = sieves.map(({ id }) => id);
    filter.sift(sieves, watched, n);
    let step = 0;
    bench("one step of dragging a range", () => {
      step = (step + 1) % 50;
      const moved: Sieve[] = sieves.map((one, k) => ({
        ...one,
        rule: k === 0 ? { kind: "range", column: "f0", min: step / 100, max: 0.95, missing: false } : null,
      }));
      filter.sift(moved, watched, n);
    });
  });
}
