/** What a person can do with an image: each action fetches what it needs, and the latest of a kind always wins. */

import { ApiError, getBytes, getJson, isAbort, toApiError } from "../../api/client";
import {
  blockUrl,
  type ChannelStatistics,
  getMetadata,
  getSource,
  getStatistics,
  getTileInfo,
  pathIn,
  type TileInfo,
} from "../../api/images";
import { bytesOf, drawable, typeRange } from "../../data/pixels";
import type { Voxels } from "../../data/voxels";
import { webGl } from "../../gpu/webgl";
import { type LabelChoice, newLabels, readLink } from "./link";
import {
  autoWindow,
  axisSize,
  type ChannelSetting,
  channelIn,
  defaultSettings,
  defaultShown,
  firstPlane,
  MOST_SHOWN,
  type Mode,
  planeIn,
  sliderAxes,
  volumeLevel,
} from "./model";
import { blankImage, getImage, type Hover, type ImageModel, setImage, setProgress, volumeKey } from "./state";
import { type Selection, Tiles } from "./tiles";
import type { Volume } from "./volume";

const POLL_MS = 1500;
const HISTOGRAM_MS = 350;

/** One running request of each kind; a newer one ends it. */
const running = new Map<string, AbortController>();

async function latest(kind: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  running.get(kind)?.abort();
  const own = new AbortController();
  running.set(kind, own);
  try {
    await work(own.signal);
  } catch (error) {
    if (!isAbort(error) && !own.signal.aborted) fail(toApiError(error));
  } finally {
    if (running.get(kind) === own) {
      running.delete(kind);
      setProgress(kind, null);
    }
  }
}

export function leaveImage(): void {
  for (const controller of running.values()) controller.abort();
  running.clear();
  clearTimeout(histogramTimer);
  blankImage("");
}

export function fail(error: ApiError): void {
  if (isAbort(error)) return;
  const bare = getImage().info === null;
  if (bare) setImage({ error, phase: "error" });
  else if (error.offline) setImage({ offline: true });
  else if (error.code === "superseded") void openImage(getImage().arrayId);
  else setImage({ error });
  if (error.offline) void reconnect();
}

/** Asks until the server is back; what is drawn stays. */
async function reconnect(): Promise<void> {
  if (running.has("reconnect")) return;
  const own = new AbortController();
  running.set("reconnect", own);
  while (!own.signal.aborted) {
    await new Promise((done) => setTimeout(done, POLL_MS));
    try {
      await getJson("livez", own.signal);
      break;
    } catch {
      // Still gone; asked again.
    }
  }
  if (own.signal.aborted) return;
  running.delete("reconnect");
  const { info, arrayId } = getImage();
  if (info === null) await openImage(arrayId);
  else retry();
}

/** Is the server still there? */
export async function lookForServer(): Promise<void> {
  if (getImage().offline || getImage().info === null) return;
  try {
    await getJson("livez");
  } catch (error) {
    if (error instanceof ApiError && error.offline) fail(error);
  }
}

export function retry(): void {
  const { info, arrayId, mode } = getImage();
  if (info === null) {
    void openImage(arrayId);
    return;
  }
  setImage(({ attempt }) => ({ attempt: attempt + 1, error: null, offline: false }));
  void findWindows();
  if (mode === "volume") void loadVolume();
}

function refused(info: TileInfo): ApiError | null {
  const hint = "Its numbers can be read from Python, with coverslip.connect().";
  if (!drawable(info.dtype)) {
    return new ApiError("not_drawable", `Pixels of type ${info.dtype} cannot be drawn`, hint, 0);
  }
  if (info.picture) return null;
  const axes = info.dim_labels.join(", ");
  const words = `${info.name} is no picture: a picture has the axes y and x, and this has ${axes || "none"}`;
  return new ApiError("not_a_picture", words, hint, 0);
}

/** Open an image in the view that the address bar tells. */
export async function openImage(arrayId: string): Promise<void> {
  blankImage(arrayId);
  await latest("image", async (signal) => {
    setProgress("image", { label: "Opening", fraction: null });
    const info = await getTileInfo(arrayId, signal);
    const problem = refused(info);
    if (problem) throw problem;
    if (info.shape.some((n) => n === 0)) {
      setImage({ info, phase: "empty" });
      return;
    }
    setImage({ ...viewOf(info), tiles: new Tiles(info), info, phase: "ready", error: null });
    void findWindows();
    void findSource(info.source_id);
    const { labels, mode } = getImage();
    if (labels) void chooseLabels(labels);
    if (mode === "volume") void loadVolume();
  });
}

async function findSource(sourceId: string): Promise<void> {
  await latest("source", async (signal) => {
    const { name } = await getSource(sourceId, signal);
    setImage({ source: name });
  });
}

/** The view that the link asks for, as far as this image has it. */
function viewOf(info: TileInfo): Partial<ImageModel> {
  const linked = readLink(location.search);
  const own = defaultSettings(info);
  const settings = own.map((setting, i) => ({ ...setting, ...linked.settings[i] }));
  for (const [i, setting] of settings.entries()) setting.window ??= own[i]?.window ?? null;
  const there = linked.shown?.filter((i) => i < own.length) ?? null;
  const flat = axisSize(info, "z") < 2;
  const labels = info.is_label ? { ...newLabels(info.array_id), opacity: 1 } : null;
  return {
    plane: planeIn(info, { ...firstPlane(info), ...linked.plane }),
    settings,
    shown: info.is_label ? [] : (there ?? defaultShown(info)),
    mode: flat && linked.mode === "max" ? "plane" : linked.mode,
    labels: linked.labels ?? labels,
    camera: linked.camera,
    fps: linked.fps,
    notice:
      there && there.length < (linked.shown?.length ?? 0)
        ? "The link names channels that are not in this image."
        : null,
  };
}

/** Asks what channels span, where no window was chosen for them. */
async function findWindows(): Promise<void> {
  const { shown, settings } = getImage();
  const missing = shown.filter((i) => settings[i]?.window === null);
  await Promise.all(missing.map((channel) => findStatistics(channel)));
  // Where the figures could not be had (the page says why), what the type can hold is better than nothing.
  setImage((state) => {
    const { info } = state;
    const open = (channel: number) => state.settings[channel]?.window === null && !running.has(`statistics ${channel}`);
    const left = info && !state.offline ? missing.filter(open) : [];
    const window = typeRange(info?.dtype ?? "") ?? [0, 1];
    return { settings: left.reduce((all, channel) => patched(all, channel, { window: [...window] }), state.settings) };
  });
}

async function findStatistics(channel: number): Promise<ChannelStatistics | null> {
  const { info, plane, mode } = getImage();
  if (!info) return null;
  let found: ChannelStatistics | null = null;
  await latest(`statistics ${channel}`, async (signal) => {
    const project = mode === "max" ? "z" : null;
    const [first] = await getStatistics(info, plane, channelIn(info, channel), project, signal);
    if (!first || signal.aborted || getImage().info !== info) return;
    found = first;
    setImage(({ statistics, settings, auto }) => {
      const window = autoWindow(first);
      const open = settings[channel]?.window === null;
      return {
        statistics: { ...statistics, [channel]: first },
        ...(open ? { auto: { ...auto, [channel]: window }, settings: patched(settings, channel, { window }) } : {}),
      };
    });
  });
  return found;
}

let histogramTimer = 0;
/** Histograms follow the plane, a little behind. */
function refreshHistograms(): void {
  clearTimeout(histogramTimer);
  histogramTimer = window.setTimeout(() => {
    const { shown, playing } = getImage();
    if (playing === null) for (const channel of shown) void findStatistics(channel);
  }, HISTOGRAM_MS);
}

/** Statistics of every shown channel, when the panel that draws them asks. */
export function wantHistograms(): void {
  const { shown, statistics } = getImage();
  const asked = (channel: number) => statistics[channel] !== undefined || running.has(`statistics ${channel}`);
  for (const channel of shown) if (!asked(channel)) void findStatistics(channel);
}

function patched(settings: ChannelSetting[], channel: number, change: Partial<ChannelSetting>): ChannelSetting[] {
  return settings.map((setting, i) => (i === channel ? { ...setting, ...change } : setting));
}

export function changeChannel(channel: number, change: Partial<ChannelSetting>): void {
  setImage(({ settings, info }) => {
    // The colours of one picture keep their balance.
    if (info?.rgb && (change.window || change.gamma)) return { settings: settings.map((s) => ({ ...s, ...change })) };
    return { settings: patched(settings, channel, change) };
  });
}

export async function autoContrast(channels: readonly number[]): Promise<void> {
  const found = await Promise.all(channels.map((channel) => findStatistics(channel)));
  const windows = found.map((statistics) => (statistics ? autoWindow(statistics) : null));
  const known = windows.filter((window) => window !== null);
  if (getImage().info?.rgb && known.length > 0) {
    const window: [number, number] = [Math.min(...known.map(([a]) => a)), Math.max(...known.map(([, b]) => b))];
    changeChannel(0, { window });
    return;
  }
  channels.forEach((channel, i) => {
    const window = windows[i];
    if (window) changeChannel(channel, { window });
  });
}

/** All channels as they were when the image was opened without a link. */
export function resetChannels(): void {
  setImage(({ info, auto }) => {
    if (!info) return {};
    const settings = defaultSettings(info).map((s, i) => ({ ...s, window: s.window ?? auto[i] ?? null }));
    return { settings, shown: info.is_label ? [] : defaultShown(info) };
  });
  void findWindows();
}

/** Puts a channel among those shown, or takes it out; whether there was room. */
export function toggleShown(channel: number): boolean {
  const { shown, info, mode } = getImage();
  if (!info) return false;
  const is = shown.includes(channel);
  if (!is && shown.length >= MOST_SHOWN) {
    setImage({ notice: `Six channels are shown at once at most; take one out to add another.` });
    return false;
  }
  const next = is ? shown.filter((i) => i !== channel) : [...shown, channel].sort((a, b) => a - b);
  setImage(({ settings }) => ({ shown: next, settings: patched(settings, channel, { visible: true }), hover: null }));
  void findWindows();
  if (mode === "volume") void loadVolume();
  return true;
}

export function choosePlace(axis: string, index: number): void {
  const { info, plane, mode } = getImage();
  if (!info || plane[axis] === undefined) return;
  const within = Math.max(0, Math.min(axisSize(info, axis) - 1, Math.round(index)));
  if (within === plane[axis]) return;
  setImage({ plane: { ...plane, [axis]: within }, hover: null });
  refreshHistograms();
  if (mode === "volume" && axis !== "z") void loadVolume();
}

/** One step along an axis; past the end it goes on from the other. */
export function stepPlace(axis: string, by: number): void {
  const { info, plane } = getImage();
  if (!info) return;
  const size = axisSize(info, axis);
  choosePlace(axis, ((plane[axis] ?? 0) + by + size) % size);
}

/** The axis that keys and playback move along when none is named: time before depth. */
export function mainAxis(): string | null {
  const { info, mode } = getImage();
  const axes = info ? sliderAxes(info).filter((axis) => axis !== "z" || mode === "plane") : [];
  return axes.includes("t") ? "t" : (axes[0] ?? null);
}

export function play(axis: string | null): void {
  setImage({ playing: axis });
  if (axis === null) refreshHistograms();
}

export function chooseMode(mode: Mode): void {
  const { info } = getImage();
  if (!info) return;
  setImage({ mode, camera: mode === "volume" || getImage().mode === "volume" ? null : getImage().camera, hover: null });
  if (mode === "volume") void loadVolume();
  else {
    running.get("volume")?.abort();
    refreshHistograms();
  }
}

export async function chooseLabels(labels: LabelChoice | null): Promise<void> {
  const { labelTiles, info } = getImage();
  setImage({ labels, hover: null });
  if (labels === null || labelTiles?.info.array_id === labels.id) return;
  setImage({ labelTiles: null });
  let asked: AbortSignal | undefined;
  await latest("labels", async (signal) => {
    asked = signal;
    setProgress("labels", { label: "Labels", fraction: null });
    const own = await getTileInfo(labels.id, signal);
    const { tiles } = getImage();
    if (!tiles || getImage().info !== info) return;
    setImage({ labelTiles: new Tiles(own, tiles.pyramid) });
  });
  if (asked?.aborted) return; // they were chosen anew, with another opacity
  if (getImage().labelTiles === null && getImage().labels?.id === labels.id) setImage({ labels: null });
}

/** What one channel's tiles are pieces of. */
export function selectionOf(state: ImageModel, channel: number): Selection {
  const info = state.info as TileInfo;
  return { plane: state.plane, channel: channelIn(info, channel), project: state.mode === "max" ? "z" : null };
}

export function labelSelection(state: ImageModel): Selection | null {
  const info = state.labelTiles?.info;
  if (!info) return null;
  const project = state.mode === "max" && axisSize(info, "z") > 1 ? "z" : null;
  return { plane: planeIn(info, state.plane), channel: channelIn(info, 0), project };
}

const DWELL_MS = 120;
let dwell = 0;

/** Reads the pixel at a world position: at once what is held, then exactly. */
export function pointAt(world: [number, number] | null, x: number, y: number): void {
  clearTimeout(dwell);
  running.get("hover")?.abort();
  const state = getImage();
  const { tiles } = state;
  if (!tiles || !world || !inside(world, tiles)) {
    if (state.hover) setImage({ hover: null });
    return;
  }
  const [column, row] = tiles.pixelAt(0, ...world);
  const hover: Hover = { column, row, x, y, values: {}, exact: true, label: null };
  for (const channel of visibleChannels(state)) {
    const found = tiles.valueAt(...world, selectionOf(state, channel));
    if (found) hover.values[channel] = found.value;
    if (found?.place !== 0) hover.exact = false;
  }
  const labels = labelSelection(state);
  if (labels) {
    const found = state.labelTiles?.valueAt(...world, labels);
    hover.label = found?.value ?? null;
    if (found?.place !== 0) hover.exact = false;
  }
  setImage({ hover });
  if (!hover.exact) dwell = window.setTimeout(() => void readExactly(hover, world), DWELL_MS);
}

function inside([x, y]: [number, number], { pyramid }: Tiles): boolean {
  return x >= 0 && y >= 0 && x < pyramid.width && y < pyramid.height;
}

function visibleChannels({ shown, settings }: ImageModel): number[] {
  return shown.filter((i) => settings[i]?.visible);
}

async function readExactly(hover: Hover, world: [number, number]): Promise<void> {
  await latest("hover", async (signal) => {
    const state = getImage();
    const { tiles, labelTiles } = state;
    if (!tiles) return;
    const channels = visibleChannels(state);
    const asked = channels.map((channel) => tiles.exactAt(...world, selectionOf(state, channel), signal));
    const labels = labelSelection(state);
    const label = labels && labelTiles ? labelTiles.exactAt(...world, labels, signal) : null;
    const values = await Promise.all(asked);
    const found = Object.fromEntries(channels.map((channel, i) => [channel, values[i] as number | bigint]));
    const exact: Hover = { ...hover, values: found, exact: true, label: await label };
    if (getImage().hover === hover) setImage({ hover: exact });
  });
}

export async function loadMetadata(): Promise<void> {
  const { info, metadata } = getImage();
  if (!info || metadata !== undefined) return;
  await latest("metadata", async (signal) => {
    const path = pathIn(info.source_id, info.array_id);
    setImage({ metadata: await getMetadata(info.source_id, path, signal) });
  });
}

/** The volumes of the shown channels, at the finest level that fits. */
export async function loadVolume(): Promise<void> {
  const { info, shown, plane } = getImage();
  if (!info) return;
  const choice = volumeLevel(info, webGl()?.volumeSide);
  if (choice === "flat") return setImage({ volume: { kind: "flat" } });
  if (choice === "too_large") {
    const shape = info.levels.at(-1)?.shape ?? [];
    const voxels = ["x", "y", "z"].reduce((n, axis) => n * (shape[info.dim_labels.indexOf(axis)] ?? 1), 1);
    return setImage({ volume: { kind: "too_large", voxels } });
  }
  const key = volumeKey(info, plane);
  const before = getImage().volume;
  const kept = before.kind === "ready" && before.key === key ? before.volumes : [];
  await latest("volume", async (signal) => {
    const volumes: Volume[] = [];
    for (const [i, channel] of shown.entries()) {
      const label = `Volume ${i + 1} of ${shown.length}`;
      const found = kept.find((v) => v.channel === channel);
      setProgress("volume", { label, fraction: i / shown.length });
      const onProgress = (part: number) => setProgress("volume", { label, fraction: (i + part) / shown.length });
      volumes.push(found ?? (await fetchVolume(info, channel, choice, onProgress, signal)));
    }
    if (!signal.aborted) setImage({ volume: { kind: "ready", key, volumes, level: choice.level } });
  });
}

type Sized = Exclude<ReturnType<typeof volumeLevel>, string>;

async function fetchVolume(
  info: TileInfo,
  channel: number,
  choice: Sized,
  onProgress: (part: number) => void,
  signal: AbortSignal,
): Promise<Volume> {
  const { level, width, height, planes, factor, depth } = choice;
  const { plane } = getImage();
  const sizes: Record<string, number> = { x: width, y: height, z: planes };
  const start = info.dim_labels.map((axis) => (axis in sizes ? 0 : axis === "c" ? channel : (plane[axis] ?? 0)));
  const stop = info.dim_labels.map((axis, i) => sizes[axis] ?? (start[i] as number) + 1);
  const expected = width * height * depth * bytesOf(info.dtype);
  const scale = info.dim_labels.map((axis) => (axis === "z" ? factor : 1));
  const url = blockUrl(info, level, start, stop, scale);
  const bytes = await getBytes(url, expected, signal, (got, all) => onProgress(got / all));
  return { channel, voxels: await converted(bytes, info.dtype), width, height, depth };
}

/** In a worker of its own, which ends with its work. */
function converted(bytes: ArrayBuffer, dtype: string): Promise<Voxels> {
  const worker = new Worker(new URL("../../data/voxels.worker.ts", import.meta.url), { type: "module" });
  return new Promise<Voxels>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<{ voxels?: Voxels; error?: string }>) => {
      if (data.voxels) resolve(data.voxels);
      else reject(new Error(data.error));
      worker.terminate();
    };
    worker.onerror = (event) => {
      reject(new Error(event.message || "The worker failed"));
      worker.terminate();
    };
    worker.postMessage({ bytes, dtype }, [bytes]);
  });
}
