/** Cameras, sizes and words of the scatter view: everything about it that needs no GPU. */

import type { EmbeddingInfo } from "../../api/types";
import { counted } from "../../data/format";
import type { Painted } from "../../state/store";

/** Share of the shorter side that the data fills at the start. */
const FILL = 0.9;
/** Points drawn while the camera moves. */
export const MOVING_POINTS = 300_000;
export const MIN_ZOOM = -2;
export const MAX_ZOOM = 24;

export interface Camera2D {
  kind: "2d";
  target: [number, number, number];
  zoom: number;
}

export interface Camera3D {
  kind: "3d";
  target: [number, number, number];
  zoom: number;
  rotationX: number;
  rotationOrbit: number;
}

export type Camera = Camera2D | Camera3D;

/** The camera that shows everything: coordinates lie in [-1, 1]. */
export function homeCamera(dim: number, width: number, height: number): Camera {
  const side = Math.max(64, Math.min(width, height));
  const zoom = Math.log2((side * FILL) / 2);
  if (dim < 3) return { kind: "2d", target: [0, 0, 0], zoom };
  return { kind: "3d", target: [0, 0, 0], zoom: zoom - 0.4, rotationX: 25, rotationOrbit: 35 };
}

/** Cameras in a link do not depend on the window: zoom is told relative to the home camera's. */
export function cameraToLink(camera: Camera, home: Camera): number[] {
  const zoom = camera.zoom - home.zoom;
  const [x, y, z] = camera.target;
  return camera.kind === "2d" ? [x, y, zoom] : [x, y, z, zoom, camera.rotationX, camera.rotationOrbit];
}

export function cameraFromLink(link: number[] | null, home: Camera): Camera {
  if (link === null) return home;
  const at = (i: number) => link[i] ?? 0;
  if (home.kind === "2d") {
    return link.length === 3 ? { kind: "2d", target: [at(0), at(1), 0], zoom: home.zoom + at(2) } : home;
  }
  if (link.length !== 6) return home;
  const target: [number, number, number] = [at(0), at(1), at(2)];
  return { kind: "3d", target, zoom: home.zoom + at(3), rotationX: at(4), rotationOrbit: at(5) };
}

const PAN_PX = 60;
const TURN_DEGREES = 10;
const ZOOM_STEP = 0.5;

const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};

/** Where a key moves the camera: arrows pan in 2D and turn in 3D, + and − zoom; null for other keys. */
export function moveByKey(camera: Camera, key: string): Camera | null {
  if (key === "+" || key === "=") return { ...camera, zoom: Math.min(MAX_ZOOM, camera.zoom + ZOOM_STEP) };
  if (key === "-" || key === "_") return { ...camera, zoom: Math.max(MIN_ZOOM, camera.zoom - ZOOM_STEP) };
  const arrow = ARROWS[key];
  if (!arrow) return null;
  const [right, up] = arrow;
  if (camera.kind === "3d") {
    const rotationX = Math.max(-90, Math.min(90, camera.rotationX + up * TURN_DEGREES));
    return { ...camera, rotationX, rotationOrbit: camera.rotationOrbit + right * TURN_DEGREES };
  }
  const step = PAN_PX / 2 ** camera.zoom;
  return { ...camera, target: [camera.target[0] + right * step, camera.target[1] + up * step, 0] };
}

/** Point diameter in CSS pixels: fewer cells, larger points. */
export function autoSize(cells: number): number {
  if (cells <= 0) return 4;
  return Math.max(1, Math.min(8, 26 / Math.sqrt(Math.log2(cells + 1)) / Math.max(1, Math.log10(cells) - 1.2) ** 1.1));
}

/** What a person who cannot see the picture is told. */
export function summary(
  n: number,
  nowhere: number,
  embedding: EmbeddingInfo,
  columns: number[],
  painted: Painted,
  selected = 0,
): string {
  const axes = columns.map((c) => embedding.axes[c] ?? `column ${c + 1}`).join(" against ");
  const color = painted.kind === "none" ? "" : `, coloured by ${painted.key.split(":").slice(1).join(":")}`;
  const missing = nowhere > 0 ? `; ${counted(nowhere, "cell")} without coordinates` : "";
  const chosen = selected > 0 ? `; ${counted(selected, "cell")} selected` : "";
  return `Scatter plot of ${counted(n, "cell")}, ${axes}${color}${missing}${chosen}`;
}
