/** Stands in for loaders.gl, with which deck.gl's layers fetch data by address: ours are given arrays. */

export const ImageLoader = {};

export function registerLoaders(): void {}

export async function load(): Promise<never> {
  throw new Error("Nothing is loaded by address here");
}
