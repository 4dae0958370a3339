/** The network in space: neurons, their connections, electrodes, and a bar that tells how long a µm is. */

import type { Layer } from "@deck.gl/core";
import { type PointerEvent, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { nearest } from "../../data/nearest";
import { cellAt } from "../../data/order";
import { MISSING } from "../../data/points";
import { categoryLut, type Lut, mapLut, parseColor } from "../../gpu/lut";
import { webGl } from "../../gpu/webgl";
import { useModel } from "../../state/store";
import { part } from "../../ui/part";
import { useLook } from "../cells/look";
import { autoSize, type Camera, cameraFromLink, cameraToLink, homeCamera } from "../scatter/model";
import { Stage } from "../scatter/stage";
import { EdgesLayer } from "./edges";
import {
  boxLines,
  type Corner,
  edgeAlpha,
  electrodeBoxes,
  gidOf,
  lengthWords,
  populationOf,
  rowOf,
  scaleBar,
  spokes,
  summary,
} from "./model";
import { change, now, pick, unpick, useNetwork } from "./state";

const NoWebGl = part(() => import("../../ui/NoWebGl"));

/** Lines drawn while the camera moves. */
const MOVING_LINES = 20_000;
const CLICK_PX = 4;
const REACH_PX = 9;
const INPUT_COLOR = "#0072b2";
const OUTPUT_COLOR = "#d55e00";

function oneColor(css: string): Lut {
  const [r, g, b] = parseColor(css);
  const lut = categoryLut(1, null, null);
  lut.pixels.set([r, g, b, 255], 0);
  return lut;
}

/** Colours of the page, again when the theme turns. */
function useInk(): { quiet: Lut; accent: Lut } {
  const theme = useModel((s) => s.theme);
  const [system, setSystem] = useState(0);
  useEffect(() => {
    const list = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setSystem((n) => n + 1);
    list.addEventListener("change", follow);
    return () => list.removeEventListener("change", follow);
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: read again for another theme.
  return useMemo(() => {
    const probe = document.createElement("span");
    document.body.append(probe);
    const read = (name: string) => {
      probe.style.color = `var(${name})`;
      return oneColor(getComputedStyle(probe).color);
    };
    const ink = { quiet: read("--quiet"), accent: read("--accent") };
    probe.remove();
    return ink;
  }, [theme, system]);
}

/** What is around the neurons: frames below them, connections below them, the picked one's connections above. */
function useAround(): (moving: boolean) => { under: Layer[]; over: Layer[] } {
  const { about, frame, lines, picked, places, without, weight } = useNetwork();
  const { hidden, painted, cmap } = useModel();
  const ink = useInk();
  const boxes = useMemo(() => {
    if (!about) return [];
    const shown = (name: string, list: [Corner, Corner][], lut: Lut, alpha: number) =>
      without.includes(name) || list.length === 0 ? [] : [{ name, positions: boxLines(list, frame), lut, alpha }];
    return [
      ...shown("box", about.bounds ? [about.bounds] : [], ink.quiet, 0.6),
      ...shown("layers", Object.values(about.layers), ink.quiet, 0.35),
      ...shown("electrodes", about.electrodes ? electrodeBoxes(about.electrodes) : [], ink.accent, 0.9),
    ];
  }, [about, frame, without, ink]);
  const byPopulation = painted.kind === "category" && painted.field.key === "population";
  const lut = useMemo(() => {
    const n = about?.populations.length ?? 0;
    return categoryLut(n, null, byPopulation && hidden && hidden.length === n + 1 ? hidden : null);
  }, [about, byPopulation, hidden]);
  const fans = useMemo(() => {
    if (!picked || !about) return [];
    return (["inputs", "outputs"] as const).flatMap((direction) => {
      const found = picked[direction];
      if (!found || found.gids.length === 0) return [];
      const rows = Array.from(found.gids, (gid) => rowOf(about.populations, gid));
      const values = found.values ? twice(found.values) : null;
      const plain = oneColor(direction === "inputs" ? INPUT_COLOR : OUTPUT_COLOR);
      return [
        {
          direction,
          positions: spokes(places, picked.row, rows),
          values,
          lut: values && weight !== null ? mapLut(cmap) : plain,
          range: values ? rangeOf(values) : null,
        },
      ];
    });
  }, [picked, about, places, weight, cmap]);
  return useCallback(
    (moving) => {
      const under: Layer[] = boxes.map(
        ({ name, positions, ...rest }) =>
          new EdgesLayer({
            id: `frame-${name}`,
            positions,
            ...rest,
            values: null,
            range: null,
            count: positions.length,
          }),
      );
      if (lines) {
        const count = moving ? Math.min(lines.count, MOVING_LINES) : lines.count;
        const { positions, codes: values } = lines;
        const alpha = edgeAlpha(lines.count) * (picked ? 0.15 : 1);
        under.push(new EdgesLayer({ id: "edges", positions, values, lut, range: null, count, alpha }));
      }
      const over: Layer[] = fans.map(
        ({ direction, ...rest }) =>
          new EdgesLayer({ id: `fan-${direction}`, ...rest, count: rest.positions.length, alpha: 0.85 }),
      );
      return { under, over };
    },
    [boxes, lines, lut, fans, picked],
  );
}

function twice(values: Float32Array): Float32Array {
  const out = new Float32Array(values.length * 2);
  values.forEach((value, i) => {
    out.fill(Number.isFinite(value) ? value : MISSING, i * 2, i * 2 + 2);
  });
  return out;
}

function rangeOf(values: Float32Array): [number, number] {
  const known = values.filter((value) => value > -1e38);
  return known.length > 0 ? [known.reduce((a, b) => Math.min(a, b)), known.reduce((a, b) => Math.max(a, b))] : [0, 1];
}

interface Over {
  gid: number;
  x: number;
  y: number;
}

export function NetworkView() {
  const host = useRef<HTMLDivElement>(null);
  const stage = useRef<Stage | null>(null);
  const down = useRef<[number, number] | null>(null);
  const [zoom, setZoom] = useState(8);
  const [over, setOver] = useState<Over | null>(null);
  const { about, camera, drawn, frame, lit, picked, lines, color, phase } = useNetwork();
  const { geometry, painted, hidden } = useModel();
  const look = useLook();
  const around = useAround();
  const n = geometry?.n ?? 0;

  useEffect(() => {
    const parent = host.current;
    if (!parent || webGl() === null) return;
    const home = () => homeCamera(3, parent.clientWidth, parent.clientHeight);
    const own = new Stage(parent, cameraFromLink(now().camera, home()), {
      onCamera: (moved: Camera) => {
        setOver(null);
        setZoom(moved.zoom);
        change({ camera: cameraToLink(moved, home()) });
      },
      onDrawn: (points) => {
        if (now().drawn !== points) change({ drawn: points });
      },
      onError: (error) => change({ notice: `The network could not be drawn: ${error.message}` }),
    });
    stage.current = own;
    const fit = () => {
      const at = cameraFromLink(now().camera, home());
      setZoom(at.zoom);
      own.look(at);
    };
    const watcher = new ResizeObserver(fit);
    watcher.observe(parent);
    return () => {
      watcher.disconnect();
      own.destroy();
      stage.current = null;
    };
  }, []);

  useEffect(() => {
    if (!geometry) return;
    const size = autoSize(geometry.n) * 1.2;
    stage.current?.show({
      ...look,
      selected: lit,
      positions: geometry.positions,
      alpha: 1,
      dim: 3,
      pointSize: size,
      around,
    });
  }, [look, lit, geometry, around]);

  useEffect(() => {
    const parent = host.current;
    if (!parent) return;
    const at = cameraFromLink(camera, homeCamera(3, parent.clientWidth, parent.clientHeight));
    setZoom(at.zoom);
    stage.current?.look(at);
  }, [camera]);

  function under(event: PointerEvent<HTMLElement>): { gid: number; x: number; y: number } | null {
    const matrix = stage.current?.pixelMatrix();
    if (!matrix || !geometry || !about) return null;
    const box = event.currentTarget.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const visible = (place: number) =>
      painted.kind !== "category" || !hidden || hidden[painted.values[place] ?? 0] !== 1;
    const place = nearest(geometry.positions, { matrix, x, y, radius: REACH_PX }, visible);
    return place < 0 ? null : { gid: gidOf(about.populations, cellAt(place, geometry.n)), x, y };
  }

  const words = about ? summary(about, lines?.count ?? 0, color, picked?.gid ?? null) : "Network, loading";
  const bar = scaleBar(zoom, frame);
  return (
    <section
      className="network-view"
      data-testid="network"
      data-state={phase}
      data-neurons={n}
      data-painted={drawn}
      data-color={painted.kind === "none" ? "" : painted.key.slice("field:".length)}
      data-edges={lines?.count ?? 0}
      data-picked={picked?.gid ?? ""}
      data-inputs={picked?.inputs?.gids.length ?? ""}
      data-outputs={picked?.outputs?.gids.length ?? ""}
      data-camera={camera?.map((v) => v.toFixed(3)).join(",") ?? ""}
      aria-label="Network"
    >
      <div
        ref={host}
        className="canvas-host"
        // It takes arrows and zoom keys itself, which a screen reader must let through.
        role="application"
        aria-roledescription="3D plot"
        aria-label={words}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: see the role.
        tabIndex={0}
        onKeyDown={(event) => {
          if (stage.current?.press(event.key)) event.preventDefault();
        }}
        onPointerDown={(event) => {
          down.current = event.button === 0 ? [event.clientX, event.clientY] : null;
        }}
        onPointerMove={(event) => {
          if (event.pointerType === "mouse" && event.buttons === 0) setOver(under(event));
        }}
        onPointerLeave={() => setOver(null)}
        onPointerUp={(event) => {
          const from = down.current;
          down.current = null;
          if (!from || Math.hypot(event.clientX - from[0], event.clientY - from[1]) >= CLICK_PX) return;
          const found = under(event);
          if (found && found.gid >= 0) void pick(found.gid);
          else unpick();
        }}
      />
      {over && about ? (
        <>
          <div className="ring" style={{ left: over.x, top: over.y }} />
          <div className="tip" data-testid="hover-card" data-gid={over.gid} style={{ left: over.x + 14, top: over.y }}>
            {populationOf(about.populations, over.gid)?.name} {over.gid}
          </div>
        </>
      ) : null}
      {webGl() === null ? <NoWebGl /> : null}
      {phase === "ready" ? (
        <div className="um-bar" data-testid="scale-bar" data-um={bar.um} title="In the middle of the view">
          <span style={{ width: bar.px }} />
          {lengthWords(bar.um)}
        </div>
      ) : null}
    </section>
  );
}
