/** From the views as they are to a file. */

import { OrbitView, OrthographicView } from "@deck.gl/core";
import { counted, count as countText } from "../../data/format";
import { LUT_WIDTH } from "../../gpu/lut";
import { fromHex } from "../../gpu/palette";
import { hiddenOf } from "../../state/filters";
import { get, type Model, type View } from "../../state/store";
import { viewsNow } from "../../state/views";
import { lookOf } from "../cells/look";
import { titleOf } from "../grid/titles";
import { autoSize, cameraFromLink, homeCamera } from "../scatter/model";
import { useOverlays } from "../scatter/overlays";
import { FONT, paintItems } from "./canvas";
import { pathsOf } from "./lines";
import { type Item, laidOut, legendOf, MOST_CIRCLES, type Pane, type Settings, scaleOf, tooLarge } from "./model";
import { labelled } from "./png";
import type { Scene } from "./raster";
import type { Made, Order } from "./raster.worker";
import { type Ink, type Origin, type Points, svgOf } from "./svg";

/** Width and height of the views on the screen. */
export type Rooms = Record<string, { width: number; height: number }>;

const ANY_ROOM = { width: 600, height: 600 };

function shownViews(state: Model, all: boolean): View[] {
  return viewsNow(state).filter(({ id, geometry }) => geometry !== null && (all || id === state.focused));
}

function paneOf(view: View, state: Model, rooms: Rooms): Pane {
  const { width, height } = rooms[view.id] ?? ANY_ROOM;
  const { geometry, painted, range, cmap } = view;
  const hidden = hiddenOf(state.filters, painted);
  const look = lookOf(view, state, hidden);
  return {
    title: titleOf(view),
    axes: geometry?.columns.map((c) => geometry.embedding.axes[c] ?? `column ${c + 1}`) ?? [],
    dim: geometry?.dim ?? 2,
    aspect: width / height,
    legend: legendOf(painted, look.lut, range, cmap, hidden, state.passing),
  };
}

/** From coordinates to the pixels of a frame, seen from where the screen sees them. */
function matrixFor(view: View, width: number, height: number): number[] {
  const camera = cameraFromLink(view.camera, homeCamera(view.geometry?.dim ?? 2, width, height));
  const { kind, ...viewState } = camera;
  const seen =
    kind === "2d"
      ? new OrthographicView({ id: "flat", flipY: false })
      : new OrbitView({ id: "orbit", orbitAxis: "Y", fovy: 40 });
  const viewport = seen.makeViewport({ width, height, viewState: viewState as never });
  return Array.from(viewport?.pixelProjectionMatrix ?? []);
}

function sceneOf(view: View, state: Model, rooms: Rooms, width: number, height: number): Scene {
  const { geometry } = view;
  const look = lookOf(view, state, hiddenOf(state.filters, view.painted));
  const room = rooms[view.id] ?? ANY_ROOM;
  // Points grow with the figure, so that it looks as the screen does.
  const bigger = Math.min(width, height) / Math.min(room.width, room.height);
  const zoom = (view.camera?.length === 3 ? view.camera[2] : view.camera?.[3]) ?? 0;
  const closer = Math.min(4, Math.max(1, 2 ** (zoom * 0.35)));
  const markColors = new Uint8Array(256 * 4);
  look.marks?.colors.forEach((color, i) => {
    markColors.set([...fromHex(color), 255], (i + 1) * 4);
  });
  return {
    // On the screen, too, are only those whose colour has come.
    positions: geometry?.positions.subarray(0, 3 * (look.valued ?? geometry.n)) ?? new Float32Array(0),
    values: look.values,
    colors: look.lut.pixels.subarray(0, look.lut.rows * LUT_WIDTH * 4),
    entries: look.lut.entries,
    range: look.range,
    passing: look.passing,
    selected: look.selected,
    marks: look.marks?.codes ?? null,
    markColors,
    matrix: matrixFor(view, width, height),
    width,
    height,
    size: (state.size ?? autoSize(geometry?.n ?? 0)) * bigger * closer,
    alpha: state.alpha ?? 1,
    deep: geometry?.dim === 3,
  };
}

function made(order: Order): Promise<Made> {
  const worker = new Worker(new URL("./raster.worker.ts", import.meta.url), { type: "module" });
  return new Promise<Made>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<Made>) => resolve(data);
    worker.onerror = (event) => reject(new Error(event.message || "The figure could not be drawn"));
    worker.postMessage(order);
  }).finally(() => worker.terminate());
}

function inkOf({ background }: Settings): Ink {
  if (background !== "theme") {
    return { background: background === "white" ? "#ffffff" : null, text: "#1b2026", frame: "#838c95" };
  }
  // What light-dark() comes to, only an element can tell.
  const probe = document.createElement("i");
  document.body.append(probe);
  const of = (name: string) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const ink = { background: of("canvas"), text: of("text"), frame: of("control-line") };
  probe.remove();
  return ink;
}

function measure(text: string, size: number): number {
  const context = document.createElement("canvas").getContext("2d");
  if (!context) return text.length * size * 0.56;
  context.font = `${size}px ${FONT}`;
  return context.measureText(text).width;
}

/** A view's points between the lines that lie under and over them. */
function withLines(frame: Frame, view: View | undefined, rooms: Rooms): Item[] {
  const geometry = view?.geometry;
  if (!view || !geometry) return [frame];
  const { x, y, w, h } = frame;
  const matrix = matrixFor(view, w, h);
  const room = rooms[view.id] ?? ANY_ROOM;
  const bigger = Math.min(w, h) / Math.min(room.width, room.height);
  const strokes = Object.values(useOverlays.getState()).flatMap((made) => made(geometry, view.id).strokes);
  const lines = (over: boolean): Item[] => {
    const paths = strokes.filter((one) => one.over === over).flatMap((one) => pathsOf(one, matrix, bigger));
    return paths.length > 0 ? [{ kind: "lines", paths, x, y, w, h }] : [];
  };
  return [...lines(false), frame, ...lines(true)];
}

export interface Figure {
  blob: Blob;
  name: string;
  /** What was made, in words. */
  told: string;
}

function originOf(state: Model, settings: Settings): Origin {
  return {
    title: settings.title.trim() || `${state.identity?.name ?? "cells"}`,
    link: location.href.split("#")[0] ?? "",
    software: "coverslip",
    made: new Date().toISOString(),
  };
}

export async function makeFigure(settings: Settings, rooms: Rooms): Promise<Figure> {
  const state = get();
  const views = shownViews(state, settings.all);
  const panes = views.map((view) => paneOf(view, state, rooms));
  const { items: laid, width, height } = laidOut(panes, settings, measure);
  const items = laid.flatMap((item) => (item.kind === "points" ? withLines(item, views[item.pane], rooms) : [item]));
  const scale = scaleOf(settings);
  const refused = tooLarge(width, height, scale);
  if (refused !== null) throw new Error(refused);
  const [ink, origin] = [inkOf(settings), originOf(state, settings)];
  const name = `${(state.identity?.name ?? "cells").replace(/[^\p{L}\p{N}._-]+/gu, "_")}.${settings.format}`;
  if (settings.format === "svg") {
    const points = await pointsOf(items, views, state, rooms, scale);
    const text = svgOf(items, { width, height }, settings.unit === "mm", points, ink, origin);
    const many = points.reduce((sum, one) => sum + (one.kind === "dots" ? one.dots.count : 0), 0);
    const pictures = points.filter(({ kind }) => kind === "picture").length;
    const told = pictures > 0 ? `points of ${counted(pictures, "view")} as a picture` : counted(many, "circle");
    return { blob: new Blob([text], { type: "image/svg+xml" }), name, told };
  }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  const pictures: (ImageBitmap | null)[] = views.map(() => null);
  for (const frame of framesOf(items)) {
    const view = views[frame.pane];
    if (!view) continue;
    const scene = sceneOf(view, state, rooms, Math.round(frame.w * scale), Math.round(frame.h * scale));
    const { pixels } = await made({ scene, most: null });
    if (pixels) pictures[frame.pane] = await createImageBitmap(pixels);
  }
  paintItems(canvas, items, scale, pictures, ink);
  const bytes = await bytesOf(canvas);
  const texts = {
    Title: origin.title,
    Source: origin.link,
    Software: origin.software,
    "Creation Time": origin.made,
  };
  const png = labelled(bytes, settings.dpi, texts);
  const told = `${countText(canvas.width)} × ${countText(canvas.height)} pixels`;
  return { blob: new Blob([png], { type: "image/png" }), name, told };
}

type Frame = Extract<Item, { kind: "points" }>;

function framesOf(items: Item[]): Frame[] {
  return items.filter((item) => item.kind === "points");
}

async function pointsOf(items: Item[], views: View[], state: Model, rooms: Rooms, scale: number): Promise<Points[]> {
  const points: Points[] = [];
  for (const frame of framesOf(items)) {
    const view = views[frame.pane];
    if (!view) continue;
    const scene = sceneOf(view, state, rooms, frame.w, frame.h);
    const first = await made({ scene, most: MOST_CIRCLES });
    if (first.dots) {
      points[frame.pane] = { kind: "dots", dots: first.dots, size: scene.size };
      continue;
    }
    const fine = sceneOf(view, state, rooms, Math.round(frame.w * scale), Math.round(frame.h * scale));
    const { pixels } = await made({ scene: fine, most: null });
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [fine.width, fine.height];
    if (pixels) canvas.getContext("2d")?.putImageData(pixels, 0, 0);
    points[frame.pane] = { kind: "picture", href: canvas.toDataURL("image/png") };
  }
  return points;
}

async function bytesOf(canvas: HTMLCanvasElement): Promise<Uint8Array> {
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png"));
  if (!blob) throw new Error("This browser makes no picture of that size: take a smaller one");
  return new Uint8Array(await blob.arrayBuffer());
}

export function save({ blob, name }: Figure): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
