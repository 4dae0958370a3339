/** What the image view shows and knows, in one place. */

import { create } from "zustand";
import type { ApiError } from "../../api/client";
import type { ChannelStatistics, Json, Plane, TileInfo } from "../../api/images";
import type { Progress } from "../../state/store";
import { FPS, type LabelChoice } from "./link";
import type { ChannelSetting, Mode } from "./model";
import type { Tiles } from "./tiles";
import type { Volume } from "./volume";

export interface Hover {
  /** Column and row at full size. */
  column: number;
  row: number;
  /** Pixels of the screen, in the canvas. */
  x: number;
  y: number;
  /** Values by channel; `exact` unless they come from a coarser level. */
  values: Record<number, number | bigint>;
  exact: boolean;
  label: number | bigint | null;
}

export type VolumeState =
  | { kind: "none" }
  | { kind: "flat" }
  | { kind: "too_large"; voxels: number }
  | { kind: "ready"; key: string; volumes: Volume[]; level: number };

export interface Painted {
  /** What the last complete frame showed: plane, channels, mode. */
  key: string;
  level: number;
  tiles: number;
}

export interface ImageModel {
  phase: "loading" | "ready" | "error" | "empty";
  error: ApiError | null;
  offline: boolean;
  notice: string | null;
  progress: Record<string, Progress>;
  arrayId: string;
  info: TileInfo | null;
  /** Name of the file or folder that holds the image. */
  source: string | null;
  tiles: Tiles | null;
  plane: Plane;
  settings: ChannelSetting[];
  /** Channels put together, in this order. */
  shown: number[];
  /** Windows that were found rather than chosen. */
  auto: Record<number, [number, number]>;
  statistics: Record<number, ChannelStatistics>;
  mode: Mode;
  labels: LabelChoice | null;
  labelTiles: Tiles | null;
  camera: number[] | null;
  playing: string | null;
  fps: number;
  hover: Hover | null;
  volume: VolumeState;
  metadata: Json | undefined;
  painted: Painted | null;
  /** Grows when tiles that failed are to be asked for again. */
  attempt: number;
}

const BLANK: ImageModel = {
  phase: "loading",
  error: null,
  offline: false,
  notice: null,
  progress: {},
  arrayId: "",
  info: null,
  source: null,
  tiles: null,
  plane: {},
  settings: [],
  shown: [],
  auto: {},
  statistics: {},
  mode: "plane",
  labels: null,
  labelTiles: null,
  camera: null,
  playing: null,
  fps: FPS,
  hover: null,
  volume: { kind: "none" },
  metadata: undefined,
  painted: null,
  attempt: 0,
};

export const useImage = create<ImageModel>(() => BLANK);
export const setImage = useImage.setState;
export const getImage = useImage.getState;

export function blankImage(arrayId: string): void {
  setImage({ ...BLANK, arrayId }, true);
}

export function setProgress(key: string, progress: Progress | null): void {
  setImage((state) => {
    const { [key]: _, ...rest } = state.progress;
    return { progress: progress === null ? rest : { ...rest, [key]: progress } };
  });
}

/** What a complete frame of this state shows. */
export function wantedKey(state: ImageModel): string {
  const { info, plane, mode, shown, labels } = state;
  if (!info) return "";
  const places = Object.entries(plane)
    .filter(([axis]) => !(axis === "z" && mode !== "plane"))
    .map(([axis, index]) => `${axis}${index}`);
  return [info.array_id, mode, places.join(","), shown.join("+"), labels?.id ?? ""].join("|");
}

/** Which volumes belong together: those of one image at one place on the axes beside z. */
export function volumeKey(info: TileInfo, plane: Plane): string {
  const { z: _, ...others } = plane;
  return JSON.stringify([info.array_id, others]);
}
