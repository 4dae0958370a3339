/** What lies over the picture: a veil that lets it fade, then the cells. */

import type { Layer } from "@deck.gl/core";
import { SolidPolygonLayer } from "@deck.gl/layers";
import type { Look } from "../cells/look";
import type { Pyramid } from "../image/levels";
import { PointsLayer } from "../scatter/layer";
import { MOVING_POINTS } from "../scatter/model";

export interface Cells {
  look: Look;
  positions: Float32Array;
  /** Diameter in pixels of the picture. */
  spot: number;
  alpha: number;
}

const SMALLEST_PX = 1.5;

/** Takes from the picture what it is to lose of its opacity, once, however many tiles lie on each other. */
export function veil({ width, height }: Pyramid, opacity: number): Layer | null {
  if (opacity >= 1) return null;
  const corners: [number, number][] = [
    [0, 0],
    [width, 0],
    [width, height],
    [0, height],
  ];
  return new SolidPolygonLayer<[number, number][]>({
    id: "veil",
    data: [corners],
    getPolygon: (polygon) => polygon,
    getFillColor: [0, 0, 0, Math.round((1 - opacity) * 255)],
    updateTriggers: { getFillColor: opacity },
    pickable: false,
    parameters: {
      depthCompare: "always",
      depthWriteEnabled: false,
      blend: true,
      // Without a word for the operation the factors count for nothing.
      blendColorOperation: "add",
      blendAlphaOperation: "add",
      blendColorSrcFactor: "zero",
      blendColorDstFactor: "one-minus-src-alpha",
      blendAlphaSrcFactor: "zero",
      blendAlphaDstFactor: "one-minus-src-alpha",
    },
  });
}

/** How many of the cells a frame draws. */
export function drawnCells({ positions }: Cells, moving: boolean): number {
  return moving ? Math.min(positions.length / 3, MOVING_POINTS) : positions.length / 3;
}

export function cellsLayer(cells: Cells, zoom: number, moving: boolean): Layer {
  const { look, positions, spot, alpha } = cells;
  const ratio = window.devicePixelRatio || 1;
  return new PointsLayer({
    id: "cells",
    ...look,
    positions,
    alpha,
    count: drawnCells(cells, moving),
    size: Math.max(SMALLEST_PX, spot * 2 ** zoom * ratio),
    depth: false,
    pickable: false,
  });
}
