/** Whatever a server answers: it is refused, or all that the page makes of it holds. */

import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Genes } from "../api/types";
import { findGenes, nearGenes } from "../data/genes";
import { findAll } from "../views/analysis/lists";
import * as catalog from "../views/catalog/model";
import { pyramidOf } from "../views/image/levels";
import * as image from "../views/image/model";
import { sample } from "../views/image/sample";
import { type About, boxLines, electrodeBoxes, frameOf, readTable, summary } from "../views/network/model";
import { chosenTissue, shownOf, spotSize, toWorld } from "../views/tissue/model";
import type { Source } from "./catalog";
import { ApiError, getBytes, getJson } from "./client";
import { nearly, runs } from "./fuzz";
import type { TileInfo } from "./images";
import { refusalIn } from "./refusal";
import * as shapes from "./shapes";
import type { Identity, TissueInfo } from "./types";

vi.setConfig({ testTimeout: 600_000 }); // many inputs, on a machine that may be busy

const field = {
  index: 0,
  key: "kind",
  kind: "category",
  ordered: false,
  categories: ["a", "b"],
  counts: [1, 2],
  n_missing: 0,
};
const identity = {
  id: "set",
  name: "cells",
  stats: { n_cells: 100, n_genes: 2, has_connectivity: true },
  embeddings: {
    items: [{ id: "X", label: "X", width: 2, dimensions: [2], default: true, axes: ["1", "2"], files: { "2d": "p" } }],
  },
  obs_fields: [{ key: "kind", kind: "category", n_categories: 3, index: 0, info: "" }],
  expression: { default: "X", items: [{ id: "X", label: "X", n_genes: 2, genes: "genes.json" }] },
  tissue: [{ array_id: "a", name: "he", embedding: "spatial", matrix: [1, 0, 0, 0, 1, 0], spot: 3 }],
  vector_fields: {
    default_field: "v",
    fields: { v: { label: "v", available_dimensions: [2], files: { "2d": "f" }, embeddings: { "2d": "X" } } },
  },
};
const source = {
  source_id: "a",
  name: "a.tif",
  source_url: "file:///lab/a%20b/a.tif",
  source_type: "tiff",
  kind: "images",
  status: "ready",
  version: "1",
  size_bytes: 10,
  modified: 1.5e9,
  indexed_at: 1.5e9,
  error: { code: "damaged", message: "It is", hint: "Copy it" },
  tensors: [
    { array_id: "a", name: "a", dim_labels: ["c", "y", "x"], shape: [2, 8, 9], chunk_shape: null, dtype: "uint8" },
  ],
  facts: { cells: 3 },
};
const about = {
  name: "CA1",
  unit: "µm",
  neurons: 10,
  edges: 20,
  bounds: [
    [0, 0, 0],
    [1, 2, 3],
  ],
  populations: [{ name: "GC", number: 0, start: 0, count: 10, offset: 0 }],
  projections: [
    {
      index: 0,
      name: "GC to GC",
      source: "GC",
      destination: "GC",
      type: null,
      edges: 20,
      attributes: [{ name: "d", dtype: "float32" }],
    },
  ],
  left_out: { a: "b" },
  layers: {
    SO: [
      [0, 0, 0],
      [1, 1, 1],
    ],
  },
  electrodes: {
    coordinates: [
      [0, 1, 2, 3],
      [1, 2, 2, 3],
    ],
    input_radius: 3,
  },
  columns: [{ index: 0, key: "population", populations: ["GC"], dtype: "uint8", single: true }],
};
const genes = { expression: "X", names: ["CD3D", "LYZ"], symbols: ["a", "b"], values: "v" };
const codes = { ...field, dtype: "uint8", missing: 255, codes: "c", colors: ["#ff0000", "#00ff00"] };
const statistics = {
  channels: [
    {
      index: 0,
      min: 0,
      max: 9,
      mean: 1,
      std: 1,
      percentiles: { "1": 1, "99.9": 8 },
      histogram: { lo: 0, hi: 9, counts: [1] },
    },
  ],
};
const known: Record<string, unknown[]> = {
  isDatasets: [{ datasets: [{ id: "a", path: "/", name: "a", status: "ok" }] }],
  isIdentity: [identity],
  isField: [
    codes,
    { index: 1, key: "n", kind: "continuous", min: 0, max: 1, n_missing: 0, values: "v" },
    { index: 2, key: "t", kind: "text" },
  ],
  isGenes: [genes],
  isCellNames: [{ start: 0, names: ["a"] }],
  isCell: [{ index: 0, name: "a", fields: { a: 1, b: null, c: "x" } }],
  isDigest: [{ n: 3, digest: "sha256:x" }],
  isGeneIndex: [{ expression: "X", state: "building", share: 0.5, message: null }],
  isGraph: [{ n_edges: 3, index_dtype: "uint16", sourcesPath: "s", destinationsPath: "d", weightsPath: "w" }],
  isTileInfo: [sample()],
  isStatistics: [statistics],
  isSource: [source],
  isSources: [[source]],
  isCatalog: [{ revision: 1, sources: 1, by_kind: { cells: 1 }, failed: 0, scanning: false, roots: ["a"] }],
  isName: [{ name: "a" }],
  isAbout: [about],
  isColumnInfo: [
    { kind: "category", dtype: "uint8", categories: ["a"], min: null, max: null },
    { kind: "number", dtype: "float32", categories: null, min: 0, max: 1 },
  ],
  isSides: [{ edges: [0, 1], counts: { GC: [1] } }],
  isDegrees: [{ in: { edges: [0], counts: {} }, out: { edges: [0], counts: {} } }],
  isDistances: [{ projections: [{ projection: 0, edges: [0, 1], probability: [null], sampled: false }] }],
  isMatrix: [{ populations: ["GC"], connections: [[1]], probability: [[null]] }],
  isTableHead: [{ rows: 1, columns: [{ name: "a", dtype: "uint32", shape: [1], offset: 0, bytes: 4 }], total: 1 }],
  isDomains: [{ domains: [{ class: "domain", name: "/a.h5" }] }],
  isJob: [{ job: "f00d", state: "running", progress: 0, message: "", result: "r" }],
  isShares: [{ shares: [{ id: "a", source: "b", name: "c", label: "", expires_s: 1, revoked_s: null }] }],
  isSharedLink: [{ fragment: "share=s2", expires_s: 1 }],
  isScope: [{ scope: "admin" }, {}],
  isCommands: [{ last: 1, ended: false, commands: [{ number: 1, cells: false, do: "camera", camera: [1, 2, 3] }] }],
};

/** What the page makes of some of them. */
const used: Record<string, (told: never) => unknown> = {
  isIdentity: (told: Identity) => chosenTissue(told.tissue ?? [], "he"),
  isSource: (told: Source) => [
    catalog.factsOf(told),
    catalog.routeOf(told),
    catalog.pictureOf(told),
    catalog.folderOf(told),
    catalog.arraysWord(told),
    catalog.opensUp(told),
    catalog.bytes(told.size_bytes),
    catalog.when(told.modified, 0),
    catalog.wholeTime(told.modified),
    catalog.tailOf(told.name),
  ],
  isGenes: (told: Genes) => [findGenes(told, "c"), nearGenes(told, "CD3E"), findAll(told, "LYZ, b")],
  isAbout: (told: About) => {
    const frame = frameOf(told.bounds);
    const boxes = told.electrodes ? electrodeBoxes(told.electrodes) : [];
    return [boxLines([...Object.values(told.layers), ...boxes], frame), summary(told, 3, "x", null)];
  },
  isTileInfo: (told: TileInfo) => [
    image.defaultSettings(told).map(({ color }) => image.colorParts(color)),
    image.defaultShown(told),
    image.planeIn(told, image.firstPlane(told)),
    image.volumeSides(told),
    image.volumeLevel(told),
    image.dimensions(told),
    image.titleOf(told, "s"),
    image.positionOf(told, "x", 3),
    toWorld([1, 0, 0, 0, 1, 0], told, pyramidOf(told)),
    spotSize({ matrix: [1, 0, 0, 0, 1, 0], spot: null } as unknown as TissueInfo, told, 10),
    shownOf(told),
  ],
  isStatistics: ({ channels }: { channels: never[] }) =>
    channels.map((one) => [image.autoWindow(one), image.contrastDomain(one, [0, 1])]),
};

const checks = Object.entries(shapes).filter(([, is]) => typeof is === "function") as [
  string,
  (value: unknown) => boolean,
][];

describe("documents of the server", () => {
  it.each(checks)("%s knows a good one, and whatever it takes can be used", (name, is) => {
    const good = known[name] as unknown[];
    for (const one of good) expect(is(JSON.parse(JSON.stringify(one)))).toBe(true);
    expect([null, 1, "x", undefined].some(is)).toBe(false);
    fc.assert(
      fc.property(nearly(...good), (told) => {
        if (is(told)) used[name]?.(told as never);
      }),
      runs(300),
    );
  });

  it.each(Object.entries(shapes.isAnswer))("an answer of %s is refused or taken", (_, is) => {
    fc.assert(
      fc.property(fc.jsonValue(), (told) => is(told) === true || is(told) === false),
      runs(100),
    );
  });

  it("refusals are words", () => {
    const whole = { error: { code: "damaged", message: "X", hint: "Y" } };
    expect(refusalIn(whole)).toEqual(whole.error);
    fc.assert(
      fc.property(nearly(whole), (told) =>
        Object.values(refusalIn(told) ?? {}).every((word) => typeof word === "string"),
      ),
      runs(300),
    );
  });
});

describe("bytes of the server", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("make a table, or an error of ours", () => {
    const head = {
      rows: 2,
      columns: [
        { name: "a", dtype: "uint32", shape: [2], offset: 0, bytes: 8 },
        { name: "b", dtype: "float32", shape: [2], offset: 8, bytes: 8 },
      ],
    };
    fc.assert(
      fc.property(nearly(head), fc.nat(40), fc.nat(12), (told, cut, longer) => {
        const words = (JSON.stringify(told) ?? "").padEnd(8);
        const text = new TextEncoder().encode(words.padEnd(words.length + ((8 - (words.length % 8)) % 8)));
        const body = new Uint8Array(8 + text.length + 16);
        body.set(new TextEncoder().encode("CSTB"));
        new DataView(body.buffer).setUint32(4, text.length + (longer > 9 ? 8 * longer : 0), true);
        body.set(text, 8);
        try {
          const table = readTable(body.slice(0, cut > 20 ? body.length : body.length - cut).buffer);
          expect(table.whole("a").length + (table.numbers("b")?.length ?? 0)).toBeLessThanOrEqual(8);
        } catch (error) {
          expect(error).toBeInstanceOf(ApiError);
        }
      }),
      runs(400),
    );
  });

  it("are as many as were told, or an error of ours; no more than there is room for", async () => {
    vi.stubGlobal("fetch", async () => new Response("[1"));
    for (const expected of [2 ** 52, Number.NaN, -1, 1.5e300]) {
      const refused = await getBytes("x", expected).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(ApiError);
    }
    const refused = await getJson("x", undefined, shapes.isName).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ApiError);
  });
});
