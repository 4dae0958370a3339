/** deck.gl's tile traversal for pyramids of any ratio: whole powers of two are what it knows by itself. */

import { type TileLayerProps, _Tileset2D as Tileset2D } from "@deck.gl/geo-layers";
import { type Bounds, levelAt, type Pyramid, parentOf, type TileIndex, tileBounds, tilesIn } from "./levels";

interface Looked {
  viewport: { zoom: number; getBounds(): Bounds };
}

/** A class for each pyramid, because deck.gl makes the tileset itself. */
export function tilesetOf(pyramid: Pyramid): NonNullable<TileLayerProps["TilesetClass"]> {
  class PyramidTileset extends Tileset2D {
    override getTileIndices(options: never): TileIndex[] {
      const { viewport } = options as unknown as Looked;
      const [left, top, right, bottom] = viewport.getBounds();
      const bounds: Bounds = [
        Math.min(left, right),
        Math.min(top, bottom),
        Math.max(left, right),
        Math.max(top, bottom),
      ];
      return tilesIn(pyramid, levelAt(pyramid, viewport.zoom, window.devicePixelRatio || 1), bounds);
    }

    override getTileMetadata(index: TileIndex) {
      const [left, top, right, bottom] = tileBounds(pyramid, index);
      return { bbox: { left, top, right, bottom } };
    }

    override getParentIndex(index: TileIndex): TileIndex {
      return parentOf(pyramid, index);
    }

    /** What stood in for tiles of the plane before must not stay on the screen over the next. */
    override reloadAll(): void {
      for (const tile of this.tiles) if (!tile.isSelected) tile.isVisible = false;
      super.reloadAll();
    }
  }
  return PyramidTileset as unknown as NonNullable<TileLayerProps["TilesetClass"]>;
}
