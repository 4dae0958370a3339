import { describe, expect, it } from "vitest";
import { count, number, shorten } from "./format";
import { findGenes, labelOf, nearGenes } from "./genes";
import { nearest } from "./nearest";
import { cellAt, permute, stepOf } from "./order";
import { FAR, layOut, layOutCodes, layOutValues, MISSING, summarise } from "./points";

describe("drawing order", () => {
  it.each([1, 2, 3, 4, 10, 97, 700, 1024, 99_999])("visits each of %i cells once", (n) => {
    const places = permute(
      Array.from({ length: n }, (_, i) => i),
      n,
      1,
      new Float32Array(n),
    );
    expect(new Set(places).size).toBe(n);
    for (const place of [0, n >> 1, n - 1]) expect(cellAt(place, n)).toBe(places[place]);
  });

  it("samples a file evenly in every prefix", () => {
    const n = 100_000;
    const quarter = [0, 0, 0, 0];
    for (let place = 0; place < 1000; place += 1) {
      const q = Math.floor((cellAt(place, n) / n) * 4);
      quarter[q] = (quarter[q] as number) + 1;
    }
    for (const q of quarter) expect(Math.abs(q - 250)).toBeLessThan(5);
  });

  it("has a step that shares no factor with n", () => {
    expect(stepOf(1_000_000) % 2).toBe(1);
    expect(stepOf(1_000_000) % 5).not.toBe(0);
  });
});

describe("laying out", () => {
  it("puts cells without coordinates out of sight and counts them", () => {
    const { positions, nowhere } = layOut(new Float32Array([0, 0, Number.NaN, 1, 0.5, 0.25]), 3, 2);
    expect(nowhere).toBe(1);
    const far = [0, 1, 2].filter((p) => (positions[p * 3] as number) > FAR).map((p) => cellAt(p, 3));
    expect(far).toEqual([1]);
    const place = [0, 1, 2].find((p) => cellAt(p, 3) === 2) as number;
    expect(Array.from(positions.subarray(place * 3, place * 3 + 3))).toEqual([0.5, 0.25, 0]);
  });

  it("sends missing codes to the entry after the last category", () => {
    const out = layOutCodes(new Uint8Array([0, 255, 1]), 3, 2);
    expect([0, 1, 2].map((p) => [cellAt(p, 3), out[p]]).sort()).toEqual([
      [0, 0],
      [1, 2],
      [2, 1],
    ]);
  });

  it("replaces missing numbers, and leaves them out of range and histogram", () => {
    const values = new Float32Array([1, Number.NaN, 3, Number.POSITIVE_INFINITY]);
    const out = layOutValues(values, 4);
    expect(Array.from(out).filter((v) => v === Math.fround(MISSING))).toHaveLength(2);
    const summary = summarise(values);
    expect([summary.min, summary.max, summary.missing]).toEqual([1, 3, 2]);
    expect(summary.bins[0]).toBe(1);
    expect(summary.bins.at(-1)).toBe(1);
  });

  it("summarises a constant column and an empty one", () => {
    expect(summarise(new Float32Array([5, 5])).bins[0]).toBe(2);
    expect(summarise(new Float32Array([Number.NaN])).min).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("nearest point", () => {
  const identity = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
  const positions = new Float32Array([0, 0, 0, 10, 0, 0, 1e30, 1e30, 1e30]);

  it("finds the closest within the radius only", () => {
    expect(nearest(positions, { matrix: identity, x: 8, y: 0, radius: 5 }, () => true)).toBe(1);
    expect(nearest(positions, { matrix: identity, x: 50, y: 0, radius: 5 }, () => true)).toBe(-1);
  });

  it("passes over hidden points", () => {
    expect(nearest(positions, { matrix: identity, x: 9, y: 0, radius: 20 }, (p) => p !== 1)).toBe(0);
  });
});

describe("gene search", () => {
  const genes = { expression: "X", values: "", names: ["CD79A", "CD7", "XCD7", "β-actin"], symbols: null };

  it("ranks exact, then starts, then holds", () => {
    expect(findGenes(genes, "cd7").hits.map((h) => h.name)).toEqual(["CD7", "CD79A", "XCD7"]);
  });

  it("finds Greek letters and symbols", () => {
    expect(findGenes(genes, "Β-A").hits[0]?.index).toBe(3);
    expect(findGenes({ ...genes, symbols: ["A", "B", "C", "ACTB"] }, "actb").hits[0]?.index).toBe(3);
  });
});

describe("what a gene is called", () => {
  const genes = { expression: "X", values: "", names: ["ENSG1", "ENSG2"], symbols: ["CD4", ""] };

  it("is its symbol where there is one, and where it is a gene of these", () => {
    expect([labelOf(genes, 0, "ENSG1"), labelOf(genes, 1, "ENSG2")]).toEqual(["CD4", "ENSG2"]);
    expect([labelOf(genes, 0, "other"), labelOf(null, 0, "A"), labelOf(genes, undefined, "A")]).toEqual([
      "other",
      "A",
      "A",
    ]);
    expect(labelOf({ ...genes, symbols: null }, 0, "ENSG1")).toBe("ENSG1");
  });
});

describe("a misspelled gene", () => {
  const genes = { expression: "X", values: "", names: ["CD79A", "CD79B", "MS4A1", "GAPDH"], symbols: null };

  it("is told which are close to it, the nearest first", () => {
    expect(nearGenes(genes, "CD79C")).toEqual(["CD79A", "CD79B"]);
    expect(nearGenes(genes, "gadph")).toEqual(["GAPDH"]);
    expect(nearGenes(genes, "gata3")).toEqual([]);
    expect(nearGenes(genes, "gapdhh")).toEqual(["GAPDH"]);
    expect(nearGenes({ ...genes, symbols: ["a", "b", "c", "ACTB"] }, "actb1")).toEqual(["ACTB"]);
    expect(nearGenes(genes, "cd")).toEqual([]);
  });
});

describe("numbers and names", () => {
  it("reads well", () => {
    expect(count(1000000)).toBe("1,000,000");
    expect(number(0.123456)).toBe("0.1235");
    expect(number(1e-9)).toBe("1.00e-9");
    expect(shorten("a_very_long_name_of_a_cluster", 12)).toHaveLength(12);
  });
});
