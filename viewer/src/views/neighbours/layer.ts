/** Edges as lines between the places of their cells. */

import { LineLayer } from "@deck.gl/layers";
import { FAR } from "../../data/points";
import type { Geometry } from "../../state/store";
import type { Strokes } from "../scatter/overlays";
import { faintness, type Picked } from "./graph";

interface Lines {
  length: number;
  attributes: {
    getSourcePosition: { value: Float32Array; size: 3 };
    getTargetPosition: { value: Float32Array; size: 3 };
    getColor: { value: Uint8Array; size: 4; normalized: true };
  };
}

/** Where the lines of some edges are, for one layout of the cells. */
export function linesOf(
  { ends, weights }: Picked,
  positions: Float32Array,
  [r, g, b]: readonly [number, number, number],
  opacity: number,
): Lines {
  const many = weights.length;
  const [from, to, color] = [new Float32Array(many * 3), new Float32Array(many * 3), new Uint8Array(many * 4)];
  const alpha = 255 * opacity * faintness(many);
  let length = 0;
  for (let i = 0; i < many; i += 1) {
    const [a, c] = [(ends[i * 2] as number) * 3, (ends[i * 2 + 1] as number) * 3];
    if ((positions[a] as number) > FAR || (positions[c] as number) > FAR) continue;
    for (let k = 0; k < 3; k += 1) {
      from[length * 3 + k] = positions[a + k] as number;
      to[length * 3 + k] = positions[c + k] as number;
    }
    // Weak ones are seen, too.
    color.set([r, g, b, Math.round(alpha * (0.15 + 0.85 * (weights[i] as number)))], length * 4);
    length += 1;
  }
  return {
    length,
    attributes: {
      getSourcePosition: { value: from, size: 3 },
      getTargetPosition: { value: to, size: 3 },
      getColor: { value: color, size: 4, normalized: true },
    },
  };
}

/** The same for a figure. */
export function strokesOf(picked: Picked, geometry: Geometry, color: readonly [number, number, number]): Strokes {
  const { length, attributes } = linesOf(picked, geometry.positions, color, 0.6);
  const opacity = Float32Array.from({ length }, (_, i) => (attributes.getColor.value[i * 4 + 3] as number) / 255);
  const { getSourcePosition: from, getTargetPosition: to } = attributes;
  return { length, from: from.value, to: to.value, color: `rgb(${color.join(", ")})`, opacity, width: 1, over: false };
}

/** The same edges in several views that lay the cells out alike are made once. */
const made = new WeakMap<Picked, Map<Float32Array, Lines>>();

export function edgesLayer(
  id: string,
  picked: Picked,
  geometry: Geometry,
  color: readonly [number, number, number],
  opacity: number,
  width: number,
) {
  const kept = made.get(picked) ?? new Map<Float32Array, Lines>();
  made.set(picked, kept);
  const lines = kept.get(geometry.positions) ?? linesOf(picked, geometry.positions, color, opacity);
  kept.set(geometry.positions, lines);
  return new LineLayer({ id, data: lines as never, getWidth: width, widthUnits: "pixels", pickable: false });
}
