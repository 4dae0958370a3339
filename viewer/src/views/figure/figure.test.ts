import { describe, expect, it } from "vitest";
import { bitsFor, put } from "../../data/bits";
import { NOWHERE } from "../../data/points";
import { categoryLut } from "../../gpu/lut";
import type { Painted } from "../../state/store";
import { pathsOf } from "./lines";
import { cssWidth, DEFAULTS, type Item, laidOut, legendOf, type Pane, scaleOf, tooLarge } from "./model";
import { crc32, labelled } from "./png";
import { dotsOf, rasterised, type Scene } from "./raster";
import { svgOf } from "./svg";

/** x and y of the coordinates are pixels of the frame. */
const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
const lut = categoryLut(2, ["#ff0000", "#00ff00"], null);

function scene(change: Partial<Scene> = {}): Scene {
  return {
    positions: Float32Array.of(2, 2, 0, 2, 2, 0, 7, 7, 0, NOWHERE, NOWHERE, NOWHERE, 50, 50, 0),
    values: Uint8Array.of(0, 1, 255, 0, 0),
    colors: lut.pixels,
    entries: 2,
    range: null,
    passing: null,
    selected: null,
    marks: null,
    markColors: new Uint8Array(8),
    matrix: IDENTITY,
    width: 10,
    height: 10,
    size: 3,
    alpha: 1,
    deep: false,
    ...change,
  };
}

const colorsOf = (s: Scene) => {
  const { count, rgba } = dotsOf(s);
  return Array.from({ length: count }, (_, i) => Array.from(rgba.subarray(i * 4, i * 4 + 4)));
};
const [RED, GREEN, GREY] = [
  [255, 0, 0, 255],
  [0, 255, 0, 255],
  [158, 158, 158, 255],
];

describe("points on paper", () => {
  it("are those in the frame, in the order of the screen, missing ones grey", () => {
    expect(colorsOf(scene())).toEqual([RED, GREEN, GREY]);
  });

  it("leave out what does not pass, and draw the selection last, the rest faint", () => {
    const passing = bitsFor(5);
    for (const place of [0, 2]) put(passing, place);
    expect(colorsOf(scene({ passing }))).toEqual([RED, GREY]);
    const selected = bitsFor(5);
    put(selected, 0);
    const colors = colorsOf(scene({ selected }));
    expect(colors.at(-1)).toEqual(RED);
    expect(colors.map(([, , , a]) => a)).toEqual([56, 56, 255]);
  });

  it("take the colours of groups over their own, and of numbers by their range", () => {
    const markColors = Uint8Array.of(0, 0, 0, 0, 1, 2, 3, 255);
    expect(colorsOf(scene({ marks: Uint8Array.of(0, 1, 0, 0, 0), markColors }))[1]).toEqual([1, 2, 3, 255]);
    const values = Float32Array.of(0, 9, -3e38, 0, 0);
    expect(colorsOf(scene({ values, range: [0, 5] }))).toEqual([RED, GREEN, GREY]);
  });

  it("in 3D hide what lies behind", () => {
    const matrix = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0];
    const positions = Float32Array.of(2, 2, 1, 4, 4, 2, 14, 14, 2, NOWHERE, 0, 0, NOWHERE, 0, 0);
    expect(colorsOf(scene({ positions, matrix, deep: true }))).toEqual([GREEN, GREY, RED]);
  });

  it("as pixels have the colour of the last one in the middle, and nothing where there is none", () => {
    const pixels = rasterised(dotsOf(scene()), 10, 10, 3);
    const at = (x: number, y: number) => Array.from(pixels.subarray((y * 10 + x) * 4, (y * 10 + x) * 4 + 4));
    expect(at(1, 1)).toEqual(GREEN);
    expect(at(7, 7)).toEqual(GREY);
    expect(at(9, 0)).toEqual([0, 0, 0, 0]);
    const half = rasterised(dotsOf(scene({ alpha: 0.5 })), 10, 10, 3);
    expect(half[(7 * 10 + 7) * 4 + 3]).toBe(128);
  });
});

const field = {
  index: 0,
  key: "kind",
  kind: "category" as const,
  ordered: false,
  categories: ["a & b", "c"],
  counts: [1200, 3],
  n_missing: 4,
  dtype: "uint8" as const,
  missing: 255,
  codes: "",
  colors: null,
};
const painted: Painted = { kind: "category", key: "field:kind", field, values: new Uint8Array(5) };
const legend = legendOf(painted, lut, null, "viridis", null, null);
const pane: Pane = { title: "UMAP · kind", axes: ["UMAP 1", "UMAP 2"], dim: 2, aspect: 1.5, legend };
const measure = (text: string, size: number) => text.length * size * 0.5;
const texts = (items: Item[]) => items.flatMap((item) => (item.kind === "text" ? [item.text] : []));

describe("a figure", () => {
  it("is as wide as asked for, on paper and in pixels", () => {
    const settings = { ...DEFAULTS, width: 50.8, dpi: 300 };
    expect(cssWidth(settings) * scaleOf(settings)).toBeCloseTo(600);
    expect(cssWidth({ ...settings, unit: "px", width: 1000 }) * scaleOf(settings)).toBeCloseTo(1000);
    expect(tooLarge(cssWidth(settings), 300, scaleOf(settings))).toBeNull();
    expect(tooLarge(1e5, 300, 3)).toContain("more than a browser can draw");
    expect(tooLarge(Number.NaN, 300, 3)).not.toBeNull();
  });

  it("has a legend with counts, without what is switched off, and says how many more there are", () => {
    expect(legend).toMatchObject({ kind: "category", title: "kind", more: 0 });
    const { items } = laidOut([pane], { ...DEFAULTS, title: "T cells" }, measure);
    expect(texts(items)).toEqual(["T cells", "UMAP 1", "UMAP 2", "kind", "a & b (1,200)", "c (3)", "missing (4)"]);
    const hidden = legendOf(painted, lut, null, "viridis", Uint8Array.of(1, 0, 0), null);
    expect(hidden.kind === "category" && hidden.rows.map(({ name }) => name)).toEqual(["c", "missing"]);
    const passing = bitsFor(5);
    for (const place of [0, 1, 4]) put(passing, place);
    const few = legendOf({ ...painted, values: Uint8Array.of(0, 1, 0, 255, 0) }, lut, null, "viridis", null, passing);
    expect(few.kind === "category" && few.rows.map(({ count }) => count)).toEqual([2, 1]);
    const long = { ...field, categories: Array.from({ length: 90 }, (_, i) => `${i}`), counts: [], n_missing: 0 };
    const many = legendOf({ ...painted, field: long }, categoryLut(90, null, null), null, "viridis", null, null);
    expect(many.kind === "category" && many.more).toBe(51);
  });

  it("has names that can be told apart, in smaller letters where six views leave little room", () => {
    const rows = Array.from({ length: 12 }, (_, i) => ({ name: `cluster ${i}`, count: 400 + i, color: "#000000" }));
    const own = { ...pane, legend: { kind: "category" as const, title: "cluster", rows, more: 0 } };
    const { items } = laidOut(Array(6).fill(own), DEFAULTS, measure);
    for (const { name, count } of rows) expect(texts(items)).toContain(`${name} (${count})`);
    const sizes = items.flatMap((item) =>
      item.kind === "text" && item.text.includes("cluster 1 ") ? [item.size] : [],
    );
    expect(Math.min(...sizes)).toBeGreaterThanOrEqual(8);
    expect(laidOut([own], DEFAULTS, measure).items.every((item) => item.kind !== "text" || item.size >= 10)).toBe(true);
  });

  it("holds one pane beside the other, inside the page", () => {
    for (const many of [1, 2, 3, 5, 6]) {
      const { items, width, height } = laidOut(Array(many).fill(pane), DEFAULTS, measure);
      const frames = items.filter((item) => item.kind === "points");
      expect(frames.length).toBe(many);
      for (const { x, y, w, h } of frames) {
        expect(x).toBeGreaterThan(0);
        expect(x + w).toBeLessThan(width);
        expect(y + h).toBeLessThan(height);
        expect(w).toBeGreaterThan(40);
      }
    }
  });

  it("as SVG has a circle for each point, its texts, and says where it comes from", () => {
    const { items, width, height } = laidOut([pane], DEFAULTS, measure);
    const dots = dotsOf(scene());
    const ink = { background: "#ffffff", text: "#000000", frame: "#888888" };
    const origin = { title: "<pbmc>", link: "http://x/?color=field:kind&a=1", software: "coverslip", made: "2026" };
    const size = { width, height };
    const text = svgOf(items, size, true, [{ kind: "dots", dots, size: 3 }], ink, origin);
    const svg = new DOMParser().parseFromString(text, "image/svg+xml");
    expect(svg.querySelectorAll(".points circle").length).toBe(3);
    expect(svg.querySelectorAll("circle.key").length).toBe(3);
    expect(svg.querySelector("svg")?.getAttribute("width")).toBe("180mm");
    expect(text).toContain('fill="#ff0000"');
    expect(text).toContain("a &amp; b (1,200)");
    expect(text).toContain("<dc:source>http://x/?color=field:kind&amp;a=1</dc:source>");
  });
});

describe("lines of a view", () => {
  const strokes = {
    length: 3,
    from: Float32Array.of(0, 0, 0, 1, 1, 0, 2, 2, 0),
    to: Float32Array.of(5, 5, 0, 6, 6, 0, 7, 7, 0),
    color: null,
    opacity: Float32Array.of(0.31, 0.39, 1),
    width: 2,
    over: true,
  };

  it("are gathered by how faint they are, in pixels of the frame", () => {
    const paths = pathsOf(strokes, IDENTITY, 0.5);
    expect(paths.map(({ ends, opacity, width }) => [ends.length / 4, opacity, width])).toEqual([
      [2, 0.4, 1],
      [1, 1, 1],
    ]);
    expect(Array.from(paths[1]?.ends ?? [])).toEqual([2, 2, 7, 7]);
  });

  it("are paths of an SVG, in the ink of its text", () => {
    const items: Item[] = [{ kind: "lines", paths: pathsOf(strokes, IDENTITY, 1), x: 1, y: 2, w: 9, h: 9 }];
    const ink = { background: null, text: "#123456", frame: "#888888" };
    const origin = { title: "", link: "", software: "", made: "" };
    const text = svgOf(items, { width: 20, height: 20 }, false, [], ink, origin);
    expect(text).toContain('d="M0 0L5 5M1 1L6 6" fill="none" stroke="#123456" stroke-opacity="0.4"');
  });
});

describe("a PNG", () => {
  const bytes = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (two) => Number.parseInt(two, 16));
  /** One transparent pixel. */
  const PIXEL = bytes(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000" +
      "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082",
  );

  it("counts its checks as zlib does", () => {
    expect(crc32(new TextEncoder().encode("IEND"))).toBe(0xae426082);
  });

  it("tells its resolution and where it comes from, right behind its header", () => {
    const out = labelled(PIXEL, 300, { Source: "http://x/ü" });
    const view = new DataView(out.buffer);
    const name = (at: number) => String.fromCharCode(...out.subarray(at + 4, at + 8));
    expect([name(8), name(33), name(54)]).toEqual(["IHDR", "pHYs", "iTXt"]);
    expect([view.getUint32(41), view.getUint32(45), out[49]]).toEqual([11811, 11811, 1]);
    const length = view.getUint32(54);
    const text = new TextDecoder().decode(out.subarray(62, 62 + length));
    expect(text).toBe("Source\0\0\0\0\0http://x/ü");
    expect(view.getUint32(62 + length)).toBe(crc32(out.subarray(58, 62 + length)));
    expect(Array.from(out.subarray(66 + length))).toEqual(Array.from(PIXEL.subarray(33)));
  });
});
