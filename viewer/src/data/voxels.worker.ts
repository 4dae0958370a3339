/** Conversion of volumes off the main thread. */

import { toVoxels } from "./voxels";

addEventListener("message", ({ data }: MessageEvent<{ bytes: ArrayBuffer; dtype: string }>) => {
  try {
    const voxels = toVoxels(data.bytes, data.dtype);
    postMessage({ voxels }, { transfer: [voxels.halves.buffer] });
  } catch (error) {
    postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});
