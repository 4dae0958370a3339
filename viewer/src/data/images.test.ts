import { describe, expect, it } from "vitest";
import { labelColor } from "./labels";
import { drawable, fromHalf, gpuType, nativeView, toGpu, toIds, typeRange, valueAt } from "./pixels";
import { duration, measured, nice, scaleBar } from "./units";
import { toHalf, toVoxels } from "./voxels";

describe("pixels", () => {
  it("reach the GPU with the values of the file, whatever their type", () => {
    const cases: [string, ArrayBuffer, number[]][] = [
      ["uint16", Uint16Array.of(0, 65_535).buffer, [0, 65_535]],
      ["int16", Int16Array.of(-5, 7).buffer, [-5, 7]],
      ["float64", Float64Array.of(0.5, -2).buffer, [0.5, -2]],
      ["int64", BigInt64Array.of(-3n, 2n ** 40n).buffer, [-3, 2 ** 40]],
      ["uint64", BigUint64Array.of(3n, 9n).buffer, [3, 9]],
      ["float16", Uint16Array.of(0x3c00, 0xc000, 0x0001).buffer, [1, -2, 2 ** -24]],
      ["bool", Uint8Array.of(0, 1).buffer, [0, 1]],
    ];
    for (const [dtype, bytes, expected] of cases) {
      const native = nativeView(bytes, dtype);
      const sent = toGpu(native, dtype);
      expect(Array.from(sent), dtype).toEqual(expected);
      expect(sent.constructor.name, dtype).toBe(`${gpuType(dtype)}Array`);
      expected.forEach((value, i) => {
        expect(Number(valueAt(native, i, dtype)), dtype).toBe(value);
      });
    }
  });

  it("keep all digits of 64 bits where a person reads them", () => {
    const native = nativeView(BigUint64Array.of(2n ** 63n + 1n).buffer, "uint64");
    expect(valueAt(native, 0, "uint64")).toBe(9_223_372_036_854_775_809n);
  });

  it("are not copied when the GPU takes them as they are", () => {
    const native = nativeView(new ArrayBuffer(8), "uint16");
    expect(toGpu(native, "uint16")).toBe(native);
  });

  it("of complex numbers cannot be drawn", () => {
    expect(drawable("complex64")).toBe(false);
    expect(drawable("float16")).toBe(true);
  });

  it("know what integers can hold", () => {
    expect(typeRange("int8")).toEqual([-128, 127]);
    expect(typeRange("uint32")).toEqual([0, 2 ** 32 - 1]);
    expect(typeRange("float32")).toBeNull();
  });

  it("half floats: infinities and what is not a number", () => {
    expect(fromHalf(0x7c00)).toBe(Number.POSITIVE_INFINITY);
    expect(fromHalf(0xfc00)).toBe(Number.NEGATIVE_INFINITY);
    expect(fromHalf(0x7e00)).toBeNaN();
  });
});

describe("labels", () => {
  it("ids keep their lowest 32 bits", () => {
    expect(Array.from(toIds(BigInt64Array.of(7n, 2n ** 32n + 5n)))).toEqual([7, 5]);
    expect(Array.from(toIds(Uint8Array.of(1, 255)))).toEqual([1, 255]);
  });

  it("neighbouring ids have colours that can be told apart", () => {
    for (let id = 1; id < 300; id += 1) {
      const [a, b] = [labelColor(id), labelColor(id + 1)];
      const far = Math.hypot(...a.map((v, i) => v - (b[i] as number)));
      expect(far, String(id)).toBeGreaterThan(60);
      expect(Math.max(...a)).toBeGreaterThan(200);
    }
  });
});

describe("voxels", () => {
  it("half floats of [0, 1] come back", () => {
    for (const value of [0, 1, 0.5, 0.1, 0.999, 1e-3, 1e-5, 3e-8]) {
      expect(Math.abs(fromHalf(toHalf(value)) - value)).toBeLessThanOrEqual(Math.max(value / 1024, 2 ** -25));
    }
  });

  it("span what is there, and leave out what is no number", () => {
    const bytes = Float32Array.of(10, 20, Number.NaN, 15, Number.POSITIVE_INFINITY).buffer;
    const { halves, low, high } = toVoxels(bytes, "float32");
    expect([low, high]).toEqual([10, 20]);
    expect(Array.from(halves, fromHalf)[1]).toBe(1);
    expect(Array.from(halves, fromHalf)[3]).toBeCloseTo(0.5, 3);
    expect(Array.from(halves, fromHalf)[2]).toBe(0);
  });

  it("survive a volume of one value and one of none", () => {
    expect(Array.from(toVoxels(Uint8Array.of(9, 9).buffer, "uint8").halves)).toEqual([0, 0]);
    expect(toVoxels(Float32Array.of(Number.NaN).buffer, "float32")).toMatchObject({ low: 0, high: 1 });
  });
});

describe("scale bar", () => {
  it("is the longest round length that fits", () => {
    expect([nice(149), nice(50), nice(4.9), nice(0.02), nice(1)]).toEqual([100, 50, 2, 0.02, 1]);
  });

  it.each([
    [0.325, "micrometer", 140, "20 µm"],
    [0.325 / 64, "micrometer", 140, "500 nm"],
    [13, "micrometer", 140, "1 mm"],
    [0.5, "angstrom", 140, "50 Å"],
    [0.001, "angstrom", 100, "10 pm"],
    [20, "angstrom", 100, "200 nm"],
    [2.5, "nanometer", 100, "200 nm"],
    [1, null, 140, "100 px"],
    [2, "furlong", 140, "200 furlong"],
    [90, "meter", 140, "10 km"],
  ])("%f %s for a pixel", (perPixel, unit, longest, label) => {
    const bar = scaleBar(perPixel, unit, longest);
    expect(bar?.label).toBe(label);
    expect(bar?.px).toBeLessThanOrEqual(longest * 1.0001);
    expect(bar?.px).toBeGreaterThan(longest * 0.39);
  });

  it("is left out when nothing is known", () => {
    expect(scaleBar(0, "micrometer", 140)).toBeNull();
    expect(scaleBar(Number.NaN, null, 140)).toBeNull();
  });

  it("positions and times carry units", () => {
    expect(measured(12.5, "micrometer")).toBe("12.5 µm");
    expect(measured(3, null)).toBe("3");
    expect([duration(90, "second"), duration(150, "second"), duration(2, "hour"), duration(4, "millisecond")]).toEqual([
      "90 s",
      "2.5 min",
      "2 h",
      "4 ms",
    ]);
    expect(duration(2, "frame")).toBe("2 frame");
  });
});
