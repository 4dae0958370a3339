import { describe, expect, it } from "vitest";
import type { Source } from "../../api/catalog";
import { Layout, type Line, move, type Spot, same } from "./layout";

function source(arrays: number, status: Source["status"] = "ready"): Source {
  return {
    source_id: "s",
    name: "s",
    source_url: "file:///s",
    source_type: "czi",
    kind: "images",
    status,
    version: "1",
    size_bytes: 1,
    modified: 0,
    indexed_at: 0,
    error: null,
    tensors: Array.from({ length: arrays }, (_, i) => ({
      array_id: `s/${i}`,
      name: `${i}`,
      dim_labels: ["y", "x"],
      shape: [4, 4],
      chunk_shape: [4, 4],
      dtype: "uint8",
    })),
  };
}

function words(line: Line): string {
  if (line.kind === "sources") return `${line.from}-${line.to - 1}`;
  if (line.kind === "arrays") return `${line.index}:${line.from}-${line.to - 1}`;
  return `${line.kind} ${line.index}`;
}

const all = (layout: Layout) => Array.from({ length: layout.length }, (_, i) => words(layout.at(i)));

describe("lines", () => {
  it("of a plain list", () => {
    expect(all(new Layout(5, [], { columns: 2, headings: true }))).toEqual(["0-1", "2-3", "4-4"]);
    expect(new Layout(0, [], { columns: 3, headings: true }).length).toBe(0);
  });

  it("of cards show arrays below the line of their source, under its name", () => {
    const opened = [
      { index: 3, source: source(3) },
      { index: 0, source: source(2) },
      { index: 2, source: source(0, "failed") },
    ];
    expect(all(new Layout(7, opened, { columns: 2, headings: true }))).toEqual([
      "0-1",
      "heading 0",
      "0:0-1",
      "2-3",
      "failure 2",
      "heading 3",
      "3:0-1",
      "3:2-2",
      "4-5",
      "6-6",
    ]);
  });

  it("of a table show one array each, without its source's name", () => {
    const opened = [
      { index: 1, source: source(2) },
      { index: 2, source: source(1) },
    ];
    expect(all(new Layout(3, opened, { columns: 1, headings: false }))).toEqual([
      "0-0",
      "1-1",
      "1:0-0",
      "1:1-1",
      "2-2",
    ]);
  });

  it("find every spot again", () => {
    const opened = [
      { index: 1, source: source(5) },
      { index: 2, source: source(2) },
      { index: 9, source: source(7) },
    ];
    for (const columns of [1, 2, 3]) {
      const layout = new Layout(20, opened, { columns, headings: columns > 1 });
      for (let line = 0; line < layout.length; line += 1) {
        for (const spot of layout.spots(line)) expect(layout.lineOf(spot)).toBe(line);
      }
    }
  });
});

describe("walking", () => {
  const layout = new Layout(7, [{ index: 1, source: source(3) }], { columns: 3, headings: true });
  const at = (index: number, part: number | null = null): Spot => ({ index, part });
  const walk = (keys: string[], from: Spot) =>
    keys.reduce((spot, key) => move(key, spot, layout, 2, true, 7) ?? spot, from);

  it("passes every spot once in reading order, and back", () => {
    const seen: Spot[] = [at(0)];
    for (let next = layout.beside(at(0), 1); !same(next, seen.at(-1) ?? null); next = layout.beside(next, 1)) {
      seen.push(next);
    }
    const order = [at(0), at(1), at(2), at(1, 0), at(1, 1), at(1, 2), at(3), at(4), at(5), at(6)];
    expect(seen).toEqual(order);
    const back = [...order].reverse().map((spot) => layout.beside(spot, -1));
    expect(back).toEqual([...order.slice(0, -1).reverse(), at(0)]);
  });

  it("keeps the column, over names and shorter lines", () => {
    expect(walk(["ArrowDown"], at(2))).toEqual(at(1, 2));
    expect(walk(["ArrowDown", "ArrowDown", "ArrowDown"], at(2))).toEqual(at(6));
    expect(walk(["ArrowUp"], at(3))).toEqual(at(1, 0));
    expect(walk(["ArrowUp"], at(0))).toEqual(at(0));
    expect(walk(["ArrowDown"], at(6))).toEqual(at(6));
  });

  it("leaps by screens and to the ends", () => {
    expect(walk(["PageDown"], at(0))).toEqual(at(3));
    expect(walk(["End"], at(0))).toEqual(at(6));
    expect(walk(["End", "Home"], at(0))).toEqual(at(0));
    expect(move("a", at(0), layout, 2, true, 7)).toBeNull();
    expect(move("ArrowRight", at(0), layout, 2, false, 7)).toBeNull();
  });
});
