/** What a person makes of the cells, with the real worker: filters, groups, history. */

import { describe, expect, it } from "vitest";
import { bitsFor, members } from "../data/bits";
import { codes, depth, field, gene, kinds, m, N, now, range, setOf, settled, shown } from "./hundred";

describe("the stack of filters", () => {
  it("adds up, and stays when the colour changes", async () => {
    const made = await m.addFilter(field);
    if (!made) throw new Error("no filter");
    expect(shown()).toBe(N);
    m.amend(made.id, { by: range(field, 2, null) });
    await m.sift();
    const deep = Array.from(depth).filter((v) => v >= 2).length;
    expect(shown()).toBe(deep);
    expect(now().kept[made.id]).toBe(deep);
    await m.paint(gene);
    await m.sift();
    expect([shown(), now().painted.key, now().hidden]).toEqual([deep, "gene:Q", null]);
    expect(await m.addFilter(field)).toBe(now().filters[0]);
  });

  it("takes what the legend hides, and gives it back to the legend", async () => {
    expect(now().painted.key).toBe("field:kind");
    m.hide(Uint8Array.from([1, 0, 0, 1]));
    await m.sift();
    expect(now().filters.map((f) => f.by.kind)).toEqual(["category"]);
    const left = codes.filter((c) => c === 1 || c === 2).length;
    expect(shown()).toBe(left);
    await m.paint(field);
    expect([now().hidden, now().filters.length]).toEqual([null, 1]);
    await m.sift();
    expect(shown()).toBe(left);
    await m.paint(kinds);
    expect(Array.from(now().hidden ?? [])).toEqual([1, 0, 0, 1]);
    m.hide(null);
    await m.sift();
    expect([now().filters.length, shown()]).toEqual([0, N]);
  });

  it("lets only passing cells be selected", async () => {
    m.hide(Uint8Array.from([1, 0, 0, 0]));
    await m.sift();
    await m.select({ kind: "shown" }, "replace");
    expect(now().selection?.count).toBe(shown());
    await m.select({ kind: "set", cells: setOf(0, 1, 2) }, "replace");
    expect(members(now().selection?.cells ?? bitsFor(0))).toEqual([1, 2]);
  });

  it("switches a filter off whose values cannot be had, and says so", async () => {
    const gone = { kind: "gene", index: 9, key: "none", expression: "X" } as const;
    await m.setFilters([
      { id: "1", on: true, by: range(field, 5, null) },
      { id: "2", on: true, by: { kind: "range", of: gone, min: 1, max: null, missing: false } },
    ]);
    expect(now().filters.map((f) => f.on)).toEqual([true, false]);
    expect(now().error?.status).toBe(404);
    expect(shown()).toBe(Array.from(depth).filter((v) => v >= 5).length);
  });
});

describe("undo and redo", () => {
  it("go through selections, groups and filters, one step for each act", async () => {
    await m.select({ kind: "cells", cells: [3, 4] }, "replace");
    m.keepSelection();
    m.hide(Uint8Array.from([1, 0, 0, 0]));
    await m.sift();
    m.unselect();
    const state = () => [now().selection?.count ?? 0, now().groups.length, shown()];
    const hidden = shown();
    expect(m.useHistory.getState()).toEqual({ past: 4, future: 0 });
    const seen = [state()];
    for (let i = 0; i < 4; i += 1) {
      m.undo();
      await m.sift();
      seen.push(state());
    }
    expect(seen).toEqual([
      [0, 1, hidden],
      [2, 1, hidden],
      [2, 1, N],
      [2, 0, N],
      [0, 0, N],
    ]);
    m.undo();
    for (let i = 0; i < 9; i += 1) m.redo();
    await m.sift();
    expect(state()).toEqual([0, 1, hidden]);
    m.undo();
    await m.sift();
    // The worker knows the selection that came back.
    await m.select({ kind: "cells", cells: [5] }, "add");
    expect(members(now().selection?.cells ?? bitsFor(0))).toEqual([3, 4, 5]);
    expect(m.useHistory.getState().future).toBe(0);
  });

  it("take a drag as one step", async () => {
    const made = await m.addFilter(field);
    if (!made) throw new Error("no filter");
    for (const drag of ["one", "two"]) {
      for (let i = 1; i < 6; i += 1) m.amend(made.id, { by: range(field, i, null) }, drag);
    }
    expect(m.useHistory.getState().past).toBe(3);
    m.undo();
    m.undo();
    expect(now().filters[0]?.by).toMatchObject({ min: null });
  });

  it("share sets of cells and forget the oldest steps", async () => {
    const group = m.keep(setOf(1, 2, 3));
    for (let i = 0; i < 150; i += 1) m.change(group?.id ?? "", { name: `name ${i}` });
    expect(m.useHistory.getState().past).toBe(100);
    const steps = Array.from({ length: 50 }, () => ({ selection: null, groups: now().groups, filters: [] }));
    expect(m.bytesOf(steps)).toBe(bitsFor(N).byteLength);
  });

  it("end with the data set", async () => {
    m.keep(setOf(1));
    m.leave();
    expect(m.useHistory.getState()).toEqual({ past: 0, future: 0 });
    m.undo();
    expect(now().groups).toEqual([]);
  });
});

describe("groups", () => {
  it("are combined into new ones, and into the selection", async () => {
    const a = m.keep(setOf(1, 2, 3), "A");
    const b = m.keep(setOf(3, 4), "B");
    if (!a || !b) throw new Error("no groups");
    expect(new Set(now().groups.map((g) => g.color)).size).toBe(2);
    expect(members(m.combine(a, b, "union")?.cells ?? bitsFor(0))).toEqual([1, 2, 3, 4]);
    expect(members(m.combine(a, b, "intersection")?.cells ?? bitsFor(0))).toEqual([3]);
    expect(m.combine(a, b, "difference")).toMatchObject({ name: "A without B", count: 2 });
    expect(m.combine(b, b, "difference")).toBeNull();
    expect(now().notice).toContain("no cell");
    const selected = () => members(now().selection?.cells ?? bitsFor(N));
    await m.selectGroup(a, "replace");
    await m.selectGroup(b, "meet");
    expect(selected()).toEqual([3]);
    await m.selectGroup(a, "add");
    await m.selectGroup(b, "remove");
    expect(selected()).toEqual([1, 2]);
    await m.selectOthers(a);
    expect(selected()).toEqual(Array.from({ length: N }, (_, i) => i).filter((i) => i < 1 || i > 3));
  });

  it("are drawn in their colours while they are shown", async () => {
    const group = m.keep(setOf(1, 2, 3), "A");
    await settled();
    expect(now().marks?.colors).toEqual([group?.color]);
    expect(now().marks?.codes.reduce((sum, code) => sum + code, 0)).toBe(3);
    m.change(group?.id ?? "", { shown: false });
    await settled();
    expect(now().marks).toBeNull();
  });

  it("need something to be selected", () => {
    expect(m.keepSelection()).toBeNull();
    expect(now().notice).toContain("Select some cells");
  });
});
