/** The image itself: the canvas, its scale bar, what is under the pointer. */

import { useEffect, useMemo, useRef, useState } from "react";
import { ApiError, toApiError } from "../../api/client";
import { scaleBar } from "../../data/units";
import { webGl } from "../../gpu/webgl";
import { part } from "../../ui/part";
import { fail, labelSelection, pointAt, selectionOf } from "./actions";
import { type Bench, bench } from "./bench";
import {
  type Camera,
  cameraFromLink,
  cameraToLink,
  colorParts,
  homePlane,
  homeVolume,
  summary,
  titleOf,
  volumeSides,
} from "./model";
import { Readout } from "./Readout";
import { type Scene, Stage } from "./stage";
import { getImage, type ImageModel, setImage, useImage, volumeKey, wantedKey } from "./state";

const NoWebGl = part(() => import("../../ui/NoWebGl"));

const NO_WINDOW: [number, number] = [0, 1];
const BAR_PX = 140;

function looksOf({ shown, settings }: ImageModel) {
  return shown.map((i) => {
    const { color = "#000000", window = null, gamma = 1, visible = false } = settings[i] ?? {};
    // Until it is known what a channel spans, it would only flash.
    return { color: colorParts(color), window: window ?? NO_WINDOW, gamma, visible: visible && window !== null };
  });
}

/** What of the model is drawn; the same object while none of it changes. */
function useScene(): Scene | null {
  const state = useImage();
  const { info, tiles, plane, mode, shown, settings, labels, labelTiles, volume, attempt } = state;
  const label = state.hover?.label ?? null;
  const chosen =
    label === null ? 0 : Number(BigInt.asUintN(32, BigInt(typeof label === "number" ? Math.trunc(label) : label)));
  const looks = useMemo(() => looksOf({ shown, settings } as ImageModel), [shown, settings]);
  const selections = useMemo(
    () => (info ? shown.map((channel) => selectionOf({ info, plane, mode } as ImageModel, channel)) : []),
    [info, shown, plane, mode],
  );
  const key = wantedKey(state);
  return useMemo(() => {
    if (!info || !tiles) return null;
    if (mode === "volume") {
      if (volume.kind !== "ready") return null;
      const channels = volume.volumes.map(({ channel }) => channel);
      const own = looksOf({ shown: channels, settings } as ImageModel);
      const sides = volumeSides(info);
      // While the next volume is on its way the one before stays, but it is not what was asked for.
      const fresh = volume.key === volumeKey(info, plane) && channels.join() === shown.join();
      return { kind: "volume", key: fresh ? key : "", level: volume.level, volumes: volume.volumes, looks: own, sides };
    }
    const selection = labels ? labelSelection({ labelTiles, plane, mode } as ImageModel) : null;
    const look = { opacity: labels?.opacity ?? 1, outlines: labels?.outlines ?? false, chosen };
    return {
      kind: "plane",
      key,
      attempt,
      plane: { tiles, selections, looks, smooth: webGl()?.floatLinear ?? false },
      labels: selection && labelTiles ? { tiles: labelTiles, selection, look } : null,
    };
  }, [info, tiles, mode, volume, settings, key, labels, labelTiles, plane, chosen, attempt, selections, looks, shown]);
}

function mark(name: string): void {
  if (performance.getEntriesByName(name).length === 0) performance.mark(name);
}

function homeIn(element: HTMLElement): Camera {
  const view = { width: element.clientWidth, height: element.clientHeight };
  const { mode, tiles } = getImage();
  return mode === "volume" ? homeVolume(view) : homePlane(tiles?.pyramid ?? { width: 1, height: 1 }, view);
}

function report(error: Error): void {
  fail(error instanceof ApiError ? error : new ApiError("drawing", toApiError(error).message, "Reload the page.", 0));
}

/** Makes the stage when there is an image to put on it. */
function useStage(host: React.RefObject<HTMLDivElement | null>, scene: Scene | null): Bench {
  const stage = useRef<Stage | null>(null);
  const [zoom, setZoom] = useState(0);
  const { info, camera, mode } = useImage();
  useEffect(() => {
    const parent = host.current;
    // On the way from one image to another, what was rendered last is not what is open.
    if (!parent || !info || getImage().info !== info || webGl() === null) return;
    const own = new Stage(parent, cameraFromLink(getImage().camera, homeIn(parent)), {
      onCamera: (moved) => {
        setZoom(moved.zoom);
        setImage({ camera: cameraToLink(moved, homeIn(parent)), hover: null });
      },
      onFirst: () => mark("coverslip:first-paint"),
      onPainted: (key, level, tiles) => {
        const { painted } = getImage();
        mark("coverslip:all-painted");
        if (painted?.key === key && painted.level === level && painted.tiles === tiles) return;
        setImage({ painted: { key, level, tiles } });
      },
      onError: report,
    });
    stage.current = own;
    const watcher = new ResizeObserver(() => {
      const next = cameraFromLink(getImage().camera, homeIn(parent));
      own.look(next);
      setZoom(next.zoom);
    });
    watcher.observe(parent);
    return () => {
      watcher.disconnect();
      own.destroy();
      stage.current = null;
    };
  }, [host, info]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another mode has another home.
  useEffect(() => {
    if (!host.current || !stage.current) return;
    const next = cameraFromLink(camera, homeIn(host.current));
    stage.current.look(next);
    setZoom(next.zoom);
  }, [host, camera, mode, info]);

  useEffect(() => stage.current?.show(scene), [scene]);

  return useMemo(() => bench(stage, host, zoom, homeIn), [host, zoom]);
}

export function ImageView({ onBench }: { onBench: (bench: Bench) => void }) {
  const host = useRef<HTMLDivElement>(null);
  const scene = useScene();
  const bench = useStage(host, scene);
  const state = useImage();
  const { info, source, painted, plane, mode, shown, settings } = state;
  useEffect(() => onBench(bench), [bench, onBench]);
  const words = info ? summary(titleOf(info, source), info, plane, mode, shown, settings) : "Image, loading";

  function point(event: React.PointerEvent<HTMLDivElement>): void {
    const box = event.currentTarget.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    pointAt(bench.worldAt(x, y), x, y);
  }

  return (
    <section
      className="image-view"
      data-testid="image"
      data-state={state.phase}
      data-array={info?.array_id ?? ""}
      data-painted={painted && painted.key === wantedKey(state) ? `${painted.level}:${painted.tiles}` : ""}
      data-key={painted?.key ?? ""}
      data-mode={mode}
      data-shown={shown.filter((i) => settings[i]?.visible).join(",")}
      data-zoom={bench.zoom.toFixed(3)}
      data-camera={state.camera?.join(",") ?? ""}
      aria-label="Image"
    >
      <div
        ref={host}
        className="canvas-host"
        role="img"
        aria-label={words}
        onPointerMove={(event) => {
          if (event.pointerType === "mouse" && event.buttons === 0) point(event);
        }}
        onPointerUp={(event) => {
          if (event.pointerType !== "mouse") point(event);
        }}
        onPointerLeave={(event) => {
          if (event.pointerType === "mouse") pointAt(null, 0, 0);
        }}
      />
      {info ? <ZoomButtons bench={bench} /> : null}
      {info && mode !== "volume" ? <ScaleBar zoom={bench.zoom} /> : null}
      {info ? <Readout /> : null}
      {webGl() === null && state.phase === "ready" ? <NoWebGl /> : null}
    </section>
  );
}

function ZoomButtons({ bench }: { bench: Bench }) {
  return (
    <div className="zoom-buttons">
      <button type="button" aria-label="Zoom in" title="Zoom in (+)" onClick={() => bench.zoomBy(0.5)}>
        +
      </button>
      <button type="button" aria-label="Zoom out" title="Zoom out (−)" onClick={() => bench.zoomBy(-0.5)}>
        −
      </button>
      <button type="button" data-testid="full-view" title="Full view (0)" aria-label="Full view" onClick={bench.home}>
        <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
          <path d="M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4" />
        </svg>
      </button>
    </div>
  );
}

export function barOf(state: ImageModel, zoom: number) {
  const x = state.info?.axes.find(({ name }) => name === "x");
  if (!x) return null;
  return scaleBar((x.unit ? x.scale : 1) / 2 ** zoom, x.unit, BAR_PX);
}

function ScaleBar({ zoom }: { zoom: number }) {
  const state = useImage();
  const bar = barOf(state, zoom);
  if (!bar) return null;
  return (
    <div className="scale-bar" data-testid="scale-bar" data-px={bar.px.toFixed(1)}>
      <span>{bar.label}</span>
      <div style={{ width: bar.px }} />
    </div>
  );
}
