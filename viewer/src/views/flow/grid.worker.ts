/** Means on a grid, off the main thread. */

import { type Cells, gridOf } from "./grid";

addEventListener("message", ({ data: { id, cells } }: MessageEvent<{ id: number; cells: Cells }>) => {
  postMessage({ id, grid: gridOf(cells) });
});
