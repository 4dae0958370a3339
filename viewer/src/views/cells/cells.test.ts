import { describe, expect, it } from "vitest";
import type { Identity } from "../../api/types";
import { layoutOf } from "./layout";
import { extended, modeOf } from "./pointer";

const bare = { tissue: [] as unknown } as Identity;
const held = { tissue: [{ name: "a" }] as unknown } as Identity;

describe("which views are shown", () => {
  it("is the embedding alone where there is no tissue, whatever a link says", () => {
    for (const layout of [null, "tissue", "both"] as const) {
      expect(layoutOf(bare, layout, false)).toBe("embedding");
      expect(layoutOf(null, layout, false)).toBe("embedding");
    }
  });

  it("is both where there is room, one on a phone", () => {
    expect([layoutOf(held, null, false), layoutOf(held, null, true)]).toEqual(["both", "embedding"]);
    expect([layoutOf(held, "both", true), layoutOf(held, "tissue", true)]).toEqual(["embedding", "tissue"]);
    expect(layoutOf(held, "embedding", false)).toBe("embedding");
  });
});

describe("drawing an outline", () => {
  it("takes corners that are some pixels apart", () => {
    const lasso = { tool: "lasso" as const, corners: [0, 0] };
    expect(extended(lasso, 1, 1)).toEqual([0, 0]);
    expect(extended(lasso, 10, 0)).toEqual([0, 0, 10, 0]);
  });

  it("spans a rectangle from where it began", () => {
    expect(extended({ tool: "rectangle", corners: [10, 20] }, 5, 40)).toEqual([10, 20, 5, 20, 5, 40, 10, 40]);
  });

  it("adds with Shift, takes away with Alt, and keeps what is in both with both", () => {
    const keys = (shiftKey: boolean, altKey: boolean) => modeOf({ shiftKey, altKey });
    expect([keys(false, false), keys(true, false), keys(false, true)]).toEqual(["replace", "add", "remove"]);
    expect(keys(true, true)).toBe("meet");
  });
});
