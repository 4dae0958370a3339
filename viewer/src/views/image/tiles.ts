/** Tiles from the server, kept within a byte budget, so that a new colour or a step back asks for nothing. */

import { getBytes } from "../../api/client";
import { type Plane, type TileInfo, tileUrl } from "../../api/images";
import { bytesOf, type Native, nativeView, valueAt } from "../../data/pixels";
import { type Pyramid, type PyramidLevel, pyramidOf } from "./levels";

/** Phones have little memory and small screens. */
const CACHE_BYTES = matchMedia?.("(max-width: 720px)").matches ? 64e6 : 256e6;

/** One plane of one image: what a tile is a piece of. */
export interface Selection {
  plane: Plane;
  /** null for an image without a channel axis. */
  channel: number | null;
  project: string | null;
}

export interface Tile {
  pixels: Native;
  width: number;
  height: number;
}

export function selectionKey({ plane, channel, project }: Selection): string {
  const axes = Object.entries(plane).filter(([axis]) => axis !== project);
  return `${axes.map(([axis, index]) => axis + index).join(",")};${channel ?? ""};${project ?? ""}`;
}

export class Tiles {
  readonly pyramid: Pyramid;
  private readonly cache = new Map<string, Tile>();
  private held = 0;

  constructor(
    readonly info: TileInfo,
    into?: { width: number; height: number },
    private readonly budget = CACHE_BYTES,
  ) {
    this.pyramid = pyramidOf(info, into);
  }

  private key(place: number, x: number, y: number, selection: Selection): string {
    return `${place}/${x}/${y}/${selectionKey(selection)}`;
  }

  private levelOf(place: number): PyramidLevel {
    return this.pyramid.levels[place] as PyramidLevel;
  }

  /** What is kept; null when it would have to be asked for. */
  kept(place: number, x: number, y: number, selection: Selection): Tile | null {
    const key = this.key(place, x, y, selection);
    const tile = this.cache.get(key);
    if (!tile) return null;
    this.cache.delete(key);
    this.cache.set(key, tile);
    return tile;
  }

  async get(place: number, x: number, y: number, selection: Selection, signal?: AbortSignal): Promise<Tile> {
    return (await this.getAll(place, x, y, [selection], signal))[0] as Tile;
  }

  /** One tile of each selection; red, green and blue of a picture come together. */
  async getAll(
    place: number,
    x: number,
    y: number,
    selections: readonly Selection[],
    signal?: AbortSignal,
  ): Promise<Tile[]> {
    const first = selections[0];
    if (this.info.rgb && first && selections.some((s) => !this.kept(place, x, y, s))) {
      const planes = await this.fetch(place, x, y, { ...first, channel: null }, 3, signal);
      planes.forEach((tile, channel) => {
        this.keep(this.key(place, x, y, { ...first, channel }), tile);
      });
      return selections.map(({ channel }) => planes[channel ?? 0] as Tile);
    }
    return Promise.all(selections.map((selection) => this.one(place, x, y, selection, signal)));
  }

  private async one(place: number, x: number, y: number, selection: Selection, signal?: AbortSignal): Promise<Tile> {
    const found = this.kept(place, x, y, selection);
    if (found) return found;
    const [tile] = (await this.fetch(place, x, y, selection, 1, signal)) as [Tile];
    this.keep(this.key(place, x, y, selection), tile);
    return tile;
  }

  private async fetch(
    place: number,
    x: number,
    y: number,
    selection: Selection,
    planes: number,
    signal?: AbortSignal,
  ): Promise<Tile[]> {
    const level = this.levelOf(place);
    const size = this.pyramid.tileSize;
    const width = Math.min(size, level.width - x * size);
    const height = Math.min(size, level.height - y * size);
    const { dtype } = this.info;
    const url = tileUrl(this.info, { level: level.level, col: x, row: y, ...selection });
    const bytesEach = width * height * bytesOf(dtype);
    const bytes = await getBytes(url, bytesEach * planes, signal);
    return Array.from({ length: planes }, (_, i) => {
      const own = planes === 1 ? bytes : bytes.slice(i * bytesEach, (i + 1) * bytesEach);
      return { pixels: nativeView(own, dtype), width, height };
    });
  }

  private keep(key: string, tile: Tile): void {
    if (this.cache.has(key)) return;
    this.cache.set(key, tile);
    this.held += tile.pixels.byteLength;
    for (const [oldest, { pixels }] of this.cache) {
      if (this.held <= this.budget || oldest === key) break;
      this.cache.delete(oldest);
      this.held -= pixels.byteLength;
    }
  }

  /** Bytes held now. */
  get bytes(): number {
    return this.held;
  }

  /** The value at a world position, from the finest tile that is kept; null when none is. */
  valueAt(x: number, y: number, selection: Selection): { value: number | bigint; place: number } | null {
    for (let place = 0; place < this.pyramid.levels.length; place += 1) {
      const [col, row] = this.pixelAt(place, x, y);
      const size = this.pyramid.tileSize;
      const tile = this.kept(place, Math.floor(col / size), Math.floor(row / size), selection);
      if (tile) return { value: pick(tile, col % size, row % size, this.info.dtype), place };
    }
    return null;
  }

  /** The exact value, asked for when it is not kept. */
  async exactAt(x: number, y: number, selection: Selection, signal: AbortSignal): Promise<number | bigint> {
    const [col, row] = this.pixelAt(0, x, y);
    const size = this.pyramid.tileSize;
    const tile = await this.get(0, Math.floor(col / size), Math.floor(row / size), selection, signal);
    return pick(tile, col % size, row % size, this.info.dtype);
  }

  /** Column and row of a level under a world position. */
  pixelAt(place: number, x: number, y: number): [number, number] {
    const { stepX, stepY, width, height } = this.levelOf(place);
    return [Math.min(width - 1, Math.floor(x / stepX)), Math.min(height - 1, Math.floor(y / stepY))];
  }
}

function pick(tile: Tile, col: number, row: number, dtype: string): number | bigint {
  return valueAt(tile.pixels, row * tile.width + col, dtype);
}
