/** The tissue view's arithmetic and words: everything about it that needs no GPU and no server. */

import type { TileInfo } from "../../api/images";
import type { TissueInfo } from "../../api/types";
import { counted } from "../../data/format";
import type { Matrix } from "../../data/points";
import type { Painted } from "../../state/store";
import type { ChannelLook } from "../image/composite";
import type { Pyramid } from "../image/levels";
import { axisSize, type ChannelSetting, colorParts, defaultSettings, defaultShown, extent } from "../image/model";

/** The picture that is asked for, else the first. */
export function chosenTissue(tissues: readonly TissueInfo[], name: string | null): TissueInfo | null {
  return tissues.find((one) => one.name === name) ?? tissues[0] ?? null;
}

/** From an embedding's coordinates to the picture's world, where pixels are square. */
export function toWorld(matrix: Matrix, info: TileInfo, pyramid: Pyramid): Matrix {
  const [a, b, c, d, e, f] = matrix;
  const stretchX = pyramid.width / axisSize(info, "x");
  const stretchY = pyramid.height / axisSize(info, "y");
  return [a * stretchX, b * stretchX, c * stretchX, d * stretchY, e * stretchY, f * stretchY];
}

const CROWDED = 0.5;

/** Diameter of a cell in pixels of the picture: as measured, else so that neighbours do not hide each other. */
export function spotSize(tissue: TissueInfo, info: TileInfo, cells: number): number {
  const [a, b, , d, e] = tissue.matrix;
  if (tissue.spot !== null) return tissue.spot * Math.sqrt(Math.abs(a * e - b * d));
  return CROWDED * Math.sqrt((axisSize(info, "x") * axisSize(info, "y")) / Math.max(1, cells));
}

const PLAIN_COLORS = ["#ff0000", "#00ff00", "#0000ff"];

/** Three channels of bytes are a photograph, even where the file only numbers them. */
export function isPhotograph(info: TileInfo): boolean {
  return info.rgb || (info.dtype === "uint8" && axisSize(info, "c") === 3 && info.channels.length === 3);
}

export interface Shown {
  channels: number[];
  settings: ChannelSetting[];
}

export function shownOf(info: TileInfo): Shown {
  if (!isPhotograph(info)) return { channels: defaultShown(info), settings: defaultSettings(info) };
  const settings = defaultSettings(info).map((setting, i) => {
    const window: [number, number] = info.rgb ? (setting.window ?? [0, 1]) : [0, 255];
    return { ...setting, color: PLAIN_COLORS[i] ?? "#000000", window };
  });
  return { channels: [0, 1, 2], settings };
}

export function looksOf({ channels, settings }: Shown): ChannelLook[] {
  return channels.map((i) => {
    const { color = "#000000", window = null, gamma = 1 } = settings[i] ?? {};
    return { color: colorParts(color), window: window ?? [0, 1], gamma, visible: window !== null };
  });
}

/** What a person who cannot see the picture is told. */
export function summary(tissue: TissueInfo, info: TileInfo, n: number, painted: Painted, selected: number): string {
  const color = painted.kind === "none" ? "" : `, coloured by ${painted.key.split(":").slice(1).join(":")}`;
  const chosen = selected > 0 ? `; ${counted(selected, "cell")} selected` : "";
  return `Tissue ${tissue.name}, ${extent(info)}, with ${counted(n, "cell")} on it${color}${chosen}`;
}
