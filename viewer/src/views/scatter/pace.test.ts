import { describe, expect, it } from "vitest";
import { BUDGET_MS, FEWEST, Pace, UNKNOWN } from "./pace";

const MANY = 5_000_000;

describe("how many points a frame draws", () => {
  it("is a guess at first, and never more than there are", () => {
    expect(new Pace().moving(MANY)).toBe(UNKNOWN);
    expect(new Pace().moving(700)).toBe(700);
    expect(new Pace().resting(700, 0)).toBe(700);
  });

  it("is all of them on a fast machine, also while the camera moves", () => {
    const pace = new Pace();
    pace.learn(UNKNOWN, 1);
    expect(pace.moving(MANY)).toBe(MANY);
    expect(pace.resting(MANY, 0)).toBe(MANY);
  });

  it("fits the budget on a slow one, and grows at rest by steps until all are there", () => {
    const pace = new Pace();
    pace.learn(MANY, 5_000);
    const moving = pace.moving(MANY);
    expect(moving).toBe(FEWEST);
    const steps: number[] = [];
    while ((steps.at(-1) ?? 0) < MANY) steps.push(pace.resting(MANY, steps.at(-1) ?? moving));
    expect(steps[0]).toBe(4 * moving);
    expect(steps.at(-1)).toBe(MANY);
    expect(steps.length).toBeLessThan(6);
  });

  it("follows what it measures, by leaps", () => {
    const pace = new Pace();
    pace.learn(1_000_000, 200);
    const first = pace.moving(MANY);
    expect(first * (200 / 1_000_000)).toBeCloseTo(BUDGET_MS);
    pace.learn(1_000_000, 205);
    expect(pace.moving(MANY)).toBe(first);
    for (let i = 0; i < 20; i += 1) pace.learn(1_000_000, 50);
    expect(pace.moving(MANY)).toBeGreaterThan(3 * first);
  });

  it("learns nothing from frames of a few points", () => {
    const pace = new Pace();
    pace.learn(100, 30);
    expect(pace.moving(MANY)).toBe(UNKNOWN);
  });
});
