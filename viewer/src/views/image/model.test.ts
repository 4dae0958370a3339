import { describe, expect, it } from "vitest";
import type { ChannelStatistics } from "../../api/images";
import { panned, zoomed } from "./bench";
import { levelAt, parentOf, pyramidOf, tileBounds, tilesIn } from "./levels";
import { linkOf, readLink, type View } from "./link";
import {
  autoWindow,
  cameraFromLink,
  cameraToLink,
  contrastDomain,
  defaultSettings,
  defaultShown,
  dimensions,
  fileWindow,
  firstPlane,
  homePlane,
  homeVolume,
  pictureName,
  planeIn,
  sliderAxes,
  summary,
  titleOf,
  volumeLevel,
  volumeSides,
} from "./model";
import { sample } from "./sample";

const figures = (change: Partial<ChannelStatistics> = {}): ChannelStatistics => ({
  index: 0,
  min: 10,
  max: 4000,
  mean: 100,
  std: 5,
  percentiles: { "0.1": 11, "1": 20, "50": 90, "99": 900, "99.9": 2000 },
  histogram: { lo: 10, hi: 4000, counts: Array(256).fill(1) },
  level: 0,
  sampled: false,
  ...change,
});

describe("levels", () => {
  const pyramid = pyramidOf(sample());

  it("rounded sizes keep whole steps", () => {
    expect(pyramid.levels.map((l) => [l.width, l.stepX])).toEqual([
      [1001, 1],
      [501, 2],
      [251, 4],
    ]);
  });

  it("of files that divide by something else keep their own ratio", () => {
    const info = sample();
    info.levels[1] = { level: 1, shape: [4, 3, 5, 200, 333], downsample: [] };
    expect(pyramidOf(info).levels[1]?.stepX).toBeCloseTo(1001 / 333);
  });

  it("are chosen so that pixels are not larger than the screen's", () => {
    expect([0, -0.5, -1, -2, -9, 3].map((zoom) => levelAt(pyramid, zoom, 1))).toEqual([0, 0, 1, 2, 2, 0]);
    expect(levelAt(pyramid, -1, 2)).toBe(0);
  });

  it("tiles cover what is looked at and nothing beyond the image", () => {
    expect(tilesIn(pyramid, 0, [-500, -500, 5000, 5000])).toHaveLength(4 * 3);
    expect(tilesIn(pyramid, 0, [300, 300, 310, 310])).toEqual([{ x: 1, y: 1, z: -0 }]);
    expect(tilesIn(pyramid, 0, [2000, 0, 3000, 100])).toEqual([]);
    expect(tileBounds(pyramid, { x: 3, y: 2, z: 0 })).toEqual([768, 512, 1001, 600]);
  });

  it("a parent holds the middle of its tile", () => {
    expect(parentOf(pyramid, { x: 3, y: 2, z: 0 })).toEqual({ x: 1, y: 1, z: -1 });
    expect(parentOf(pyramid, { x: 1, y: 1, z: -1 })).toEqual({ x: 0, y: 0, z: -2 });
  });

  it("pixels that are not square are drawn as tall as they are", () => {
    const info = sample();
    info.axes = info.axes.map((axis) => (axis.name === "y" ? { ...axis, scale: 1 } : axis));
    expect(pyramidOf(info)).toMatchObject({ width: 1001, height: 1200 });
    info.axes = info.axes.map((axis) => ({ ...axis, unit: null }));
    expect(pyramidOf(info).height).toBe(600);
  });

  it("labels of another size fill the image", () => {
    const own = pyramidOf(sample({ shape: [300, 500], dim_labels: ["y", "x"] }), { width: 1000, height: 600 });
    expect(own.levels[0]).toMatchObject({ stepX: 2, stepY: 2 });
  });
});

describe("windows", () => {
  it("come from the file unless it says only what its type can hold", () => {
    const info = sample();
    const [channel] = info.channels;
    if (!channel) throw new Error("a channel");
    const window = (start: number, end: number) => ({ min: 0, max: 65_535, start, end });
    expect(fileWindow(info, channel)).toBeNull();
    expect(fileWindow(info, { ...channel, window: window(0, 65_535) })).toBeNull();
    expect(fileWindow(info, { ...channel, window: window(100, 900) })).toEqual([100, 900]);
    expect(fileWindow(info, { ...channel, window: window(5, 5) })).toBeNull();
    expect(fileWindow(sample({ rgb: true, dtype: "uint8" }), channel)).toEqual([0, 255]);
    expect(fileWindow(sample({ rgb: true, dtype: "float32" }), channel)).toEqual([0, 1]);
  });

  it("are found from the pixels, also where these hardly differ", () => {
    expect(autoWindow(figures())).toEqual([20, 2000]);
    const flat = (value: number) =>
      figures({ min: value, max: value, percentiles: { "1": value, "50": value, "99.9": value } });
    expect([7, 0, -3].map((value) => autoWindow(flat(value)))).toEqual([
      [0, 7],
      [0, 1],
      [-3, 0],
    ]);
    expect(autoWindow(figures({ min: 0, max: 9, percentiles: { "1": 0, "99.9": 0 } }))).toEqual([0, 9]);
    expect(autoWindow(figures({ min: null, max: null }))).toEqual([0, 1]);
    expect(autoWindow(figures({ percentiles: { "1": 1e-9, "99.9": 3e-7 } }))).toEqual([1e-9, 3e-7]);
  });

  it("lie within what the slider spans", () => {
    expect(contrastDomain(figures(), [0, 9000])).toEqual([0, 9000]);
    expect(contrastDomain(figures(), [100, 200])).toEqual([10, 4000]);
    expect(contrastDomain(undefined, [3, 3])).toEqual([3, 4]);
  });
});

describe("axes", () => {
  it("with one element have no slider; z starts in the middle", () => {
    const info = sample({ shape: [1, 3, 5, 600, 1001] });
    expect(sliderAxes(info)).toEqual(["z"]);
    expect(firstPlane(info)).toEqual({ t: 0, z: 2 });
    expect(planeIn(info, { t: 3, z: 9, q: 1 })).toEqual({ t: 0, z: 4 });
  });

  it("other letters are axes too", () => {
    const info = sample({ shape: [2, 6, 600, 1001], dim_labels: ["p", "c", "y", "x"] });
    expect(sliderAxes(info)).toEqual(["p"]);
    expect(firstPlane(info)).toEqual({ p: 0 });
  });
});

describe("cameras", () => {
  it("show all of the image and survive a link into another window", () => {
    const home = homePlane({ width: 1000, height: 600 }, { width: 800, height: 800 });
    expect(2 ** home.zoom * 1000).toBeCloseTo(768);
    const moved = { ...home, target: [12, 34, 0] as [number, number, number], zoom: home.zoom + 2 };
    expect(cameraFromLink(cameraToLink(moved, home), home)).toEqual(moved);
    const turned = { ...homeVolume({ width: 500, height: 400 }), rotationX: 50 };
    const other = homeVolume({ width: 500, height: 400 });
    expect(cameraFromLink(cameraToLink(turned, other), other)).toEqual(turned);
    expect(cameraFromLink([1, 2], home)).toBe(home);
    expect(cameraFromLink([1, 2, 3], other)).toBe(other);
  });

  it("a tiny image is not blown up beyond reason", () => {
    expect(homePlane({ width: 2, height: 2 }, { width: 2000, height: 2000 }).zoom).toBe(7);
  });

  it("keys move by the same number of screen pixels at every zoom, and turn a volume, never over the pole", () => {
    const home = homePlane({ width: 1000, height: 600 }, { width: 800, height: 800 });
    for (const zoom of [-3, 0, 4]) {
      expect((panned({ ...home, zoom }, 1, 0).target[0] - home.target[0]) * 2 ** zoom).toBeCloseTo(80);
    }
    let volume = panned(homeVolume({ width: 500, height: 400 }), 0, 0);
    for (let i = 0; i < 30; i += 1) volume = panned(volume, 0, 1);
    expect(volume).toMatchObject({ rotationX: -90 });
    expect(zoomed(home, 100).zoom).toBe(7);
  });
});

describe("volumes", () => {
  const at = (shape: number[], levels: number[][]) =>
    sample({ shape, levels: levels.map((own, level) => ({ level, shape: own, downsample: [] })) });

  it("take the finest level that fits", () => {
    const info = at([1, 1, 64, 2048, 2048], [[1, 1, 64, 2048, 2048], [1, 1, 64, 1024, 1024], [1, 1, 64, 512, 512]]); // biome-ignore format: a row a level
    expect(volumeLevel(info)).toMatchObject({ level: 2, width: 512, depth: 64, factor: 1 });
  });

  it("put planes together where even the coarsest is too deep, up to a limit", () => {
    const deep = at([1, 1, 300, 512, 512], [[1, 1, 300, 512, 512]]);
    expect(volumeLevel(deep)).toMatchObject({ factor: 5, depth: 60, planes: 300 });
    expect(volumeLevel(deep, 20)).toBe("too_large");
    expect(volumeLevel(at([1, 1, 600, 64, 64], [[1, 1, 600, 64, 64]]), 256)).toMatchObject({ factor: 3, depth: 200 });
    expect(volumeLevel(at([1, 1, 5000, 512, 512], [[1, 1, 5000, 512, 512]]))).toBe("too_large");
    expect(volumeLevel(at([1, 1, 1, 512, 512], [[1, 1, 1, 512, 512]]))).toBe("flat");
  });

  it("have the proportions of the specimen when the file knows them", () => {
    const [x, y, z] = volumeSides(sample());
    expect([x, y, z].map((side) => side * 500.5)).toEqual([500.5, 300, 10].map((v) => expect.closeTo(v)));
    const unknown = sample();
    unknown.axes = unknown.axes.map((axis) => ({ ...axis, unit: null }));
    expect(volumeSides(unknown)[2]).toBeCloseTo(5 / 1001);
  });
});

describe("links", () => {
  const info = sample();
  const auto: Record<number, [number, number]> = { 0: [1, 2], 1: [3, 4], 2: [5, 6] };
  const usual = defaultSettings(info).map((s, i) => ({ ...s, window: auto[i] ?? null }));
  const plain: View = {
    plane: firstPlane(info),
    shown: defaultShown(info),
    settings: usual,
    mode: "plane",
    labels: null,
    camera: null,
    fps: 8,
  };
  const search = (link: Record<string, string | null>) =>
    `?${new URLSearchParams(Object.entries(link).filter((e): e is [string, string] => e[1] !== null))}`;

  it("say nothing that goes without saying", () => {
    expect(Object.values(linkOf(info, plain, auto)).every((v) => v === null)).toBe(true);
  });

  it("tell everything else, and read it back", () => {
    const view: View = {
      plane: { t: 3, z: 0, q: 2 },
      shown: [0, 2],
      settings: usual.map((s, i) =>
        i === 2 ? { color: "#123456", window: [0.25, 1e6], gamma: 0.5, visible: false } : s,
      ),
      mode: "max",
      labels: { id: "cells/labels/nuclei", opacity: 0.75, outlines: true },
      camera: [100.5, 20, -1],
      fps: 2,
    };
    const back = readLink(search(linkOf(info, view, auto)));
    expect(back).toMatchObject({ ...view, settings: { 2: view.settings[2] } });
    expect(Object.keys(back.settings)).toEqual(["0", "2"]);
  });

  it("without any channel are kept", () => {
    expect(readLink(search(linkOf(info, { ...plain, shown: [] }, auto))).shown).toEqual([]);
  });

  it("of nonsense are an image as if opened plainly", () => {
    const back = readLink("?t=-1&z=abc&sel=::,x&channels=a:b,1:zzzzzz&mode=4d&view=1,NaN&fps=1e9&labels=");
    expect(back).toEqual({
      plane: {},
      shown: [],
      settings: {},
      mode: "plane",
      labels: null,
      camera: null,
      fps: 60,
    });
  });
});

describe("words", () => {
  it("tell what is shown and what is not", () => {
    const info = sample();
    const settings = defaultSettings(info).map((s, i) => ({ ...s, visible: i !== 1 }));
    expect(summary("cells.tif", info, { t: 0, z: 2 }, "plane", [0, 1, 2], settings)).toBe(
      "Image cells.tif, 1,001 × 600 px · 3 channels · 4 t · 5 z · uint16; DAPI, mCherry; t 1 of 4; z 3 of 5",
    );
    expect(summary("cells.tif", info, { t: 0, z: 2 }, "max", [], settings)).toContain(
      "no channel shown; t 1 of 4; maximum over z",
    );
    expect(dimensions(sample({ rgb: true, shape: [600, 1001], dim_labels: ["y", "x"] }))).toContain("RGB");
  });

  it("name the source, and the image when there are several", () => {
    const info = sample();
    expect([titleOf(info, null), titleOf(info, "plate.zarr")]).toEqual(["cells", "plate.zarr"]);
    expect(pictureName("5 dpf, β-actin.ome.tif")).toBe("5_dpf_β-actin");
    expect(pictureName("plate.zarr / A/2")).toBe("plate_A_2");
    expect(pictureName("cells")).toBe("cells");
    const siblings = ["A/1", "A/2"].map((name) => ({ array_id: `cells/${name}`, name }));
    expect(titleOf({ ...info, array_id: "cells/A/2", siblings }, "plate.zarr")).toBe("plate.zarr / A/2");
  });
});
