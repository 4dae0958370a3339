/** Images over HTTP: the documents and addresses of docs/reference/http-images.md. */

import { getJson } from "./client";
import { isName, isStatistics, isTileInfo } from "./shapes";

export interface AxisInfo {
  name: string;
  type: string | null;
  unit: string | null;
  /** Size of one step, in `unit`; 1 where the file does not say. */
  scale: number;
  /** Position of element 0, in `unit`. */
  origin: number;
}

export interface Level {
  level: number;
  shape: number[];
  /** Size of level 0 divided by the size of this one, for each axis. */
  downsample: number[];
}

export interface ChannelInfo {
  index: number;
  label: string;
  color: string;
  active: boolean;
  window: { min: number; max: number; start: number; end: number } | null;
}

export interface Sibling {
  array_id: string;
  name: string;
}

/** OME-NGFF's `plate`, as it is in the file. */
export interface PlateInfo {
  name?: string;
  rows: { name: string }[];
  columns: { name: string }[];
  wells: { path: string; rowIndex: number; columnIndex: number }[];
}

export interface TileInfo {
  array_id: string;
  source_id: string;
  name: string;
  version: string;
  dtype: string;
  dim_labels: string[];
  shape: number[];
  axes: AxisInfo[];
  tile_size: number;
  levels: Level[];
  /** Whether the last axes are y and x of real numbers, so that there are tiles. */
  picture: boolean;
  rgb: boolean;
  is_label: boolean;
  channels: ChannelInfo[];
  labels: string[];
  plate: PlateInfo | null;
  siblings: Sibling[];
}

export interface ChannelStatistics {
  index: number;
  min: number | null;
  max: number | null;
  mean: number | null;
  std: number | null;
  percentiles: Record<string, number | null>;
  histogram: { lo: number | null; hi: number | null; counts: number[] };
  level: number;
  sampled: boolean;
}

/** Index along every axis that is neither y, x nor the channel. */
export type Plane = Record<string, number>;

/** An id in an address: its slashes stay slashes. */
export function arrayPath(arrayId: string): string {
  return arrayId.split("/").map(encodeURIComponent).join("/");
}

function planeQuery(plane: Plane, channel: number | null, project: string | null): URLSearchParams {
  const query = new URLSearchParams();
  for (const [axis, index] of Object.entries(plane)) {
    if (axis === project) continue;
    if (axis === "t" || axis === "z") query.set(axis, String(index));
    else query.append("sel", `${axis}:${index}`);
  }
  if (channel !== null) query.set("c", String(channel));
  if (project !== null) query.set("project", project);
  return query;
}

export interface TileAddress {
  level: number;
  col: number;
  row: number;
  plane: Plane;
  channel: number | null;
  /** Axis over which the maximum is taken. */
  project: string | null;
}

export function tileUrl(info: TileInfo, at: TileAddress): string {
  const query = planeQuery(at.plane, at.channel, at.project);
  query.set("level", String(at.level));
  query.set("col", String(at.col));
  query.set("row", String(at.row));
  query.set("v", info.version);
  return `api/tile/${arrayPath(info.array_id)}?${query}`;
}

/** `scale` elements of each axis become one. */
export function blockUrl(info: TileInfo, level: number, start: number[], stop: number[], scale: number[]): string {
  const query = new URLSearchParams({ level: String(level), start: start.join(","), stop: stop.join(",") });
  if (scale.some((factor) => factor > 1)) query.set("scale", scale.join(","));
  query.set("v", info.version);
  return `api/block/${arrayPath(info.array_id)}?${query}`;
}

export function getTileInfo(arrayId: string, signal?: AbortSignal): Promise<TileInfo> {
  return getJson<TileInfo>(`api/tile_info/${arrayPath(arrayId)}`, signal, isTileInfo);
}

export async function getStatistics(
  info: TileInfo,
  plane: Plane,
  channel: number | null,
  project: string | null,
  signal?: AbortSignal,
): Promise<ChannelStatistics[]> {
  const query = planeQuery(plane, channel, project);
  query.set("v", info.version);
  const url = `api/statistics/${arrayPath(info.array_id)}?${query}`;
  return (await getJson<{ channels: ChannelStatistics[] }>(url, signal, isStatistics)).channels;
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The file or folder that holds an image. */
export function getSource(sourceId: string, signal?: AbortSignal): Promise<{ name: string }> {
  return getJson<{ name: string }>(`api/sources/${arrayPath(sourceId)}`, signal, isName);
}

/** What the file says of itself; of one image when `path` names it within its source. */
export function getMetadata(sourceId: string, path: string, signal?: AbortSignal): Promise<Json> {
  const query = path === "" ? "" : `?${new URLSearchParams({ path })}`;
  return getJson<Json>(`api/sources/${arrayPath(sourceId)}/metadata${query}`, signal);
}

/** Where an image is in its source: the array's id without the source's. */
export function pathIn(sourceId: string, arrayId: string): string {
  return arrayId === sourceId ? "" : arrayId.slice(sourceId.length + 1);
}
