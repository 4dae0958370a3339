import { describe, expect, it } from "vitest";
import { categoryLut, mapLut, parseColor } from "./lut";
import { categoryColor, MISSING_COLOR } from "./palette";

const at = (pixels: Uint8Array, entry: number) => Array.from(pixels.subarray(entry * 4, entry * 4 + 4));

describe("category colours", () => {
  it("are distinct for the first twenty", () => {
    const seen = new Set(Array.from({ length: 20 }, (_, i) => categoryColor(i).join()));
    expect(seen.size).toBe(20);
  });

  it("differ clearly between neighbours beyond twenty", () => {
    for (let i = 20; i < 400; i += 1) {
      const [a, b] = [categoryColor(i), categoryColor(i + 1)];
      const distance = Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
      expect(distance).toBeGreaterThan(40);
    }
  });

  it("fill as many rows as 70,000 categories need, missing last", () => {
    const lut = categoryLut(70_000, null, null);
    expect(lut.rows).toBe(69);
    expect(at(lut.pixels, 69_999)).toEqual([...categoryColor(69_999), 255]);
    expect(at(lut.pixels, 70_000)).toEqual([...MISSING_COLOR, 255]);
  });

  it("hide by alpha and take the file's colours", () => {
    const lut = categoryLut(2, ["#ff0000", "#00ff00"], Uint8Array.from([0, 1, 0]));
    expect(at(lut.pixels, 0)).toEqual([255, 0, 0, 255]);
    expect(at(lut.pixels, 1)).toEqual([0, 255, 0, 0]);
  });
});

describe("colour maps", () => {
  it("start and end where matplotlib's viridis does", () => {
    const { pixels, entries } = mapLut("viridis");
    expect(at(pixels, 0)).toEqual([68, 1, 84, 255]);
    expect(at(pixels, entries - 1)).toEqual([253, 231, 37, 255]);
  });

  it("read both ways of writing a colour", () => {
    expect(parseColor("#0a0b0c")).toEqual([10, 11, 12]);
    expect(parseColor("rgb(1, 2, 3)")).toEqual([1, 2, 3]);
  });
});
