import { describe, expect, it } from "vitest";
import type { Genes } from "../../api/types";
import { MOST_ROWS, orderOf } from "./cluster";
import { placeLabels, type Room } from "./labels";
import { findAll, readGmt, wordsOf } from "./lists";
import { colorAt, domainOf, standardised } from "./scales";
import { fileName, sortedBy, toCsv } from "./table";
import { cloudOf, nearestTo, sideOf, significant } from "./volcano";

const GENES: Genes = {
  expression: "X",
  names: ["ENSG1", "ENSG2", "ENSG3", "ENSG4", "HLA-DRA", "Il2ra"],
  symbols: ["CD3E", "CST3", "TBCE", "TBCE", "HLA DRA", "IL2RA"],
  values: "genes/{index}.values.f32",
};

describe("pasted lists of genes", () => {
  it("takes lines, commas, semicolons, tabulators and spaces", () => {
    expect(findAll(GENES, "CD3E, CST3;\tHLA-DRA\nENSG1\r\n").genes).toEqual([0, 1, 4]);
    expect(findAll(GENES, "CD3E CST3").genes).toEqual([0, 1]);
    expect(findAll(GENES, `"CD3E" 'CST3'`).genes).toEqual([0, 1]);
  });

  it("keeps a name with a space whole when there is such a gene", () => {
    expect(findAll(GENES, "HLA DRA, CD3E").genes).toEqual([4, 0]);
  });

  it("prefers what is written to what only sounds alike", () => {
    expect(findAll(GENES, "il2ra").genes).toEqual([5]);
    expect(findAll(GENES, "cst3").genes).toEqual([1]);
  });

  it("names what is unknown and what is ambiguous", () => {
    const found = findAll(GENES, "NOPE, TBCE, CD3E, NOPE");
    expect(found).toEqual({ genes: [2, 0], unknown: ["NOPE"], shared: ["TBCE"] });
    expect(wordsOf(found)).toBe("Not among the genes: NOPE. Several genes are called TBCE; the first was taken.");
    expect(wordsOf({ genes: [], unknown: Array.from({ length: 11 }, (_, i) => `g${i}`), shared: [] })).toContain(
      "3 more",
    );
  });
});

describe("files of gene sets", () => {
  it("are read line by line", () => {
    const text =
      "\uFEFF# made by hand\nT cells\thttp://x\tCD3E\tCD8A\t\r\n\r\nB cells\tna\tMS4A1\nbroken\n\tno name\tA\n";
    expect(readGmt(text)).toEqual({
      sets: [
        { name: "T cells", description: "http://x", genes: ["CD3E", "CD8A"] },
        { name: "B cells", description: "na", genes: ["MS4A1"] },
      ],
      bad: [5, 6],
    });
  });
});

describe("the order of rows", () => {
  it("puts like beside like", () => {
    const rows = [0, 10, 0.1, 10.1, 5, 0.2].map((v) => [v, v]);
    const order = orderOf(rows);
    expect([...order].sort()).toEqual([0, 1, 2, 3, 4, 5]);
    const at = (row: number) => order.indexOf(row);
    expect(Math.abs(at(1) - at(3))).toBe(1);
    expect(Math.max(at(0), at(2), at(5)) - Math.min(at(0), at(2), at(5))).toBe(2);
  });

  it("is that of a line of points", () => {
    // Steps that differ, so that there is only one tree.
    const place = [7, 1, 12, 3, 40, 0, 20];
    const order = orderOf(place.map((x) => [x]));
    const walked = order.map((row) => place[row]);
    const up = [...place].sort((a, b) => a - b);
    expect([up, up.toReversed()]).toContainEqual(walked);
  });

  it("keeps equal rows, missing numbers, few rows and too many", () => {
    expect(orderOf([[1], [1], [1], [1]]).sort()).toEqual([0, 1, 2, 3]);
    expect(orderOf([[null], [null], [null]]).sort()).toEqual([0, 1, 2]);
    expect(orderOf([[0], [9]])).toEqual([0, 1]);
    expect(orderOf([])).toEqual([]);
    const many = Array.from({ length: MOST_ROWS + 1 }, (_, i) => [i % 7]);
    expect(orderOf(many)).toEqual(many.map((_, i) => i));
  });
});

describe("tables", () => {
  it("are written so that programs read them", () => {
    const text = toCsv(
      ["gene", "p"],
      [
        ["a,b", 1e-300],
        ['say "x"', null],
        ["line\nbreak", Number.NaN],
      ],
    );
    expect(text).toBe('gene,p\r\n"a,b",1e-300\r\n"say ""x""",\r\n"line\nbreak",\r\n');
  });

  it("hold no formulas, and every other name as it is", () => {
    const names = ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", '-HYPERLINK("x")', "-1", "+", "-T", "HLA-A", "a=b"];
    expect(
      toCsv(
        ["n"],
        names.map((name) => [name]),
      )
        .split("\r\n")
        .slice(1, -1),
    ).toEqual(["'=1+1", "'@SUM(A1)", "'+cmd|' /C calc'!A0", `"'-HYPERLINK(""x"")"`, "-1", "+", "-T", "HLA-A", "a=b"]);
    expect(toCsv(["n"], [[-1.5]])).toBe("n\r\n-1.5\r\n");
  });

  it("are sorted with missing numbers last, either way", () => {
    const values = [2, Number.NaN, 1, 3];
    expect([...sortedBy(4, (i) => values[i] ?? null, false)]).toEqual([2, 0, 3, 1]);
    expect([...sortedBy(4, (i) => values[i] ?? null, true)]).toEqual([3, 0, 2, 1]);
    const names = ["b", "a", "C"];
    expect([...sortedBy(3, (i) => names[i] ?? null, false)]).toEqual([1, 0, 2]);
  });

  it("get names that files can have", () => {
    expect(fileName("genes", "CD4+/CD25 T Reg", "vs rest")).toBe("genes-CD4+-CD25-T-Reg-vs-rest");
    expect(fileName("/../")).toBe("table");
  });
});

describe("labels", () => {
  const room: Room = { width: 200, height: 100, lineHeight: 12, textWidth: (text) => text.length * 6 };

  it("stay in the room, beside their points, and off each other", () => {
    const anchors = Array.from({ length: 30 }, (_, i) => ({ x: (i * 37) % 200, y: (i * 23) % 100, text: `gene${i}` }));
    const labels = placeLabels(anchors, room);
    expect(labels.length).toBeGreaterThan(8);
    for (const [i, a] of labels.entries()) {
      expect(a.left).toBeGreaterThanOrEqual(0);
      expect(a.left + a.width).toBeLessThanOrEqual(room.width);
      for (const b of labels.slice(0, i)) {
        const apart = Math.abs(a.middle - b.middle) >= 12 || a.left >= b.left + b.width || b.left >= a.left + a.width;
        expect(apart).toBe(true);
      }
    }
  });

  it("leaves out what has no place", () => {
    const same = Array.from({ length: 50 }, (_, i) => ({ x: 100, y: 50, text: `g${i}` }));
    const labels = placeLabels(same, room);
    expect(labels.length).toBeLessThan(50);
    expect(labels[0]).toMatchObject({ text: "g0", left: 105, middle: 50, led: false });
  });
});

describe("grids of numbers", () => {
  it("are made comparable within each gene", () => {
    const grid = [
      [1, 3, null],
      [5, 5, 5],
    ];
    expect(standardised(grid, "none")).toBe(grid);
    expect(standardised(grid, "unit")).toEqual([
      [0, 1, null],
      [0, 0, 0],
    ]);
    const z = standardised(grid, "z");
    expect(z[0]?.[0]).toBeCloseTo(-Math.SQRT1_2);
    expect(z[1]).toEqual([0, 0, 0]);
  });

  it("have ends of colours that say what they mean", () => {
    expect(domainOf([[1, 4, null]], "none")).toEqual([0, 4]);
    expect(domainOf([[-2, 4]], "none")).toEqual([-2, 4]);
    expect(domainOf([[-2, 1]], "z")).toEqual([-2, 2]);
    expect(domainOf([[0, 0]], "none")).toEqual([0, 1]);
    expect(domainOf([], "none")).toEqual([0, 1]);
    expect(colorAt(null, [0, 1], "viridis")).toBe("rgb(158, 158, 158)");
    expect(colorAt(9, [0, 1], "viridis")).toBe(colorAt(1, [0, 1], "viridis"));
  });
});

describe("the volcano", () => {
  const tested = {
    change: Float64Array.of(2, -3, 0.1, Number.NaN, 4, 1.5),
    alone: new Uint8Array(6),
    log10: Float64Array.of(-10, -4, -0.3, Number.NaN, Number.NEGATIVE_INFINITY, -0.7),
  };

  it("lays genes out, and draws what was rounded to 0 on its edge", () => {
    const cloud = cloudOf(tested);
    expect(cloud.reach).toBe(4);
    expect(cloud.y[0]).toBe(10);
    expect([cloud.beyond, cloud.left]).toEqual([1, 1]);
    expect(cloud.y[4]).toBe(cloud.top);
    expect(cloud.top).toBeGreaterThan(10);
    expect(cloudOf({ change: Float64Array.of(), log10: Float64Array.of(), alone: Uint8Array.of() })).toMatchObject({
      reach: 1,
      beyond: 0,
    });
  });

  it("keeps genes of one side only from stretching it", () => {
    const cloud = cloudOf({
      change: Float64Array.of(2, -30, 31),
      log10: Float64Array.of(-1, -2, -3),
      alone: Uint8Array.of(0, 1, 1),
    });
    expect(cloud.alone).toBe(2);
    expect(cloud.reach).toBeCloseTo(2.12);
    expect([...cloud.x]).toEqual([2, -cloud.reach, cloud.reach]);
  });

  it("parts genes by both limits", () => {
    const limits = { change: 1, p: 0.05 };
    expect(significant(tested, limits)).toEqual({ up: [4, 0], down: [1] });
    expect(sideOf(2, -1, limits)).toBe(0);
    expect(sideOf(2, Math.log10(0.05), limits)).toBe(1);
    expect(sideOf(Number.NaN, Number.NaN, { change: 0, p: 1 })).toBe(0);
  });

  it("finds the gene under the pointer", () => {
    const cloud = cloudOf(tested);
    const place = (i: number): [number, number] => [(cloud.x[i] as number) * 10, cloud.y[i] as number];
    expect(nearestTo(cloud, place, [21, 11], 5)).toBe(0);
    expect(nearestTo(cloud, place, [500, 500], 5)).toBe(-1);
  });
});
