/** Cameras, windows and words of the image view: everything about it that needs no GPU and no server. */

import type { ChannelInfo, ChannelStatistics, Plane, TileInfo } from "../../api/images";
import { count, counted } from "../../data/format";
import { typeRange } from "../../data/pixels";
import { inMetres, measured } from "../../data/units";

/** Channels put together at once; more could not be told apart. */
export const MOST_SHOWN = 6;

export type Mode = "plane" | "max" | "volume";

export interface ChannelSetting {
  /** `#rrggbb` */
  color: string;
  /** null until it is known what the pixels span. */
  window: [number, number] | null;
  gamma: number;
  visible: boolean;
}

export function axisSize(info: TileInfo, name: string): number {
  const axis = info.dim_labels.indexOf(name);
  return axis < 0 ? 1 : (info.shape[axis] ?? 1);
}

/** Axes that have a slider, in the file's order. */
export function sliderAxes(info: TileInfo): string[] {
  return info.dim_labels.filter((name, i) => !["x", "y", "c"].includes(name) && (info.shape[i] ?? 1) > 1);
}

/** The plane that is shown first: the middle of z, the start of all else. */
export function firstPlane(info: TileInfo): Plane {
  const plane: Plane = {};
  info.dim_labels.forEach((name, i) => {
    if (name === "x" || name === "y" || name === "c") return;
    plane[name] = name === "z" ? Math.floor(((info.shape[i] ?? 1) - 1) / 2) : 0;
  });
  return plane;
}

/** A plane of another image: the same place on the axes that both have, as far as they go. */
export function planeIn(info: TileInfo, plane: Plane): Plane {
  const own = firstPlane(info);
  for (const axis of Object.keys(own)) {
    own[axis] = Math.min(plane[axis] ?? 0, axisSize(info, axis) - 1);
  }
  return own;
}

/** The channel of a tile's address. */
export function channelIn(info: TileInfo, channel: number): number | null {
  return info.dim_labels.includes("c") ? channel : null;
}

/** What a file says about contrast; null where it says nothing or only how far its numbers could go. */
export function fileWindow(info: TileInfo, channel: ChannelInfo): [number, number] | null {
  const { window } = channel;
  const whole = typeRange(info.dtype);
  if (info.rgb) return window ? [window.start, window.end] : (whole ?? [0, 1]);
  if (!window || !(window.end > window.start)) return null;
  const says = whole === null || window.start !== whole[0] || window.end !== whole[1];
  return says ? [window.start, window.end] : null;
}

/** From the first percentile to the one that leaves out only the brightest in a thousand. */
export function autoWindow(statistics: ChannelStatistics): [number, number] {
  const { min, max, percentiles } = statistics;
  if (min === null || max === null) return [0, 1];
  const low = percentiles["1"] ?? min;
  const high = percentiles["99.9"] ?? max;
  if (high > low) return [low, high];
  if (max > min) return [min, max];
  return min > 0 ? [0, min] : min < 0 ? [min, 0] : [0, 1];
}

/** What the contrast slider spans: the pixels there are, and the window wherever it is. */
export function contrastDomain(statistics: ChannelStatistics | undefined, window: [number, number]): [number, number] {
  const low = Math.min(statistics?.min ?? window[0], window[0]);
  const high = Math.max(statistics?.max ?? window[1], window[1]);
  return high > low ? [low, high] : [low, low + 1];
}

export function defaultSettings(info: TileInfo): ChannelSetting[] {
  return info.channels.map((channel, i) => ({
    color: info.rgb ? (["#ff0000", "#00ff00", "#0000ff"][i] ?? "#ffffff") : channel.color.toLowerCase(),
    window: fileWindow(info, channel),
    gamma: 1,
    visible: true,
  }));
}

export function defaultShown(info: TileInfo): number[] {
  const active = info.channels.filter((c) => c.active || info.rgb).map((c) => c.index);
  const some = active.length > 0 ? active : info.channels.map((c) => c.index);
  return some.slice(0, MOST_SHOWN);
}

export function colorParts(color: string): [number, number, number] {
  const bits = Number.parseInt(color.slice(1), 16) || 0;
  return [((bits >> 16) & 255) / 255, ((bits >> 8) & 255) / 255, (bits & 255) / 255];
}

export interface PlaneCamera {
  kind: "plane";
  target: [number, number, number];
  zoom: number;
}

export interface VolumeCamera {
  kind: "volume";
  target: [number, number, number];
  zoom: number;
  rotationX: number;
  rotationOrbit: number;
}

export type Camera = PlaneCamera | VolumeCamera;

const FILL = 0.96;
const VOLUME_FILL = 0.62;
/** Screen pixels for one of the image, as a power of two. */
export const MAX_ZOOM = 7;

interface Size {
  width: number;
  height: number;
}

/** All of an image in the middle of the window; world units are its pixels. */
export function homePlane(image: Size, view: Size): PlaneCamera {
  const fits = Math.min((view.width * FILL) / image.width, (view.height * FILL) / image.height);
  const zoom = Math.min(MAX_ZOOM, Math.log2(Math.max(fits, 1e-9)));
  return { kind: "plane", target: [image.width / 2, image.height / 2, 0], zoom };
}

/** All of a volume whose longest side is 1. */
export function homeVolume(view: Size): VolumeCamera {
  const side = Math.max(64, Math.min(view.width, view.height));
  return {
    kind: "volume",
    target: [0, 0, 0],
    zoom: Math.log2(side * VOLUME_FILL),
    rotationX: 20,
    rotationOrbit: -30,
  };
}

/** Cameras in a link do not depend on the window: zoom is told relative to the home camera's. */
export function cameraToLink(camera: Camera, home: Camera): number[] {
  const zoom = camera.zoom - home.zoom;
  const [x, y, z] = camera.target;
  return camera.kind === "plane" ? [x, y, zoom] : [x, y, z, zoom, camera.rotationX, camera.rotationOrbit];
}

export function cameraFromLink(link: number[] | null, home: Camera): Camera {
  if (link === null) return home;
  const at = (i: number) => link[i] ?? 0;
  if (home.kind === "plane") {
    return link.length === 3 ? { kind: "plane", target: [at(0), at(1), 0], zoom: home.zoom + at(2) } : home;
  }
  if (link.length !== 6) return home;
  return {
    kind: "volume",
    target: [at(0), at(1), at(2)],
    zoom: home.zoom + at(3),
    rotationX: at(4),
    rotationOrbit: at(5),
  };
}

/** Physical position of a pixel along an axis. */
export function positionOf(info: TileInfo, axis: string, index: number): string | null {
  const found = info.axes.find(({ name }) => name === axis);
  if (!found?.unit) return null;
  return measured((found.origin ?? 0) + index * found.scale, found.unit);
}

/** Sides of the volume in world units, the longest 1; in voxels where the file knows no sizes. */
export function volumeSides(info: TileInfo): [number, number, number] {
  const axes = ["x", "y", "z"].map((name) => info.axes.find((axis) => axis.name === name));
  const known = axes.every((axis) => inMetres(axis?.unit ?? null) !== null && (axis?.scale ?? 0) > 0);
  const sides = axes.map((axis, i) => {
    const size = axisSize(info, ["x", "y", "z"][i] as string);
    return known ? size * (axis?.scale ?? 1) * (inMetres(axis?.unit ?? null) ?? 1) : size;
  });
  const longest = Math.max(...sides);
  return sides.map((side) => side / longest) as [number, number, number];
}

/** Voxels of one channel that a volume may have; 32 MB as half floats. */
export const MOST_VOXELS = 2 ** 24;
/** Voxels of one channel that the server may have to read for it. */
export const MOST_READ = 2 ** 29;

export interface VolumeChoice {
  level: number;
  width: number;
  height: number;
  /** Planes read, and how many of them become one. */
  planes: number;
  factor: number;
  depth: number;
}

/** The finest level that fits (and has no side above `longest`), else the coarsest with planes put together; or why there is none. */
export function volumeLevel(info: TileInfo, longest = 2048): VolumeChoice | "flat" | "too_large" {
  const at = ["x", "y", "z"].map((name) => info.dim_labels.indexOf(name));
  const choices = info.levels.map(({ level, shape }) => {
    const [width, height, planes] = at.map((axis) => (axis < 0 ? 1 : (shape[axis] ?? 1))) as [number, number, number];
    return { level, width, height, planes, factor: 1, depth: planes };
  });
  if ((choices[0]?.planes ?? 1) < 2) return "flat";
  const within = (width: number, height: number, depth: number) =>
    width * height * depth <= MOST_VOXELS && Math.max(width, height, depth) <= longest;
  const fits = choices.find(({ width, height, depth }) => within(width, height, depth));
  if (fits) return fits;
  const last = choices.at(-1) as VolumeChoice;
  const voxels = last.width * last.height * last.planes;
  if (voxels > MOST_READ || Math.max(last.width, last.height) > longest) return "too_large";
  const factor = Math.max(Math.ceil(voxels / MOST_VOXELS), Math.ceil(last.planes / longest));
  return { ...last, factor, depth: Math.ceil(last.planes / factor) };
}

/** "2,048 × 2,048 px" */
export function extent(info: TileInfo): string {
  return `${count(axisSize(info, "x"))} × ${count(axisSize(info, "y"))} px`;
}

/** What a picture of it is called on disk: without the image's own extension, of letters that every disk takes. */
export function pictureName(title: string): string {
  return title.replace(/(\.ome)?\.[a-z][a-z0-9]{1,4}(?= \/ |$)/i, "").replaceAll(/[^\p{L}\p{N}._-]+/gu, "_");
}

/** The name of the source, and of the image in it when there are several or the source's is not known. */
export function titleOf(info: TileInfo, source: string | null): string {
  if (source === null) return info.name;
  const own = info.siblings.find(({ array_id }) => array_id === info.array_id)?.name ?? info.name;
  return info.siblings.length > 1 && own ? `${source} / ${own}` : source;
}

/** "2,048 × 2,048 px · 3 channels · 20 z · uint16" */
export function dimensions(info: TileInfo): string {
  const parts = [extent(info)];
  if (info.rgb) parts.push("RGB");
  else if (axisSize(info, "c") > 1) parts.push(counted(axisSize(info, "c"), "channel"));
  for (const axis of sliderAxes(info)) parts.push(`${count(axisSize(info, axis))} ${axis}`);
  return [...parts, info.dtype].join(" · ");
}

/** What a person who cannot see the picture is told. */
export function summary(
  title: string,
  info: TileInfo,
  plane: Plane,
  mode: Mode,
  shown: number[],
  settings: ChannelSetting[],
): string {
  const names = shown.filter((i) => settings[i]?.visible).map((i) => info.channels[i]?.label || `channel ${i + 1}`);
  const what = mode === "volume" ? "Volume" : "Image";
  const channels = info.rgb ? "colours as recorded" : names.length > 0 ? names.join(", ") : "no channel shown";
  const places = sliderAxes(info)
    .filter((axis) => axis !== "z" || mode === "plane")
    .map((axis) => `${axis} ${(plane[axis] ?? 0) + 1} of ${count(axisSize(info, axis))}`);
  const all = mode === "max" ? ["maximum over z"] : [];
  return [`${what} ${title}, ${dimensions(info)}`, channels, ...places, ...all].join("; ");
}
