/** The scatter view: cells in an embedding, coloured. */

import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { ApiError } from "../../api/client";
import { webGl } from "../../gpu/webgl";
import { forgetCell } from "../../state/actions";
import { get, type Own, set, useModel } from "../../state/store";
import { focus, groundOf, moveCamera, ownOf } from "../../state/views";
import { HoverCard } from "../../ui/HoverCard";
import { part } from "../../ui/part";
import { useLook } from "../cells/look";
import { Outline, Ring } from "../cells/Marks";
import { usePointer } from "../cells/pointer";
import { autoSize, type Camera, cameraFromLink, cameraToLink, homeCamera, summary } from "./model";
import { overlaid, useOverlays } from "./overlays";
import { Stage } from "./stage";

const FlowCanvas = part(() => import("../flow/FlowCanvas"));
const NoWebGl = part(() => import("../../ui/NoWebGl"));

const NO_POINTS = new Float32Array(0);
const REACH_PX = 8;

function useScene(own: Own, view: string) {
  const { size, alpha } = useModel();
  const overlays = useOverlays();
  const { geometry } = own;
  const look = useLook(own);
  return useMemo(() => {
    const n = geometry?.n ?? 0;
    return {
      ...look,
      positions: geometry?.positions ?? NO_POINTS,
      arrived: geometry?.arrived,
      alpha: alpha ?? 1,
      dim: geometry?.dim ?? 2,
      pointSize: size ?? autoSize(n),
      around: () => overlaid(overlays, geometry, view),
    };
  }, [geometry, look, size, alpha, overlays, view]);
}

function mark(name: string): void {
  if (performance.getEntriesByName(name).length === 0) performance.mark(name);
}

interface Props {
  /** Id of the view. */
  view: string;
}

export function ScatterView({ view }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const stage = useRef<Stage | null>(null);
  const model = useModel();
  const own = ownOf(model, view);
  const { tool, selection, focused, views } = model;
  const { geometry, painted, camera } = own;
  const scene = useScene(own, view);
  const [drawn, setDrawn] = useState(0);
  const dim = scene.dim;
  useEffect(() => {
    const parent = host.current;
    if (!parent || webGl() === null) return;
    const now = () => ownOf(get(), view);
    const home = () => homeCamera(now().geometry?.dim ?? 2, parent.clientWidth, parent.clientHeight);
    const made = new Stage(parent, cameraFromLink(now().camera, home()), {
      onCamera: (moved: Camera) => {
        forgetCell();
        moveCamera(view, cameraToLink(moved, home()));
      },
      onDrawn: (points) => {
        if (points > 0) mark("coverslip:first-paint");
        if (points > 0 && points === now().geometry?.n) mark("coverslip:all-painted");
        setDrawn(points);
      },
      onError: (error) => set({ error: new ApiError("drawing", error.message, "Reload the page.", 0) }),
    });
    stage.current = made;
    const watcher = new ResizeObserver(() => made.look(cameraFromLink(now().camera, home())));
    watcher.observe(parent);
    return () => {
      watcher.disconnect();
      made.destroy();
      stage.current = null;
    };
  }, [view]);

  useEffect(() => stage.current?.show(scene), [scene]);
  useEffect(() => stage.current?.hold(tool !== "move"), [tool]);

  useEffect(() => {
    const parent = host.current;
    if (parent) stage.current?.look(cameraFromLink(camera, homeCamera(dim, parent.clientWidth, parent.clientHeight)));
  }, [camera, dim]);

  const matrix = useCallback(() => stage.current?.pixelMatrix() ?? null, []);
  const reach = useCallback(() => Math.max(REACH_PX, (get().size ?? 4) / 2), []);
  const ground = useCallback(() => groundOf(ownOf(get(), view).geometry), [view]);
  const { handlers, outline } = usePointer({ view, ground, matrix, reach });
  const words = geometry
    ? summary(geometry.n, geometry.nowhere, geometry.embedding, geometry.columns, painted, selection?.count ?? 0)
    : "Scatter plot, loading";
  return (
    <section
      className="scatter"
      data-testid="scatter"
      data-view={view}
      data-focused={view === focused}
      data-cells={geometry?.n ?? 0}
      data-painted={drawn}
      data-color={painted.key}
      data-embedding={geometry?.embedding.id ?? ""}
      data-dim={geometry?.dim ?? ""}
      data-camera={camera?.join(",") ?? ""}
      data-selected={selection?.count ?? 0}
      aria-label={views.length > 1 ? `Scatter plot ${views.findIndex(({ id }) => id === view) + 1}` : "Scatter plot"}
      onPointerDownCapture={() => focus(view)}
      onFocusCapture={() => focus(view)}
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
      {model.vectors?.look === "flow" ? <FlowCanvas geometry={geometry} matrix={matrix} /> : null}
      <Outline corners={outline} />
      <Ring view={view} positions={geometry?.positions ?? null} matrix={matrix} />
      {webGl() === null ? <NoWebGl /> : <HoverCard view={view} painted={painted} geometry={geometry} />}
    </section>
  );
}
