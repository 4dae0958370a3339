/** What buttons and keys can do with the stage. */

import type { RefObject } from "react";
import { type Camera, cameraToLink, MAX_ZOOM } from "./model";
import type { Stage } from "./stage";
import { setImage } from "./state";

const PAN_PX = 80;
const TURN_DEGREES = 10;

export interface Bench {
  zoom: number;
  zoomBy: (step: number) => void;
  /** Moves by steps, right and down; turns a volume. */
  panBy: (right: number, down: number) => void;
  home: () => void;
  worldAt: (x: number, y: number) => [number, number] | null;
  drawn: () => HTMLCanvasElement | null;
}

export function panned(camera: Camera, right: number, down: number): Camera {
  if (camera.kind === "volume") {
    const rotationX = Math.max(-90, Math.min(90, camera.rotationX - down * TURN_DEGREES));
    return { ...camera, rotationX, rotationOrbit: camera.rotationOrbit + right * TURN_DEGREES };
  }
  const step = PAN_PX / 2 ** camera.zoom;
  const [x, y] = camera.target;
  return { ...camera, target: [x + right * step, y + down * step, 0] };
}

export function zoomed(camera: Camera, step: number): Camera {
  return { ...camera, zoom: Math.min(camera.kind === "plane" ? MAX_ZOOM : 14, camera.zoom + step) };
}

export function bench(
  stage: RefObject<Stage | null>,
  host: RefObject<HTMLElement | null>,
  zoom: number,
  homeIn: (element: HTMLElement) => Camera,
): Bench {
  const change = (next: (camera: Camera) => Camera) => {
    if (!stage.current || !host.current) return;
    setImage({ camera: cameraToLink(next(stage.current.where), homeIn(host.current)), hover: null });
  };
  return {
    zoom,
    zoomBy: (step) => change((camera) => zoomed(camera, step)),
    panBy: (right, down) => change((camera) => panned(camera, right, down)),
    home: () => setImage({ camera: null, hover: null }),
    worldAt: (x, y) => stage.current?.worldAt(x, y) ?? null,
    drawn: () => stage.current?.drawn() ?? null,
  };
}
