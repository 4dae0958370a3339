/** The scatter view: cells in an embedding, coloured. */

import { useEffect, useMemo, useRef, useState } from "react";
import { ApiError } from "../../api/client";
import { categoryLut, mapLut, plainLut } from "../../gpu/lut";
import { crewOf, describeCell, forgetCell } from "../../state/actions";
import { get, set, useModel } from "../../state/store";
import { HoverCard } from "../../ui/HoverCard";
import { autoSize, type Camera, cameraFromLink, cameraToLink, homeCamera, summary } from "./model";
import { Stage } from "./stage";

const NO_POINTS = new Float32Array(0);
const REACH_PX = 8;
const DWELL_MS = 90;

function useScene() {
  const { geometry, painted, hidden, range, cmap, fileColors, size, alpha } = useModel();
  const lut = useMemo(() => {
    if (painted.kind === "category") {
      const { categories, colors } = painted.field;
      return categoryLut(categories.length, fileColors ? colors : null, hidden);
    }
    return painted.kind === "continuous" ? mapLut(cmap) : plainLut();
  }, [painted, hidden, cmap, fileColors]);
  return useMemo(() => {
    const n = geometry?.n ?? 0;
    const fits = painted.kind !== "none" && painted.values.length === n;
    const own: [number, number] | null =
      painted.kind === "continuous" ? (range ?? [painted.summary.min, painted.summary.max]) : null;
    return {
      positions: geometry?.positions ?? NO_POINTS,
      values: fits ? painted.values : null,
      lut: fits ? lut : plainLut(),
      range: fits ? own : null,
      alpha: alpha ?? 1,
      dim: geometry?.dim ?? 2,
      pointSize: size ?? autoSize(n),
    };
  }, [geometry, painted, range, lut, size, alpha]);
}

function mark(name: string): void {
  if (performance.getEntriesByName(name).length === 0) performance.mark(name);
}

export function ScatterView() {
  const host = useRef<HTMLDivElement>(null);
  const stage = useRef<Stage | null>(null);
  const [failed, setFailed] = useState(false);
  const scene = useScene();
  const { geometry, painted, camera, drawn } = useModel();
  const dim = scene.dim;
  useEffect(() => {
    const parent = host.current;
    if (!parent) return;
    if (!document.createElement("canvas").getContext("webgl2")) {
      set({
        phase: "error",
        error: new ApiError(
          "no_webgl2",
          "This browser cannot draw with WebGL 2",
          "Use a current Firefox, Chrome, Edge or Safari, with hardware acceleration on.",
          0,
        ),
      });
      setFailed(true);
      return;
    }
    const home = () => homeCamera(get().geometry?.dim ?? 2, parent.clientWidth, parent.clientHeight);
    const own = new Stage(parent, cameraFromLink(get().camera, home()), {
      onCamera: (moved: Camera) => {
        forgetCell();
        set({ camera: cameraToLink(moved, home()) });
      },
      onDrawn: (points) => {
        if (points > 0) mark("coverslip:first-paint");
        if (points > 0 && points === get().geometry?.n) mark("coverslip:all-painted");
        if (get().drawn !== points) set({ drawn: points });
      },
      onError: (error) => set({ error: new ApiError("drawing", error.message, "Reload the page.", 0) }),
    });
    stage.current = own;
    const watcher = new ResizeObserver(() => own.look(cameraFromLink(get().camera, home())));
    watcher.observe(parent);
    return () => {
      watcher.disconnect();
      own.destroy();
      stage.current = null;
    };
  }, []);

  useEffect(() => stage.current?.show(scene), [scene]);

  useEffect(() => {
    const parent = host.current;
    if (parent) stage.current?.look(cameraFromLink(camera, homeCamera(dim, parent.clientWidth, parent.clientHeight)));
  }, [camera, dim]);

  const { onMove, onLeave, onTap } = usePointer(stage);
  const words = geometry
    ? summary(geometry.n, geometry.nowhere, geometry.embedding, geometry.columns, painted)
    : "Scatter plot, loading";
  return (
    <section
      className="scatter"
      data-testid="scatter"
      data-cells={geometry?.n ?? 0}
      data-painted={drawn}
      data-color={painted.key}
      data-embedding={geometry?.embedding.id ?? ""}
      data-dim={geometry?.dim ?? ""}
      data-camera={camera?.join(",") ?? ""}
      aria-label="Scatter plot"
    >
      <div
        ref={host}
        className="canvas-host"
        // It takes arrows and zoom keys itself, which a screen reader must let through.
        role="application"
        aria-roledescription="plot"
        aria-label={words}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: see the role.
        tabIndex={0}
        onKeyDown={(event) => {
          if (stage.current?.press(event.key)) event.preventDefault();
        }}
        onPointerMove={onMove}
        onPointerLeave={onLeave}
        onPointerUp={onTap}
      />
      {failed ? null : <HoverCard />}
    </section>
  );
}

/** Finds the cell under the pointer: one question at a time, the latest position counts. */
function usePointer(stage: React.RefObject<Stage | null>) {
  const wanted = useRef<{ x: number; y: number } | null>(null);
  const asking = useRef(false);
  const dwell = useRef(0);

  async function ask(): Promise<void> {
    if (asking.current) return;
    asking.current = true;
    while (wanted.current) {
      const { x, y } = wanted.current;
      wanted.current = null;
      const matrix = stage.current?.pixelMatrix();
      if (!matrix) break;
      const radius = Math.max(REACH_PX, (get().size ?? 4) / 2);
      const found = await crewOf().run({ kind: "nearest", pointer: { matrix, x, y, radius } });
      if (!found) forgetCell();
      else if (get().hover?.cell !== found.cell) {
        set({ hover: { ...found, x, y, detail: null } });
        clearTimeout(dwell.current);
        dwell.current = window.setTimeout(() => void describeCell(found.cell), DWELL_MS);
      }
    }
    asking.current = false;
  }

  function seek(event: React.PointerEvent<HTMLDivElement>): void {
    const box = event.currentTarget.getBoundingClientRect();
    wanted.current = { x: event.clientX - box.left, y: event.clientY - box.top };
    void ask();
  }

  return {
    onMove: (event: React.PointerEvent<HTMLDivElement>) => {
      if (event.pointerType === "mouse" && event.buttons === 0) seek(event);
    },
    onTap: (event: React.PointerEvent<HTMLDivElement>) => {
      if (event.pointerType !== "mouse") seek(event);
    },
    onLeave: (event: React.PointerEvent<HTMLDivElement>) => {
      wanted.current = null;
      clearTimeout(dwell.current);
      if (event.pointerType === "mouse") forgetCell();
    },
  };
}
