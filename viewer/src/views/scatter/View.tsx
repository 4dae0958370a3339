/** The scatter view: cells in an embedding, coloured. */

import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { ApiError } from "../../api/client";
import { forgetCell } from "../../state/actions";
import { get, set, useModel } from "../../state/store";
import { HoverCard } from "../../ui/HoverCard";
import { useLook } from "../cells/look";
import { Outline, Ring } from "../cells/Marks";
import { usePointer } from "../cells/pointer";
import { autoSize, type Camera, cameraFromLink, cameraToLink, homeCamera, summary } from "./model";
import { Stage } from "./stage";

const NO_POINTS = new Float32Array(0);
const REACH_PX = 8;

function useScene() {
  const { geometry, size, alpha } = useModel();
  const look = useLook();
  return useMemo(() => {
    const n = geometry?.n ?? 0;
    return {
      ...look,
      positions: geometry?.positions ?? NO_POINTS,
      alpha: alpha ?? 1,
      dim: geometry?.dim ?? 2,
      pointSize: size ?? autoSize(n),
    };
  }, [geometry, look, size, alpha]);
}

function mark(name: string): void {
  if (performance.getEntriesByName(name).length === 0) performance.mark(name);
}

export function ScatterView() {
  const host = useRef<HTMLDivElement>(null);
  const stage = useRef<Stage | null>(null);
  const [failed, setFailed] = useState(false);
  const scene = useScene();
  const { geometry, painted, camera, drawn, tool, selection } = useModel();
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
  useEffect(() => stage.current?.hold(tool !== "move"), [tool]);

  useEffect(() => {
    const parent = host.current;
    if (parent) stage.current?.look(cameraFromLink(camera, homeCamera(dim, parent.clientWidth, parent.clientHeight)));
  }, [camera, dim]);

  const matrix = useCallback(() => stage.current?.pixelMatrix() ?? null, []);
  const reach = useCallback(() => Math.max(REACH_PX, (get().size ?? 4) / 2), []);
  const { handlers, outline } = usePointer({ ground: "embedding", matrix, reach });
  const words = geometry
    ? summary(geometry.n, geometry.nowhere, geometry.embedding, geometry.columns, painted, selection?.count ?? 0)
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
      data-selected={selection?.count ?? 0}
      aria-label="Scatter plot"
    >
      <div
        ref={host}
        className={tool === "move" ? "canvas-host" : "canvas-host drawing"}
        // It takes arrows and zoom keys itself, which a screen reader must let through.
        role="application"
        aria-roledescription="plot"
        aria-label={words}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: see the role.
        tabIndex={0}
        onKeyDown={(event) => {
          if (stage.current?.press(event.key)) event.preventDefault();
        }}
        {...handlers}
      />
      <Outline corners={outline} />
      <Ring ground="embedding" positions={geometry?.positions ?? null} matrix={matrix} />
      {failed ? null : <HoverCard />}
    </section>
  );
}
