import { describe, expect, it } from "vitest";
import { autoSize, cameraFromLink, cameraToLink, homeCamera, moveByKey, summary } from "./model";

describe("cameras", () => {
  it("show all of [-1, 1] in the shorter side", () => {
    const home = homeCamera(2, 800, 400);
    expect(2 ** home.zoom * 2).toBeCloseTo(360);
  });

  it("survive a link, also into a window of another size", () => {
    for (const dim of [2, 3]) {
      const home = homeCamera(dim, 800, 600);
      const moved = {
        ...home,
        target: [0.25, -0.5, dim === 3 ? 0.125 : 0] as [number, number, number],
        zoom: home.zoom + 2,
      };
      const link = cameraToLink(moved, home);
      expect(cameraFromLink(link, home)).toEqual(moved);
      const small = homeCamera(dim, 400, 300);
      expect(cameraFromLink(link, small).zoom - small.zoom).toBeCloseTo(2);
    }
  });

  it("fall back to home when a link has another shape", () => {
    const home = homeCamera(3, 800, 600);
    expect(cameraFromLink([1, 2, 3], home)).toBe(home);
  });
});

describe("keys", () => {
  it("pan by the same number of pixels at every zoom", () => {
    for (const zoom of [0, 5, 10]) {
      const camera = { kind: "2d", target: [0, 0, 0], zoom } as const;
      const moved = moveByKey({ ...camera, target: [0, 0, 0] }, "ArrowRight");
      expect((moved?.target[0] ?? 0) * 2 ** zoom).toBeCloseTo(60);
    }
  });

  it("turn in 3D, never over the pole, and zoom back and forth", () => {
    let camera = homeCamera(3, 800, 600);
    for (let i = 0; i < 30; i += 1) camera = moveByKey(camera, "ArrowUp") ?? camera;
    expect(camera.kind === "3d" && camera.rotationX).toBe(90);
    const there = moveByKey(camera, "+");
    expect(there && moveByKey(there, "-")).toEqual(camera);
    expect(moveByKey(camera, "x")).toBeNull();
  });
});

describe("point size", () => {
  it("falls as cells grow and stays visible", () => {
    const sizes = [10, 700, 10_000, 100_000, 1_000_000, 10_000_000].map(autoSize);
    for (let i = 1; i < sizes.length; i += 1) expect(sizes[i] as number).toBeLessThanOrEqual(sizes[i - 1] as number);
    expect(sizes.at(-1)).toBeGreaterThanOrEqual(1);
  });
});

describe("summary", () => {
  const embedding = {
    id: "X_umap",
    label: "UMAP",
    width: 2,
    dimensions: [2],
    default: true,
    axes: ["UMAP 1", "UMAP 2"],
    files: {},
  };

  it("says what is drawn and what is not", () => {
    const text = summary(700, 1, embedding, [0, 1], { kind: "none", key: "none" });
    expect(text).toBe("Scatter plot of 700 cells, UMAP 1 against UMAP 2; 1 cell without coordinates");
  });
});
