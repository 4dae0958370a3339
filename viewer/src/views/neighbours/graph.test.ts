import { describe, expect, it } from "vitest";
import { bitsFor, put } from "../../data/bits";
import { cellAt, placeOf } from "../../data/order";
import { faintness, type Graph, pick, type Wanted } from "./graph";

const N = 10;
const graph: Graph = {
  n: N,
  sources: Uint16Array.of(0, 0, 1, 3, 8),
  targets: Uint16Array.of(1, 2, 2, 4, 9),
  weights: Float32Array.of(0.5, 0.25, 0.125, 0.4, 0.05),
};
const ALL: Wanted = { passing: null, touching: null, cell: null, most: 100 };

function bits(...cells: number[]) {
  const places = bitsFor(N);
  for (const cell of cells) put(places, placeOf(cell, N));
  return places;
}

function pairs(wanted: Partial<Wanted>, of = graph): number[][] {
  const { ends } = pick(of, { ...ALL, ...wanted });
  return Array.from({ length: ends.length / 2 }, (_, i) => [ends[i * 2] ?? 0, ends[i * 2 + 1] ?? 0]).map((pair) =>
    pair.map((place) => cellAt(place, N)),
  );
}

describe("edges that are drawn", () => {
  it("are all, with weights relative to the strongest", () => {
    expect(pairs({}).length).toBe(5);
    expect(Array.from(pick(graph, ALL).weights)).toEqual([1, 0.5, 0.25, expect.closeTo(0.8), expect.closeTo(0.1)]);
  });

  it("lie between cells that pass, and touch the selection", () => {
    expect(pairs({ passing: bits(0, 1, 2) })).toEqual([
      [0, 1],
      [0, 2],
      [1, 2],
    ]);
    expect(pairs({ touching: bits(3, 9) })).toEqual([
      [3, 4],
      [8, 9],
    ]);
  });

  it("are every one of a cell that is pointed at", () => {
    expect(pairs({ cell: 2, passing: bits(0) })).toEqual([
      [0, 2],
      [1, 2],
    ]);
  });

  it("are fainter where there are many, and never without colour", () => {
    expect([faintness(0), faintness(10), faintness(3000)]).toEqual([1, 1, 1]);
    expect(faintness(30_000)).toBeLessThan(0.4);
    expect(faintness(1e7)).toBe(0.15);
  });

  it("are the strongest where there are too many, and how many there are is told", () => {
    expect(pairs({ most: 2 })).toEqual([
      [0, 1],
      [3, 4],
    ]);
    expect(pick(graph, { ...ALL, most: 2 }).total).toBe(5);
    expect(pairs({ most: 3 }, { ...graph, weights: null }).length).toBe(3);
  });
});
