import { describe, expect, it } from "vitest";
import { type Bits, bitsFor, complement, difference, has, intersection, members, put, size, union } from "./bits";
import { Crossfilter, type Rule, type Sieve } from "./crossfilter";
import { cellAt } from "./order";
import { BINS, layOutCodes, layOutValues, summarise } from "./points";
import { marksOf, toCells, toPlaces } from "./sets";

/** Numbers in [0, 1) that are the same in every run. */
function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function randomSet(n: number, roll: () => number, share = roll()): Bits {
  const bits = bitsFor(n);
  for (let i = 0; i < n; i += 1) if (roll() < share) put(bits, i);
  return bits;
}

interface Table {
  n: number;
  numbers: Record<string, Float32Array>;
  codes: Record<string, { codes: number[]; categories: number }>;
}

function tableOf(n: number, roll: () => number): Table {
  const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const number = () =>
    Float32Array.from({ length: n }, () => (roll() < 0.1 ? odd[Math.floor(roll() * 3)] : roll() * 8 - 2) as number);
  const codes = (categories: number) => ({
    categories,
    codes: Array.from({ length: n }, () => Math.floor(roll() * (categories + 1))),
  });
  const ties = Float32Array.from({ length: n }, () => Math.floor(roll() * 4));
  return { n, numbers: { a: number(), b: number(), ties }, codes: { k: codes(5), one: codes(1), many: codes(300) } };
}

function filled({ n, numbers, codes }: Table): Crossfilter {
  const filter = new Crossfilter();
  for (const [key, values] of Object.entries(numbers)) filter.add(key, layOutValues(values, n), null);
  for (const [key, one] of Object.entries(codes)) {
    filter.add(key, layOutCodes(one.codes, n, one.categories), one.categories);
  }
  return filter;
}

/** The plain meaning of a rule, cell by cell. */
function passes({ numbers, codes }: Table, rule: Rule, cell: number): boolean {
  if (rule.kind === "cells") return has(rule.cells, cell) === rule.inside;
  if (rule.kind === "category") return !rule.hidden[codes[rule.column]?.codes[cell] ?? 0];
  const value = numbers[rule.column]?.[cell] ?? Number.NaN;
  if (!Number.isFinite(value)) return rule.missing;
  const low = rule.min === null || value >= Math.fround(rule.min);
  return low && (rule.max === null || value <= Math.fround(rule.max));
}

function randomRule(table: Table, roll: () => number): Rule {
  const pick = (keys: string[]) => keys[Math.floor(roll() * keys.length)] as string;
  const kind = roll();
  if (kind < 0.2) return { kind: "cells", cells: randomSet(table.n, roll), inside: roll() < 0.5 };
  if (kind < 0.55) {
    const column = pick(Object.keys(table.codes));
    const hidden = Uint8Array.from({ length: (table.codes[column]?.categories ?? 0) + 1 }, () => Number(roll() < 0.4));
    return { kind: "category", column, hidden };
  }
  const ends = [roll() * 8 - 2, roll() * 8 - 2].sort((x, y) => x - y) as [number, number];
  const [min, max] = ends.map((value) => (roll() < 0.25 ? null : value));
  return {
    kind: "range",
    column: pick(Object.keys(table.numbers)),
    min: min ?? null,
    max: max ?? null,
    missing: roll() < 0.5,
  };
}

function expectedCounts(table: Table, column: string, cells: number[]): number[] {
  const own = table.codes[column];
  const counts = new Array<number>((own?.categories ?? BINS) + 1).fill(0);
  const values = table.numbers[column];
  const { min, max } = values ? summarise(values) : { min: 0, max: 0 };
  for (const cell of cells) {
    const value = values?.[cell] ?? 0;
    const bin = own
      ? (own.codes[cell] as number)
      : Number.isFinite(value)
        ? Math.min(BINS - 1, Math.floor((value - min) * (max > min ? BINS / (max - min) : 0)))
        : BINS;
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return counts;
}

describe("filters that add up", () => {
  it.each([1, 31, 32, 33, 64, 700, 1000])("let through what passes each of them, for %i cells", (n) => {
    const roll = dice(n);
    const table = tableOf(n, roll);
    const filter = filled(table);
    let sieves: (Sieve & { rule: Rule })[] = [];
    for (let step = 0; step < 25; step += 1) {
      // One filter comes, goes, changes or is switched, as a person does it.
      const act = roll();
      const at = Math.floor(roll() * sieves.length);
      if (act < 0.4 || sieves.length === 0)
        sieves = [...sieves, { id: `f${step}`, on: true, rule: randomRule(table, roll) }];
      else if (act < 0.6) sieves = sieves.map((one, i) => (i === at ? { ...one, rule: randomRule(table, roll) } : one));
      else if (act < 0.8) sieves = sieves.map((one, i) => (i === at ? { ...one, on: !one.on } : one));
      else sieves = sieves.filter((_, i) => i !== at);
      const watched = ["a", "ties", "k", "many", "not there"];
      const found = filter.sift(sieves, watched, n);
      const all = Array.from({ length: n }, (_, cell) => cell);
      const through = (rules: (Sieve & { rule: Rule })[]) =>
        all.filter((cell) => rules.every(({ on, rule }) => !on || passes(table, rule, cell)));
      const want = through(sieves);
      expect(found.count).toBe(want.length);
      if (want.length === n) expect(found.passing).toBeNull();
      else expect(members(toCells(found.passing as Bits, n))).toEqual(want);
      for (const { id, rule } of sieves) {
        expect(found.kept[id]).toBe(all.filter((cell) => passes(table, rule, cell)).length);
      }
      expect(Object.keys(found.counts)).toEqual(["a", "ties", "k", "many"]);
      for (const [column, counts] of Object.entries(found.counts)) {
        const others = sieves.filter(({ rule }) => rule.kind === "cells" || rule.column !== column);
        expect(Array.from(counts)).toEqual(expectedCounts(table, column, through(others)));
      }
    }
  });

  it("work a rule out again only when it is told", () => {
    const filter = new Crossfilter();
    filter.add("x", layOutValues(Float32Array.from([1, 2, 3, 4]), 4), null);
    const rule: Rule = { kind: "range", column: "x", min: 2, max: 3, missing: false };
    expect(filter.sift([{ id: "f", on: true, rule }], [], 4).count).toBe(2);
    filter.drop(["x"]);
    expect(filter.sift([{ id: "f", on: true, rule: null }], ["x"], 4)).toMatchObject({ count: 2, counts: {} });
    expect(filter.sift([{ id: "f", on: false, rule: null }], [], 4)).toMatchObject({ count: 4, passing: null });
    expect(() => filter.sift([{ id: "g", on: true, rule: null }], [], 4)).toThrow("not known");
    expect(() => filter.sift([{ id: "g", on: true, rule }], [], 4)).toThrow("x");
  });

  it("keep what a link can say of a float32 bound", () => {
    const value = Math.fround(0.1);
    const filter = new Crossfilter();
    filter.add("x", layOutValues(Float32Array.from([value, 0.2]), 2), null);
    const said = Number(value.toPrecision(9));
    const rule: Rule = { kind: "range", column: "x", min: said, max: said, missing: false };
    expect(filter.sift([{ id: "f", on: true, rule }], [], 2).count).toBe(1);
  });
});

describe("sets of cells", () => {
  it.each([1, 32, 45, 700])("make unions, intersections, differences and complements, of %i cells", (n) => {
    const roll = dice(n + 7);
    for (let round = 0; round < 20; round += 1) {
      const [a, b] = [randomSet(n, roll), randomSet(n, roll)];
      const [inA, inB] = [new Set(members(a)), new Set(members(b))];
      const all = Array.from({ length: n }, (_, i) => i);
      expect(members(union(a, b))).toEqual(all.filter((i) => inA.has(i) || inB.has(i)));
      expect(members(intersection(a, b))).toEqual(all.filter((i) => inA.has(i) && inB.has(i)));
      expect(members(difference(a, b))).toEqual(all.filter((i) => inA.has(i) && !inB.has(i)));
      expect(members(complement(a, n))).toEqual(all.filter((i) => !inA.has(i)));
      expect(size(complement(a, n))).toBe(n - size(a));
      expect(members(toCells(toPlaces(a, n), n))).toEqual(members(a));
    }
  });

  it("are marked in the order of drawing, the last on top", () => {
    const n = 50;
    const roll = dice(3);
    const [a, b] = [randomSet(n, roll, 0.5), randomSet(n, roll, 0.5)];
    const marks = marksOf([a, b], n);
    for (let place = 0; place < n; place += 1) {
      const cell = cellAt(place, n);
      expect(marks[place]).toBe(has(b, cell) ? 2 : has(a, cell) ? 1 : 0);
    }
  });
});
