import { describe, expect, it } from "vitest";
import { cellAt } from "../../data/order";
import { FAR, NOWHERE } from "../../data/points";
import {
  type About,
  boxLines,
  DEFAULT_EDGES,
  edgeAlpha,
  edgeLines,
  electrodeBoxes,
  frameOf,
  gidOf,
  inFrame,
  lengthWords,
  nice,
  type Population,
  readLinked,
  readTable,
  rowOf,
  scaleBar,
  spokes,
  summary,
  writeLinked,
} from "./model";

const POPULATIONS: Population[] = [
  { name: "PYR", number: 1, start: 0, count: 3, offset: 0 },
  { name: "PVBC", number: 2, start: 10, count: 2, offset: 3 },
];

/** A body as the server writes it. */
function body(header: object, values: number[][]): ArrayBuffer {
  const text = JSON.stringify(header);
  const padded = text.padEnd(text.length + (-(text.length + 8) & 7));
  const bytes = new Uint8Array(8 + padded.length + values.length * 8);
  bytes.set(new TextEncoder().encode("CSTB"));
  new DataView(bytes.buffer).setUint32(4, padded.length, true);
  bytes.set(new TextEncoder().encode(padded), 8);
  values.forEach((column, i) => {
    new Uint32Array(bytes.buffer, 8 + padded.length + i * 8, 2).set(column);
  });
  return bytes.buffer;
}

describe("tables", () => {
  it("are looked at where they lie", () => {
    const columns = [
      { name: "source", dtype: "uint32", shape: [2], offset: 0, bytes: 8 },
      { name: "destination", dtype: "uint32", shape: [2], offset: 8, bytes: 8 },
    ];
    const table = readTable(
      body({ rows: 2, columns, total: 900 }, [
        [1, 2],
        [3, 4],
      ]),
    );
    expect([table.rows, table.total]).toEqual([2, 900]);
    expect(Array.from(table.whole("destination"))).toEqual([3, 4]);
    expect(table.numbers("weight")).toBeNull();
  });

  it("are refused when they are something else", () => {
    expect(() => readTable(new TextEncoder().encode("<html></html>").buffer as ArrayBuffer)).toThrow("no table");
    expect(() => readTable(new ArrayBuffer(0))).toThrow("no table");
  });
});

describe("gids and rows", () => {
  it("agree where gids are left out", () => {
    expect([0, 2, 10, 11].map((gid) => rowOf(POPULATIONS, gid))).toEqual([0, 2, 3, 4]);
    expect([0, 2, 3, 4].map((row) => gidOf(POPULATIONS, row))).toEqual([0, 2, 10, 11]);
    expect([3, 9, 12].map((gid) => rowOf(POPULATIONS, gid))).toEqual([-1, -1, -1]);
  });
});

describe("places", () => {
  const frame = frameOf([
    [0, 0, 0],
    [1000, 500, 10],
  ]);

  it("lie within -1 and 1, all axes alike", () => {
    const places = inFrame(Float32Array.from([0, 0, 0, 1000, 500, 10]), frame);
    expect(Array.from(places).map((v) => Number(v.toFixed(3)))).toEqual([-1, -0.5, -0.01, 1, 0.5, 0.01]);
  });

  it("are far away where nobody knows them", () => {
    const places = inFrame(Float32Array.from([1, Number.NaN, 1]), frame);
    expect(places[0]).toBeGreaterThan(FAR);
  });

  it("survive a network without extent", () => {
    expect(frameOf(null).scale).toBe(1);
    const point = frameOf([
      [5, 5, 5],
      [5, 5, 5],
    ]);
    expect(Array.from(inFrame(Float32Array.from([5, 5, 5]), point))).toEqual([0, 0, 0]);
  });

  it("make twelve edges of a box", () => {
    const lines = boxLines(
      [
        [
          [0, 0, 0],
          [1000, 500, 10],
        ],
      ],
      frame,
    );
    expect(lines.length).toBe(12 * 2 * 3);
    for (let line = 0; line < 12; line += 1) {
      const differing = [0, 1, 2].filter((k) => lines[line * 6 + k] !== lines[line * 6 + 3 + k]);
      expect(differing.length).toBe(1);
    }
  });

  it("give electrodes a size by how far apart they are", () => {
    const boxes = electrodeBoxes({
      coordinates: [
        [0, 0, 0, 0],
        [1, 100, 0, 0],
      ],
    });
    expect(boxes[1]).toEqual([
      [90, -10, -10],
      [110, 10, 10],
    ]);
    expect(electrodeBoxes({ coordinates: [] })).toEqual([]);
  });
});

describe("connections", () => {
  const places = Float32Array.from([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, NOWHERE, NOWHERE, NOWHERE]);

  it("lead from source to destination, with the source's population as colour", () => {
    const sources = Uint32Array.from([0, 10, 2]);
    const { positions, codes } = edgeLines(places, sources, Uint32Array.from([2, 1, 10]), POPULATIONS);
    const lines = [0, 1, 2].map((place) => ({
      edge: cellAt(place, 3),
      ends: [positions[place * 6], positions[place * 6 + 3]],
      code: codes[place * 2],
    }));
    lines.sort((a, b) => a.edge - b.edge);
    expect(lines.map((l) => l.ends)).toEqual([
      [0, 2],
      [3, 1],
      [2, 3],
    ]);
    expect(lines.map((l) => l.code)).toEqual([0, 1, 0]);
  });

  it("are not drawn to what is nowhere", () => {
    const { positions } = edgeLines(places, Uint32Array.from([11]), Uint32Array.from([0]), POPULATIONS);
    expect(positions.every((value) => value > FAR)).toBe(true);
    expect(spokes(places, 0, [4, -1]).every((value) => value > FAR)).toBe(true);
    expect(Array.from(spokes(places, 0, [3]))).toEqual([0, 0, 0, 3, 3, 3]);
  });

  it("are fainter the more there are", () => {
    expect(edgeAlpha(200)).toBe(0.5);
    expect(edgeAlpha(20_000)).toBeLessThan(edgeAlpha(2_000));
    expect(edgeAlpha(1_000_000)).toBeGreaterThan(0);
  });
});

describe("the bar", () => {
  it("has a round length", () => {
    expect([nice(7), nice(49), nice(0.3), nice(1)]).toEqual([5, 20, 0.2, 1]);
    const { um, px } = scaleBar(8, { middle: [0, 0, 0], scale: 2 / 1000 });
    expect(um).toBe(200);
    expect(px).toBeCloseTo(200 * 0.002 * 256);
  });

  it("tells its unit", () => {
    expect([lengthWords(200), lengthWords(1500), lengthWords(9.974)]).toEqual(["200 µm", "1.5 mm", "9.97 µm"]);
  });
});

describe("the link", () => {
  it("is read back as it was written", () => {
    const linked = {
      color: "in-degree",
      gid: 12,
      edges: 200_000,
      camera: [0, 0, 0, 1.5, 25, 35],
      without: ["box"],
      weight: "Synapses/weight",
      cmap: "magma",
      hidden: [0, 1, 2, 7],
    };
    const query = new URLSearchParams(
      Object.entries(writeLinked(linked)).filter((pair): pair is [string, string] => pair[1] !== null),
    );
    expect(readLinked(`?${query}`)).toEqual(linked);
  });

  it("leaves out what goes without saying, and takes nothing that it does not know", () => {
    const nothing = readLinked("?gid=x&edges=7&camera=1,2&without=walls");
    expect(nothing).toEqual({
      color: null,
      gid: null,
      edges: DEFAULT_EDGES,
      camera: null,
      without: [],
      weight: null,
      cmap: null,
      hidden: [],
    });
    expect(Object.values(writeLinked(nothing)).every((value) => value === null)).toBe(true);
  });
});

it("says in words what is drawn", () => {
  const about = { neurons: 5, edges: 9000, populations: POPULATIONS } as About;
  expect(summary(about, 2000, "population", 3)).toBe(
    "Network of 5 neurons in 3D: 3 PYR, 2 PVBC; coloured by population; 2,000 of 9,000 connections drawn; neuron 3 is chosen",
  );
});
