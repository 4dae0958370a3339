/** The layers of a plane: tiles of the channels put together, and labels over them. */

import type { Layer, LayerProps } from "@deck.gl/core";
import { TileLayer } from "@deck.gl/geo-layers";
import { XRLayer } from "@vivjs/layers";
import { type GpuPixels, type GpuType, gpuType, toGpu, toIds } from "../../data/pixels";
import { type ChannelLook, CompositeExtension } from "./composite";
import { type LabelLook, LabelsLayer } from "./labels";
import { type Bounds, type TileIndex, tileBounds } from "./levels";
import { type Selection, selectionKey, type Tile, type Tiles } from "./tiles";
import { tilesetOf } from "./tileset";

/** Viv's layer, with the properties that this view gives it. */
interface PlaneLayerProps extends LayerProps {
  channelData: { data: GpuPixels[]; width: number; height: number };
  bounds: Bounds;
  dtype: GpuType;
  interpolation: "nearest" | "linear";
  looks: readonly ChannelLook[];
  selections: readonly Selection[];
  /** Viv asks for these, but `looks` decides. */
  contrastLimits: readonly (readonly [number, number])[];
  channelsVisible: readonly boolean[];
  extensions: CompositeExtension[];
}

const PlaneLayer = XRLayer as unknown as new (props: PlaneLayerProps) => Layer<PlaneLayerProps>;
const EXTENSIONS = [new CompositeExtension()];
/** Tiles asked for at once; more would only wait in the browser's queue, where they cannot be overtaken. */
const MOST_REQUESTS = 8;
/** Textures kept beyond those on the screen; the graphics card may be the one of a laptop. */
const TEXTURE_BYTES = 256e6;
const FEWEST_KEPT = 24;

export interface PlaneScene {
  tiles: Tiles;
  selections: readonly Selection[];
  looks: readonly ChannelLook[];
  /** Whether pixels of coarse levels may be blended; else they are drawn as squares. */
  smooth: boolean;
}

export interface LabelScene {
  tiles: Tiles;
  selection: Selection;
  look: LabelLook;
}

interface TileProps {
  id: string;
  data: Loaded | null;
  tile: { index: TileIndex };
}

interface Loaded {
  data: GpuPixels[];
  width: number;
  height: number;
  byteLength: number;
}

/** Viv turns a texture about when there is one channel only in name, so all have one size. */
function loadedOf(tiles: Tile[], dtype: string): Loaded {
  const data = tiles.map(({ pixels }) => toGpu(pixels, dtype));
  const { width, height } = tiles[0] as Tile;
  return { data, width, height, byteLength: data.reduce((sum, { byteLength }) => sum + byteLength, 0) };
}

function planeProps(scene: PlaneScene, smooth: boolean) {
  const { selections, looks, tiles } = scene;
  return {
    dtype: gpuType(tiles.info.dtype),
    interpolation: smooth && scene.smooth ? ("linear" as const) : ("nearest" as const),
    looks,
    selections,
    contrastLimits: looks.map(({ window }) => window),
    channelsVisible: looks.map(() => true),
    extensions: EXTENSIONS,
    pickable: false,
  };
}

/** The whole plane at its coarsest, below the tiles, so that nothing is ever blank. */
export function baseLayer(id: string, scene: PlaneScene, base: Tile[]): Layer {
  const { width, height } = scene.tiles.pyramid;
  return new PlaneLayer({
    ...planeProps(scene, true),
    id,
    channelData: loadedOf(base, scene.tiles.info.dtype),
    bounds: [0, height, width, 0],
  });
}

interface Reports {
  onError: (error: Error) => void;
}

export interface TileStack extends Layer {
  isLoaded: boolean;
  state: { tileset?: { selectedTiles: { index: TileIndex; isLoaded: boolean }[] | null } };
}

export function tileLayer(id: string, scene: PlaneScene, { onError }: Reports): TileStack {
  const { tiles, selections } = scene;
  const { pyramid, info } = tiles;
  const smoothBelow = planeProps(scene, true);
  const sharpTop = planeProps(scene, false);
  const layer = new TileLayer<Loaded, { looks: readonly ChannelLook[]; smooth: boolean }>({
    ...tiling(id, tiles, selections.map(selectionKey), onError),
    looks: scene.looks,
    smooth: scene.smooth,
    getTileData: async ({ index, signal }) => {
      const place = -(index as TileIndex).z;
      const found = await tiles.getAll(place, index.x, index.y, selections, signal);
      return loadedOf(found, info.dtype);
    },
    renderSubLayers: (props) => {
      const { id: own, data, tile } = props as unknown as TileProps;
      if (!data || data.data.length !== selections.length) return null;
      const [left, top, right, bottom] = tileBounds(pyramid, tile.index);
      return new PlaneLayer({
        ...(tile.index.z === 0 ? sharpTop : smoothBelow),
        id: `${own}-plane`,
        channelData: data,
        bounds: [left, bottom, right, top],
      });
    },
  });
  return layer as unknown as TileStack;
}

export function labelLayer(id: string, scene: LabelScene, { onError }: Reports): TileStack {
  const { tiles, selection, look } = scene;
  const layer = new TileLayer<
    { ids: Uint32Array; width: number; height: number; byteLength: number },
    { look: LabelLook }
  >({
    ...tiling(id, tiles, [selectionKey(selection)], onError),
    look,
    getTileData: async ({ index, signal }) => {
      const { pixels, width, height } = await tiles.get(-(index as TileIndex).z, index.x, index.y, selection, signal);
      const ids = toIds(pixels);
      return { ids, width, height, byteLength: ids.byteLength };
    },
    renderSubLayers: (props) => {
      const {
        id: own,
        data,
        tile,
      } = props as unknown as {
        id: string;
        data: { ids: Uint32Array; width: number; height: number } | null;
        tile: { index: TileIndex };
      };
      if (!data) return null;
      return new LabelsLayer({ id: `${own}-labels`, ...data, bounds: tileBounds(tiles.pyramid, tile.index), look });
    },
  });
  return layer as unknown as TileStack;
}

function tiling(id: string, tiles: Tiles, selections: string[], onError: (error: Error) => void) {
  const bytes = tiles.pyramid.tileSize ** 2 * 4 * Math.max(1, selections.length);
  return {
    id,
    TilesetClass: tilesetOf(tiles.pyramid),
    tileSize: tiles.pyramid.tileSize,
    maxRequests: MOST_REQUESTS,
    maxCacheSize: Math.max(FEWEST_KEPT, Math.floor(TEXTURE_BYTES / bytes)),
    refinementStrategy: "best-available" as const,
    updateTriggers: { getTileData: [selections.join("|")] },
    onTileError: (error: unknown) => onError(error instanceof Error ? error : new Error(String(error))),
    pickable: false,
  };
}
