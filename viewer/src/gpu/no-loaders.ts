/**
 * Stands in for `@vivjs/loaders`, of which Viv's layers import three small names: it brings readers of TIFF and Zarr, which
 * the server is here.
 */

export const SIGNAL_ABORTED = "aborted";

/** Pixels come as planes, never interleaved. */
export function isInterleaved(): boolean {
  return false;
}

export function getImageSize({ shape }: { shape: number[] }): { height: number; width: number } {
  return { height: shape.at(-2) ?? 0, width: shape.at(-1) ?? 0 };
}
