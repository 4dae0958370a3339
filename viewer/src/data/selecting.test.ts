import { describe, expect, it } from "vitest";
import { bitsFor, drop, has, members, put, size } from "./bits";
import { contains, eachInside } from "./inside";
import { toPixel } from "./nearest";
import { cellAt, placeOf } from "./order";
import { layOut, layOutCodes, layOutValues, onPicture } from "./points";
import { countsIn, meanOf, selected, selectionOf } from "./selecting";

/** Leaves coordinates as they are. */
const PLAIN = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];

describe("sets of cells", () => {
  it("hold what was put in, whatever the bit", () => {
    const bits = bitsFor(100);
    const some = [0, 1, 31, 32, 63, 64, 99];
    for (const i of some) put(bits, i);
    expect(members(bits)).toEqual(some);
    expect(size(bits)).toBe(some.length);
    drop(bits, 31);
    expect([has(bits, 31), has(bits, 32), size(bits)]).toEqual([false, true, some.length - 1]);
    expect(members(bits, 2)).toEqual([0, 1]);
  });
});

describe("the order of drawing", () => {
  it.each([1, 2, 3, 10, 700, 65_536, 1_000_003])("is undone for %i cells", (n) => {
    for (const cell of [0, 1, Math.floor(n / 2), n - 1].filter((c) => c < n)) {
      expect(cellAt(placeOf(cell, n), n)).toBe(cell);
    }
  });
});

describe("an outline", () => {
  const square = Float32Array.from([0, 0, 10, 0, 10, 10, 0, 10]);

  it("holds its inside and nothing else", () => {
    expect(contains(square, 5, 5)).toBe(true);
    for (const [x, y] of [
      [-1, 5],
      [11, 5],
      [5, -1],
      [5, 11],
    ] as const)
      expect(contains(square, x, y)).toBe(false);
  });

  it("may be hollow: the notch of a U is outside", () => {
    const u = Float32Array.from([0, 0, 3, 0, 3, 7, 7, 7, 7, 0, 10, 0, 10, 10, 0, 10]);
    expect([contains(u, 5, 3), contains(u, 1, 3), contains(u, 9, 3), contains(u, 5, 9)]).toEqual([
      false,
      true,
      true,
      true,
    ]);
  });

  it("finds points as the camera shows them, never those without coordinates", () => {
    const { positions } = layOut(Float32Array.from([5, 5, 50, 5, Number.NaN, 5]), 3, 2);
    const found = (matrix: number[]) => {
      const cells: number[] = [];
      eachInside(positions, { matrix, corners: square }, (place) => cells.push(cellAt(place, 3)));
      return cells;
    };
    expect(found(PLAIN)).toEqual([0]);
    const tenth = [...PLAIN];
    tenth[0] = 0.1;
    expect(found(tenth).sort()).toEqual([0, 1]);
  });

  it("is nothing without an area", () => {
    const { positions } = layOut(Float32Array.from([0, 0]), 1, 2);
    let any = false;
    eachInside(positions, { matrix: PLAIN, corners: Float32Array.from([0, 0, 1, 1]) }, () => {
      any = true;
    });
    expect(any).toBe(false);
  });
});

describe("selecting", () => {
  const n = 40;
  const { positions } = layOut(
    Float32Array.from({ length: n * 2 }, (_, i) => (i % 2 ? 0.5 : i / 2 + 0.5)),
    n,
    2,
  );
  const all = () => true;
  const upTo = (x: number) => ({
    kind: "outline" as const,
    outline: { matrix: PLAIN, corners: Float32Array.from([0, 0, x, 0, x, 1, 0, 1]) },
  });
  const cellsOf = (places: ReturnType<typeof selected>) => (places ? members(selectionOf(places, n).cells) : []);
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

  it("replaces, adds and takes away", () => {
    const first = selected(null, upTo(10), "replace", n, positions, all);
    expect(cellsOf(first)).toEqual(range(0, 10));
    const more = selected(first, { kind: "cells", cells: [30, 31, 99, -1, 1.5] }, "add", n, positions, all);
    expect(cellsOf(more)).toEqual([...range(0, 10), 30, 31]);
    const less = selected(more, upTo(5), "remove", n, positions, all);
    expect(cellsOf(less)).toEqual([...range(5, 10), 30, 31]);
    expect(cellsOf(first)).toEqual(range(0, 10));
    expect(cellsOf(selected(less, upTo(2), "replace", n, positions, all))).toEqual([0, 1]);
  });

  it("is nothing when nothing is left", () => {
    const few = selected(null, { kind: "cells", cells: [3] }, "replace", n, positions, all);
    expect(selected(few, { kind: "cells", cells: [3] }, "remove", n, positions, all)).toBeNull();
    expect(selected(null, upTo(0.1), "replace", n, positions, all)).toBeNull();
    expect(cellsOf(selected(null, { kind: "cells", cells: [7] }, "toggle", n, positions, all))).toEqual([7]);
  });

  it("leaves hidden cells alone", () => {
    const even = (place: number) => cellAt(place, n) % 2 === 0;
    expect(cellsOf(selected(null, upTo(6), "replace", n, positions, even))).toEqual([0, 2, 4]);
    expect(cellsOf(selected(null, { kind: "shown" }, "replace", n, positions, even))).toEqual(
      range(0, n).filter((c) => c % 2 === 0),
    );
  });

  it("turns into all others that are shown", () => {
    const first = selected(null, upTo(30), "replace", n, positions, all);
    expect(cellsOf(selected(first, { kind: "others" }, "replace", n, positions, all))).toEqual(range(30, n));
  });

  it("counts groups and takes means of what is in it", () => {
    const places = selected(null, upTo(10), "replace", n, positions, all);
    if (!places) throw new Error("nothing was selected");
    const codes = layOutCodes(
      Uint8Array.from({ length: n }, (_, i) => (i < 4 ? 0 : i === 9 ? 255 : 1)),
      n,
      2,
    );
    expect(Array.from(countsIn(places, codes, 2))).toEqual([4, 5, 1]);
    const values = layOutValues(
      Float32Array.from({ length: n }, (_, i) => (i === 3 ? Number.NaN : i)),
      n,
    );
    expect(meanOf(places, values)).toEqual({ mean: 42 / 9, min: 0, max: 9, missing: 1 });
  });
});

describe("cells on a picture", () => {
  it("lie where the matrix says", () => {
    const laid = onPicture(Float32Array.from([10, 20, 0, 0]), [0.5, 0, 3, 0, 2, -1]);
    expect(Array.from(laid)).toEqual([8, 39, 3, -1]);
    const turned = onPicture(Float32Array.from([10, 20]), [0, 1, 0, 1, 0, 0]);
    expect(Array.from(turned)).toEqual([20, 10]);
  });

  it("are marked where they are drawn", () => {
    const { positions } = layOut(Float32Array.from([1, 2, Number.NaN, 0]), 2, 2);
    const zoomed = [2, 0, 0, 0, 0, -2, 0, 0, 0, 0, 1, 0, 100, 50, 0, 1];
    expect(toPixel(zoomed, positions, placeOf(0, 2))).toEqual([102, 46]);
    expect(toPixel(zoomed, positions, placeOf(1, 2))).toBeNull();
  });
});
