/** Makes a figure's points off the main thread. */

import { type Dots, dotsOf, rasterised, type Scene } from "./raster";

export interface Order {
  scene: Scene;
  /** As dots up to so many, for SVG; beyond it, and for null, as pixels. */
  most: number | null;
}

export type Made = { count: number; dots: Dots; pixels: null } | { count: number; dots: null; pixels: ImageData };

addEventListener("message", ({ data: { scene, most } }: MessageEvent<Order>) => {
  const dots = dotsOf(scene);
  if (most !== null && dots.count <= most) {
    postMessage({ count: dots.count, dots, pixels: null } satisfies Made);
    return;
  }
  const [width, height] = [Math.round(scene.width), Math.round(scene.height)];
  const pixels = new ImageData(rasterised(dots, width, height, scene.size), width, height);
  postMessage({ count: dots.count, dots: null, pixels } satisfies Made);
});
