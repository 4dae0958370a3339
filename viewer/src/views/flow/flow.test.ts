import { describe, expect, it } from "vitest";
import { bitsFor, put } from "../../data/bits";
import { NOWHERE } from "../../data/points";
import { arrowsOf, at, gridOf } from "./grid";
import { Particles } from "./particles";

/** Cells on a lattice, all drifting alike. */
function cells(u: number, v: number, side = 20) {
  const positions: number[] = [];
  const vectors: number[] = [];
  for (let i = 0; i < side * side; i += 1) {
    positions.push(((i % side) / (side - 1)) * 2 - 1, (Math.floor(i / side) / (side - 1)) * 2 - 1, 0);
    vectors.push(u, v);
  }
  return { positions: Float32Array.from(positions), vectors: Float32Array.from(vectors), passing: null };
}

describe("the grid of a field", () => {
  it("has the mean of the cells around each node", () => {
    const grid = gridOf(cells(0.5, -0.25), 11);
    expect(grid.known.every((k) => k === 1)).toBe(true);
    expect(grid.strong).toBeCloseTo(Math.hypot(0.5, 0.25));
    expect(at(grid, 0.13, -0.4)?.map((v) => Number(v.toFixed(5)))).toEqual([0.5, -0.25]);
  });

  it("takes no cell that is nowhere, has no vector, or does not pass", () => {
    const odd = cells(1, 0);
    odd.positions.fill(NOWHERE, 0, 3);
    odd.vectors[3] = Number.NaN;
    expect(gridOf(odd, 11).strong).toBeCloseTo(1);
    const passing = bitsFor(400);
    for (let i = 0; i < 5; i += 1) put(passing, i);
    const few = gridOf({ ...cells(1, 0), passing }, 11);
    expect(few.known.reduce((sum, k) => sum + k, 0)).toBeLessThan(8);
    expect(at(few, 0.9, 0.9)).toBeNull();
  });

  it("knows nothing where there is nothing", () => {
    const none = gridOf({ positions: new Float32Array(0), vectors: new Float32Array(0), passing: null }, 5);
    expect([none.strong, arrowsOf(none).from.length]).toEqual([0, 0]);
  });

  it("becomes arrows that point along it and end in barbs", () => {
    const { from, to } = arrowsOf(gridOf(cells(0.5, 0), 5));
    expect(from.length).toBe(25 * 3 * 3);
    for (let arrow = 0; arrow < 25; arrow += 1) {
      const shaft = arrow * 9;
      const [x0 = 0, y0 = 0, x1 = 0, y1 = 0] = [from[shaft], from[shaft + 1], to[shaft], to[shaft + 1]];
      expect(x1 - x0).toBeCloseTo(0.5);
      expect(y1).toBeCloseTo(y0);
      for (const barb of [shaft + 3, shaft + 6]) {
        expect(from[barb]).toBeCloseTo(x1);
        expect(to[barb]).toBeLessThan(x1);
      }
    }
  });
});

describe("particles", () => {
  it("drift along the field, and begin anew where it ends", () => {
    let seed = 1;
    const random = () => {
      seed = (seed * 16807) % 2147483647;
      return seed / 2147483647;
    };
    const particles = new Particles(gridOf(cells(0.5, 0), 11), 200, random);
    const moved = { right: 0, level: 0 };
    for (let step = 0; step < 200; step += 1) {
      particles.step(0.02);
      for (let i = 0; i < 200; i += 1) {
        if ((particles.x[i] ?? 0) > (particles.fromX[i] ?? 0)) moved.right += 1;
        expect(particles.x[i]).toBeGreaterThanOrEqual(particles.fromX[i] ?? 0);
        if (Math.abs((particles.y[i] ?? 0) - (particles.fromY[i] ?? 0)) < 1e-6) moved.level += 1;
        expect(Math.abs(particles.x[i] ?? 0)).toBeLessThan(1.3);
      }
    }
    expect(moved.level).toBe(40_000);
    expect(moved.right).toBeGreaterThan(35_000);
  });
});
