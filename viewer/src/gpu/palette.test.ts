import { interpolateCividis, interpolateGreys, interpolateMagma, interpolateRdBu } from "d3-scale-chromatic";
import { describe, expect, it } from "vitest";
import { COLOR_MAPS, categoryLut, mapLut, parseColor } from "./lut";
import { categoryColor, MISSING_COLOR } from "./palette";

const at = (pixels: Uint8Array, entry: number) => Array.from(pixels.subarray(entry * 4, entry * 4 + 4));

type Triple = [number, number, number];

/** Machado, Oliveira and Fernandes 2009, severity 1, on linear sRGB. */
const SIGHT: Record<string, Triple[]> = {
  normal: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

const XYZ: Triple[] = [
  [0.4124 / 0.95047, 0.3576 / 0.95047, 0.1805 / 0.95047],
  [0.2126, 0.7152, 0.0722],
  [0.0193 / 1.08883, 0.1192 / 1.08883, 0.9505 / 1.08883],
];

const times = (m: Triple[], v: Triple) => m.map((r) => r[0] * v[0] + r[1] * v[1] + r[2] * v[2]) as Triple;

/** CIELAB of a colour as somebody sees it. */
function lab(sight: Triple[], color: readonly [number, number, number]): Triple {
  const linear = color.map((c) =>
    c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4,
  ) as Triple;
  const seen = times(sight, linear).map((v) => Math.min(1, Math.max(0, v))) as Triple;
  const [x, y, z] = times(XYZ, seen).map((v) => (v > 0.008856 ? Math.cbrt(v) : 7.787 * v + 16 / 116)) as Triple;
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

describe("category colours", () => {
  it("are distinct for the first twenty", () => {
    const seen = new Set(Array.from({ length: 20 }, (_, i) => categoryColor(i).join()));
    expect(seen.size).toBe(20);
  });

  it("are told apart with every common kind of sight", () => {
    const colors = Array.from({ length: 20 }, (_, i) => categoryColor(i));
    for (const [sight, matrix] of Object.entries(SIGHT)) {
      const seen = colors.map((c) => lab(matrix, c));
      for (let i = 0; i < 20; i += 1) {
        for (let j = 0; j < i; j += 1) {
          const [a, b] = [seen[i], seen[j]] as [Triple, Triple];
          const distance = Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
          expect(distance, `${sight}: colours ${j} and ${i}`).toBeGreaterThan(12.9);
        }
      }
    }
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

  it("are those of d3 at every step", () => {
    const theirs = {
      magma: interpolateMagma,
      cividis: interpolateCividis,
      greys: (t: number) => interpolateGreys(0.15 + 0.85 * t),
      rdbu: (t: number) => interpolateRdBu(1 - t),
    };
    for (const [name, of] of Object.entries(theirs)) {
      const { at } = COLOR_MAPS[name as keyof typeof theirs];
      for (let i = 0; i < 256; i += 1) expect(parseColor(at(i / 255))).toEqual(parseColor(of(i / 255)));
    }
  });

  it("read both ways of writing a colour", () => {
    expect(parseColor("#0a0b0c")).toEqual([10, 11, 12]);
    expect(parseColor("rgb(1, 2, 3)")).toEqual([1, 2, 3]);
  });
});
