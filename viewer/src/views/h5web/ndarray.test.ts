import { describe, expect, it } from "vitest";
import ndarray, { assign } from "./ndarray";

const cube = ndarray(
  Float32Array.from({ length: 24 }, (_, i) => i),
  [2, 3, 4],
);

describe("arrays without program text made at run time", () => {
  it("finds values in C order", () => {
    expect(cube.stride).toEqual([12, 4, 1]);
    expect(cube.get(1, 2, 3)).toBe(23);
    expect(cube.dtype).toBe("float32");
    expect(ndarray([7], []).get()).toBe(7);
    expect(ndarray([1, 2, 3]).shape).toEqual([3]);
  });

  it("picks a plane, also at place 0", () => {
    const plane = cube.pick(0, null, null);
    expect(plane.shape).toEqual([3, 4]);
    expect(plane.get(2, 1)).toBe(9);
    expect(cube.pick(1, null, 2).shape).toEqual([3]);
    expect(cube.pick(1, null, 2).get(2)).toBe(22);
    expect(cube.pick().shape).toEqual([2, 3, 4]);
  });

  it("turns a plane and copies it in its new order", () => {
    const turned = cube.pick(1, null, null).transpose(1, 0);
    expect(turned.shape).toEqual([4, 3]);
    const copy = ndarray(new Float32Array(12), [4, 3]);
    assign(copy, turned);
    expect(Array.from(copy.data as Float32Array)).toEqual([12, 16, 20, 13, 17, 21, 14, 18, 22, 15, 19, 23]);
  });

  it("copies nothing of an empty array", () => {
    const empty = ndarray([], [0, 3]);
    assign(empty, ndarray([], [0, 3]));
    expect(empty.size).toBe(0);
    expect(empty.data.length).toBe(0);
  });

  it("writes values", () => {
    const own = ndarray(["a", "b", "c", "d"], [2, 2]);
    own.set(1, 0, "x");
    expect(own.data).toEqual(["a", "b", "x", "d"]);
  });
});
