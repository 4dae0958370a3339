import { describe, expect, it } from "vitest";
import { EVERYTHING, type Source, type Tensor, thumbnailUrl } from "../../api/catalog";
import {
  ariaSort,
  bytes,
  channels,
  dimensions,
  factsOf,
  folderOf,
  isPicture,
  nextSort,
  opensUp,
  pictureOf,
  readHome,
  routeAt,
  routeOf,
  tailOf,
  when,
  writeHome,
} from "./model";

const tensor = (dim_labels: string[], shape: number[], id = "s", dtype = "uint16"): Tensor => ({
  array_id: id,
  name: id,
  dim_labels,
  shape,
  chunk_shape: shape,
  dtype,
});

const source = (changes: Partial<Source> = {}): Source => ({
  source_id: "s",
  name: "s.czi",
  source_url: "file:///lab/plate%203/day%202/s.czi",
  source_type: "czi",
  kind: "images",
  status: "ready",
  version: "v/1",
  size_bytes: 1,
  modified: 0,
  indexed_at: 0,
  error: null,
  tensors: [tensor(["t", "c", "z", "y", "x"], [1, 3, 20, 1024, 2048])],
  ...changes,
});
const scenes = [tensor(["y", "x"], [4, 5], "s/a"), tensor(["y", "x"], [4, 5], "s/b", "uint8")];

describe("the link", () => {
  it("brings every choice back", () => {
    const view = {
      query: { search: "a & b/ü", kind: "images", status: "failed", sort: "-size" },
      look: "table",
    } as const;
    const written = new URLSearchParams();
    for (const [name, value] of Object.entries(writeHome(view))) if (value !== null) written.set(name, value);
    expect(readHome(`?${written}`)).toEqual(view);
  });

  it("says nothing of what goes without saying, and ignores what makes no sense", () => {
    const plain = writeHome({ query: EVERYTHING, look: "cards" });
    expect(Object.entries(plain).filter(([, value]) => value !== null)).toEqual([["page", "home"]]);
    expect(readHome("?kind=toString&status=gone&sort=colour&view=3d")).toEqual({ query: EVERYTHING, look: "cards" });
  });
});

describe("figures", () => {
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [999.6, "1 kB"],
    [1500, "1.5 kB"],
    [99_960, "100 kB"],
    [999_999, "1 MB"],
    [1_234_567_890, "1.23 GB"],
    [null, "–"],
    [Number.NaN, "–"],
  ])("%s bytes are %s", (n, text) => expect(bytes(n)).toBe(text));

  it("tells sizes as people do: width, height, then what else there is", () => {
    expect(dimensions(tensor(["t", "c", "z", "y", "x"], [10, 3, 20, 1024, 2048]))).toBe("2,048 × 1,024, 20 z, 10 t");
    expect(dimensions(tensor(["t", "y", "x"], [1, 4, 5]))).toBe("5 × 4");
    expect(dimensions(tensor(["0", "1"], [1000, 3]))).toBe("1,000 × 3");
    expect(dimensions(tensor([], []))).toBe("one value");
    expect(channels(tensor(["c", "y", "x"], [4, 2, 2]))).toBe("4");
    expect(channels(tensor(["y", "x"], [2, 2]))).toBe("1");
    expect(channels(tensor(["0"], [2]))).toBe("–");
  });

  it("tells what several arrays have in common", () => {
    expect(factsOf(source({ tensors: scenes }))).toEqual({
      dimensions: "2 images of 5 × 4",
      dtype: "various",
      channels: "1",
    });
    expect(factsOf(source({ tensors: null })).dimensions).toBe("–");
    const cells = source({ kind: "cells", facts: { cells: 1, genes: 32_738 } });
    expect(factsOf(cells)).toEqual({ dimensions: "1 cell × 32,738 genes", dtype: "–", channels: "–" });
    const network = source({ kind: "network", tensors: [], facts: { neurons: 10, connections: 1 } });
    expect(factsOf(network).dimensions).toBe("10 neurons, 1 connection");
  });

  it("tells the time of today and yesterday, and else the day", () => {
    const now = new Date(2026, 4, 3, 12, 0).getTime();
    const at = (...date: [number, number, number, number, number]) => when(new Date(...date).getTime() / 1000, now);
    expect(at(2026, 4, 3, 9, 5)).toBe("today 09:05");
    expect(at(2026, 4, 2, 23, 59)).toBe("yesterday 23:59");
    expect(at(2025, 0, 9, 1, 1)).toBe("2025-01-09");
    expect(when(null, now)).toBe("–");
  });

  it("names folders, and keeps the end of a name that tells files apart", () => {
    expect(folderOf(source())).toBe("plate 3/day 2");
    expect(folderOf(source({ source_url: "file:///lab/s.czi" }))).toBe("");
    expect(folderOf(source({ source_url: "file:///lab/100%/s.czi" }))).toBe("100%");
    expect("img_0001.ome.tif".slice(-tailOf("img_0001.ome.tif"))).toBe("0001.ome.tif");
    expect(tailOf("plain")).toBe(8);
  });
});

describe("what opens", () => {
  it("is the cells, the image, or the first of several images", () => {
    expect(routeOf(source({ kind: "cells", tensors: null }))).toEqual({ page: "cells", dataset: "s" });
    expect(routeOf(source())).toEqual({ page: "image", image: "s" });
    expect(routeOf(source({ tensors: null }))).toEqual({ page: "image", image: "s" });
    const network = source({ kind: "network", tensors: [] });
    expect([routeOf(network), pictureOf(network), opensUp(network)]).toEqual([
      { page: "network", network: "s" },
      null,
      false,
    ]);
    expect(pictureOf(source({ kind: "network", tensors: null }))).toBeNull();
    expect(routeOf(source({ tensors: scenes }))).toEqual({ page: "image", image: "s/a" });
    expect(routeAt(source({ tensors: scenes }), 1)).toEqual({ page: "image", image: "s/b" });
  });

  it("is a list for several arrays, and nothing for what failed", () => {
    const arrays = source({ kind: "arrays", tensors: scenes });
    const failed = source({ status: "failed", tensors: null });
    expect([routeOf(arrays), opensUp(arrays)]).toEqual([null, true]);
    expect([routeOf(failed), opensUp(failed)]).toEqual([null, true]);
    expect(opensUp(source())).toBe(false);
  });
});

describe("pictures", () => {
  it("are asked for only where there can be one", () => {
    const trace = tensor(["0"], [1000], "s/trace");
    expect(pictureOf(source({ kind: "cells", tensors: null }))).toBe("s");
    expect(pictureOf(source({ kind: "arrays", tensors: [trace, scenes[1] as Tensor] }))).toBe("s/b");
    expect(pictureOf(source({ kind: "arrays", tensors: [trace] }))).toBeNull();
    expect(pictureOf(source({ status: "failed" }))).toBeNull();
    expect(isPicture(tensor(["y", "x"], [0, 5]))).toBe(false);
    expect(isPicture(tensor(["y", "x"], [4, 5], "s", "complex64"))).toBe(false);
  });

  it("have the version in their address, save of a file being written", () => {
    expect(thumbnailUrl("s/a b", source(), 256)).toBe("api/thumbnail/s/a%20b?size=256&v=v%2F1");
    expect(thumbnailUrl("s", source({ status: "live" }), 256)).toBe("api/thumbnail/s?size=256#v%2F1");
    expect(thumbnailUrl("s", source({ status: "pending" }), 256)).toBe("api/thumbnail/s?size=256#v%2F1");
  });
});

describe("sorting by a column", () => {
  it("begins with what is most often wanted, then turns round", () => {
    expect(nextSort("size", "name")).toBe("-size");
    expect(nextSort("size", "-size")).toBe("size");
    expect(nextSort("kind", "kind")).toBe("name");
    expect(nextSort("name", "name")).toBe("-name");
  });

  it("is told to a screen reader", () => {
    expect(ariaSort("size", "-size")).toBe("descending");
    expect(ariaSort("size", "name")).toBe("none");
    expect(ariaSort("format", "name")).toBeUndefined();
  });
});
