/** What other parts of the page draw under and over the points; they come when they are wanted. */

import type { Layer } from "@deck.gl/core";
import { create } from "zustand";
import type { Geometry } from "../../state/store";

/** Lines in the coordinates of the cells, for figures. */
export interface Strokes {
  length: number;
  /** x, y, z of each end. */
  from: Float32Array;
  to: Float32Array;
  /** Null for the ink of the text. */
  color: string | null;
  /** 0 to 1, of all or of each. */
  opacity: number | Float32Array;
  /** In pixels of the screen. */
  width: number;
  /** Over the points, not under them. */
  over: boolean;
}

/** What is drawn for cells that are laid out so, in the view of that id. */
export type Overlay = (geometry: Geometry, view: string) => { under: Layer[]; over: Layer[]; strokes: Strokes[] };

export const useOverlays = create<Record<string, Overlay>>(() => ({}));

/** Draws something under a name, in place of what was there; null takes it away. */
export function overlay(name: string, made: Overlay | null): void {
  const { [name]: _, ...rest } = useOverlays.getState();
  useOverlays.setState(made ? { ...rest, [name]: made } : rest, true);
}

export function overlaid(all: Record<string, Overlay>, geometry: Geometry | null, view: string) {
  if (geometry === null || Object.keys(all).length === 0) return undefined;
  const made = Object.values(all).map((one) => one(geometry, view));
  return { under: made.flatMap(({ under }) => under), over: made.flatMap(({ over }) => over) };
}
