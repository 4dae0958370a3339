/** The view in the address bar: a copied link shows the same. */

import type { TileInfo } from "../../api/images";
import { type ChannelSetting, defaultSettings, defaultShown, firstPlane, MOST_SHOWN, type Mode } from "./model";

export interface LabelChoice {
  id: string;
  opacity: number;
  outlines: boolean;
}

export interface LinkedImage {
  /** Index along axes, by name. */
  plane: Record<string, number>;
  shown: number[] | null;
  settings: Record<number, ChannelSetting>;
  mode: Mode;
  labels: LabelChoice | null;
  camera: number[] | null;
  fps: number;
}

export const FPS = 8;
const OPACITY = 0.5;

function numbers(text: string | null): number[] | null {
  if (text === null || text === "") return null;
  const found = text.split(",").map(Number);
  return found.every(Number.isFinite) ? found : null;
}

function within(value: number | undefined, low: number, high: number, otherwise: number): number {
  return value !== undefined && Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : otherwise;
}

/** `0:00ff00:100:4000:1:1`: channel, colour, window, gamma, whether it is visible; the window may be left empty. */
function readChannel(text: string): [number, ChannelSetting] | null {
  const [index = "", color = "", low = "", high = "", gamma = "", visible = ""] = text.split(":");
  if (!/^\d+$/.test(index) || !/^[0-9a-f]{6}$/i.test(color)) return null;
  const window: [number, number] = [Number(low), Number(high)];
  const given = low !== "" && high !== "" && window.every(Number.isFinite) && window[1] > window[0];
  return [
    Number(index),
    {
      color: `#${color.toLowerCase()}`,
      window: given ? window : null,
      gamma: gamma === "" ? 1 : within(Number(gamma), 0.1, 10, 1),
      visible: visible !== "0",
    },
  ];
}

function plain(value: number): string {
  return String(Number(value.toPrecision(7)));
}

function writeChannel(index: number, { color, window, gamma, visible }: ChannelSetting): string {
  const [low, high] = window ? window.map(plain) : ["", ""];
  return [index, color.slice(1), low, high, plain(gamma), visible ? 1 : 0].join(":");
}

export function readLink(search: string): LinkedImage {
  const query = new URLSearchParams(search);
  const plane: Record<string, number> = {};
  for (const [name, text] of [
    ["t", query.get("t")],
    ["z", query.get("z")],
    ...(query.get("sel") ?? "").split(",").map((part) => {
      const colon = part.lastIndexOf(":");
      return [part.slice(0, Math.max(0, colon)), part.slice(colon + 1)];
    }),
  ] as [string, string | null][]) {
    if (name && text !== null && /^\d+$/.test(text)) plane[name] = Number(text);
  }
  const channels = query.get("channels");
  const found = (channels ?? "")
    .split(",")
    .map(readChannel)
    .filter((c) => c !== null);
  const [id, opacity, outlines] = (query.get("labels") ?? "").split(",");
  const mode = query.get("mode");
  return {
    plane,
    shown: channels === null ? null : [...new Set(found.map(([index]) => index))].slice(0, MOST_SHOWN),
    settings: Object.fromEntries(found),
    mode: mode === "max" || mode === "volume" ? mode : "plane",
    labels: id
      ? {
          id,
          opacity: opacity === undefined ? OPACITY : within(Number(opacity), 0.05, 1, OPACITY),
          outlines: outlines === "1",
        }
      : null,
    camera: numbers(query.get("view")),
    fps: within(numbers(query.get("fps"))?.[0], 1, 60, FPS),
  };
}

export function newLabels(id: string): LabelChoice {
  return { id, opacity: OPACITY, outlines: false };
}

export interface View extends Omit<LinkedImage, "settings" | "shown"> {
  shown: number[];
  settings: ChannelSetting[];
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** The parameters of a view; null for what is as it would be without. `auto` are windows found, not chosen. */
export function linkOf(
  info: TileInfo,
  view: View,
  auto: Record<number, [number, number]>,
): Record<string, string | null> {
  const first = firstPlane(info);
  const at = (axis: string) =>
    view.plane[axis] === undefined || view.plane[axis] === first[axis] ? null : String(view.plane[axis]);
  const others = Object.keys(view.plane).filter((axis) => axis !== "t" && axis !== "z" && at(axis) !== null);
  const usual = defaultSettings(info).map((setting, i) => ({ ...setting, window: setting.window ?? auto[i] ?? null }));
  const changed =
    !same(view.shown, defaultShown(info)) || view.shown.some((index) => !same(view.settings[index], usual[index]));
  const { labels } = view;
  return {
    t: at("t"),
    z: at("z"),
    sel: others.map((axis) => `${axis}:${at(axis)}`).join(",") || null,
    channels: changed
      ? view.shown.map((index) => writeChannel(index, view.settings[index] as ChannelSetting)).join(",") || "none"
      : null,
    mode: view.mode === "plane" ? null : view.mode,
    labels: labels ? [labels.id, plain(labels.opacity), labels.outlines ? 1 : 0].join(",") : null,
    view: view.camera?.map((v) => Number(v.toPrecision(7))).join(",") ?? null,
    fps: view.fps === FPS ? null : String(view.fps),
  };
}
