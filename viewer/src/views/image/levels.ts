/** Where the tiles of a pyramid lie. World units are pixels of level 0, with y stretched to square pixels. */

import type { TileInfo } from "../../api/images";
import { inMetres } from "../../data/units";

export interface PyramidLevel {
  /** Number in addresses. */
  level: number;
  width: number;
  height: number;
  /** World units of one pixel. */
  stepX: number;
  stepY: number;
}

export interface Pyramid {
  tileSize: number;
  /** Size of the whole image in world units. */
  width: number;
  height: number;
  /** From the finest to the coarsest. */
  levels: PyramidLevel[];
}

export interface TileIndex {
  x: number;
  y: number;
  /** Minus the place of its level in the pyramid, as deck.gl numbers zooms. */
  z: number;
}

/** left, top, right, bottom in world units */
export type Bounds = [number, number, number, number];

function sizeOf(info: TileInfo, name: string, shape: number[]): number {
  const axis = info.dim_labels.indexOf(name);
  return axis < 0 ? 1 : (shape[axis] ?? 1);
}

/** Height of a pixel in widths of one; 1 unless both are known and not absurdly far apart. */
export function aspectOf(info: TileInfo): number {
  const [x, y] = ["x", "y"].map((name) => info.axes.find((axis) => axis.name === name));
  const [width, height] = [x, y].map((axis) => (axis?.scale ?? 0) * (inMetres(axis?.unit ?? null) ?? 0));
  const ratio = (height ?? 0) / (width ?? 0);
  return ratio >= 0.05 && ratio <= 20 ? ratio : 1;
}

/** `into` is the size in world units that the image fills; its own size by default. */
export function pyramidOf(info: TileInfo, into?: { width: number; height: number }): Pyramid {
  const width = into?.width ?? sizeOf(info, "x", info.shape);
  const height = into?.height ?? sizeOf(info, "y", info.shape) * aspectOf(info);
  const [fullWidth, fullHeight] = [sizeOf(info, "x", info.shape), sizeOf(info, "y", info.shape)];
  const levels = info.levels.map(({ level, shape }) => {
    const [w, h] = [sizeOf(info, "x", shape), sizeOf(info, "y", shape)];
    return {
      level,
      width: w,
      height: h,
      stepX: (stepOf(fullWidth, w) * width) / fullWidth,
      stepY: (stepOf(fullHeight, h) * height) / fullHeight,
    };
  });
  return { tileSize: info.tile_size, width, height, levels };
}

/** Sizes of levels are rounded, steps are not: 501 pixels that stand for 1001 are 2 wide each. */
function stepOf(full: number, size: number): number {
  const power = 2 ** Math.round(Math.log2(full / size));
  return Math.abs(size - full / power) < 1 ? power : full / size;
}

/** The coarsest level whose pixels are not larger than those of the screen. */
export function levelAt(pyramid: Pyramid, zoom: number, pixelRatio: number): number {
  const step = (2 ** -zoom / pixelRatio) * 1.001;
  let place = 0;
  pyramid.levels.forEach((level, i) => {
    if (Math.min(level.stepX, level.stepY) <= step) place = i;
  });
  return place;
}

/** The tiles of a level that meet `bounds`. */
export function tilesIn(pyramid: Pyramid, place: number, bounds: Bounds): TileIndex[] {
  const level = pyramid.levels[place];
  if (!level) return [];
  const { tileSize } = pyramid;
  const span = (low: number, high: number, step: number, size: number): [number, number] => [
    Math.max(0, Math.floor(low / (step * tileSize))),
    Math.min(Math.ceil(size / tileSize), Math.ceil(high / (step * tileSize))),
  ];
  const [left, right] = span(bounds[0], bounds[2], level.stepX, level.width);
  const [top, bottom] = span(bounds[1], bounds[3], level.stepY, level.height);
  const tiles: TileIndex[] = [];
  for (let y = top; y < bottom; y += 1) for (let x = left; x < right; x += 1) tiles.push({ x, y, z: -place });
  return tiles;
}

export function tileBounds(pyramid: Pyramid, { x, y, z }: TileIndex): Bounds {
  const { tileSize } = pyramid;
  const level = pyramid.levels[-z] as PyramidLevel;
  return [
    x * tileSize * level.stepX,
    y * tileSize * level.stepY,
    Math.min(level.width, (x + 1) * tileSize) * level.stepX,
    Math.min(level.height, (y + 1) * tileSize) * level.stepY,
  ];
}

/** The tile of the next coarser level that holds the middle of this one. */
export function parentOf(pyramid: Pyramid, index: TileIndex): TileIndex {
  const [left, top, right, bottom] = tileBounds(pyramid, index);
  const above = pyramid.levels[-index.z + 1];
  if (!above) return { x: 0, y: 0, z: index.z - 1 };
  const at = (middle: number, step: number) => Math.floor(middle / (step * pyramid.tileSize));
  return {
    x: at((left + right) / 2, above.stepX),
    y: at((top + bottom) / 2, above.stepY),
    z: index.z - 1,
  };
}
