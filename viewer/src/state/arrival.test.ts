import { describe, expect, it } from "vitest";
import type { Identity } from "../api/types";
import { permute } from "../data/order";
import { layOut, layOutPart } from "../data/points";
import { codesComeInParts, comesInParts, MANY, milestones } from "./arrival";

const identity = (n: number, orders?: string[]) => ({ stats: { n_cells: n, n_genes: 0 }, orders }) as Identity;

describe("what is shown while it comes", () => {
  it("grows from 100,000 cells fourfold to all of them, each once", () => {
    const due = milestones(5_000_000);
    const shown: number[] = [];
    for (let items = 0; items <= 5_000_000; items += 50_000) if (due(items)) shown.push(items);
    expect(shown).toEqual([100_000, 400_000, 1_600_000, 5_000_000]);
    expect(due(5_000_000)).toBe(false);
  });

  it("skips steps when much comes at once, and always ends with all", () => {
    const due = milestones(1_000_000);
    expect([due(90_000), due(900_000), due(950_000), due(1_000_000)]).toEqual([false, true, false, true]);
    expect(milestones(5)(5)).toBe(true);
  });

  it("is asked for in drawing order only of servers that can, and of many cells", () => {
    expect(comesInParts(identity(MANY, ["drawn"]))).toBe(true);
    expect(comesInParts(identity(MANY))).toBe(false);
    expect(comesInParts(identity(MANY - 1, ["drawn"]))).toBe(false);
    expect(comesInParts(null)).toBe(false);
    expect(codesComeInParts(identity(MANY, ["drawn"]), { dtype: "uint32" } as never)).toBe(false);
  });

  it("lies where it lies when all comes at once, in the file's order", () => {
    for (const [n, dimensions] of [
      [101, 1],
      [1000, 2],
      [77, 3],
    ] as const) {
      const coordinates = Float32Array.from({ length: n * dimensions }, (_, i) => Math.sin(i));
      coordinates[5] = Number.NaN;
      const whole = layOut(coordinates, n, dimensions);
      const drawn = permute(coordinates, n, dimensions, new Float32Array(n * dimensions));
      const cut = 40 * dimensions;
      const parts = [
        layOutPart(drawn.slice(0, cut), n, dimensions, 0),
        layOutPart(drawn.slice(cut), n, dimensions, 40),
      ];
      expect(parts.flatMap(({ positions }) => Array.from(positions))).toEqual(Array.from(whole.positions));
      expect(parts.reduce((sum, { nowhere }) => sum + nowhere, 0)).toBe(whole.nowhere);
    }
  });
});
