import { describe, expect, it } from "vitest";
import type { TileInfo } from "../../api/images";
import { pyramidOf } from "../image/levels";
import { chosenTissue, isPhotograph, looksOf, shownOf, spotSize, summary, toWorld } from "./model";

const channel = (index: number) => ({ index, label: String(index), color: "#00ff00", active: true, window: null });

function picture(change: Partial<TileInfo> = {}): TileInfo {
  return {
    array_id: "a/hires",
    source_id: "a",
    name: "hires",
    version: "1",
    dtype: "uint8",
    dim_labels: ["c", "y", "x"],
    shape: [3, 400, 600],
    axes: ["c", "y", "x"].map((name) => ({ name, type: "space", unit: null, scale: 1, origin: 0 })),
    tile_size: 512,
    levels: [{ level: 0, shape: [3, 400, 600], downsample: [1, 1, 1] }],
    picture: true,
    rgb: true,
    is_label: false,
    channels: [0, 1, 2].map(channel),
    labels: [],
    plate: null,
    siblings: [],
    ...change,
  };
}

const tissue = {
  array_id: "a/hires",
  name: "brain, hires",
  embedding: "spatial",
  matrix: [0.2, 0, 0, 0, 0.2, 0] as [number, number, number, number, number, number],
  spot: 90 as number | null,
};

describe("the tissue's picture", () => {
  it("is the one that is named, else the first", () => {
    const other = { ...tissue, name: "brain, lowres" };
    expect(chosenTissue([tissue, other], "brain, lowres")).toBe(other);
    expect(chosenTissue([tissue, other], "gone")).toBe(tissue);
    expect(chosenTissue([], null)).toBeNull();
  });

  it("keeps the colours of a photograph, also of one that only numbers its channels", () => {
    expect(isPhotograph(picture())).toBe(true);
    expect(isPhotograph(picture({ rgb: false }))).toBe(true);
    expect(isPhotograph(picture({ rgb: false, dtype: "uint16" }))).toBe(false);
    const looks = looksOf(shownOf(picture({ rgb: false })));
    expect(looks.map(({ color }) => color)).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    expect(looks.every(({ window, visible }) => visible && window[0] === 0 && window[1] === 255)).toBe(true);
  });

  it("shows channels in the colours of the file, once it is known what they span", () => {
    const info = picture({ rgb: false, dtype: "uint16" });
    expect(looksOf(shownOf(info)).map(({ visible }) => visible)).toEqual([false, false, false]);
    const known = shownOf(info);
    for (const setting of known.settings) setting.window = [5, 99];
    expect(looksOf(known)[0]).toEqual({ color: [0, 1, 0], window: [5, 99], gamma: 1, visible: true });
  });
});

describe("cells on it", () => {
  it("lie in its pixels, and follow pixels that are not square", () => {
    expect(toWorld(tissue.matrix, picture(), pyramidOf(picture()))).toEqual(tissue.matrix);
    const axes = picture().axes.map((a) => ({ ...a, unit: "micrometer", scale: a.name === "y" ? 2 : 1 }));
    const tall = picture({ axes });
    expect(toWorld([1, 0, 5, 0, 1, 5], tall, pyramidOf(tall))).toEqual([1, 0, 5, 0, 2, 10]);
  });

  it("are as large as they were measured, else as there is room", () => {
    expect(spotSize(tissue, picture(), 100)).toBeCloseTo(18);
    expect(spotSize({ ...tissue, spot: null }, picture(), 600)).toBeCloseTo(10);
    const turned = { ...tissue, matrix: [0, 0.5, 0, 0.5, 0, 0] as typeof tissue.matrix };
    expect(spotSize(turned, picture(), 100)).toBeCloseTo(45);
  });

  it("are told to who cannot see them", () => {
    expect(summary(tissue, picture(), 49, { kind: "none", key: "none" }, 2)).toBe(
      "Tissue brain, hires, 600 × 400 px, with 49 cells on it; 2 cells selected",
    );
  });
});
