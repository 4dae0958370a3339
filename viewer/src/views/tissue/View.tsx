/** The tissue view: the picture, and the cells on it in the colours of every other view. */

import { useCallback, useEffect, useMemo, useRef } from "react";
import { webGl } from "../../gpu/webgl";
import { forgetCell } from "../../state/actions";
import { get, set, useModel } from "../../state/store";
import { HoverCard } from "../../ui/HoverCard";
import { part } from "../../ui/part";
import { useLook } from "../cells/look";
import { Outline, Ring } from "../cells/Marks";
import { usePointer } from "../cells/pointer";
import { panned, zoomed } from "../image/bench";
import { type Camera, cameraFromLink, cameraToLink, channelIn, firstPlane, homePlane } from "../image/model";
import { type Scene, Stage } from "../image/stage";
import { failTissue, leaveTissue, openTissue, retryTissue } from "./actions";
import { type Cells, cellsLayer, drawnCells, veil } from "./layers";
import { chosenTissue, looksOf, spotSize, summary } from "./model";
import { getTissue, setTissue, useTissue } from "./state";

const NoWebGl = part(() => import("../../ui/NoWebGl"));

const REACH_PX = 8;
const onTissue = () => "tissue";
const ZOOM_STEP = 0.5;
const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

function homeIn(element: HTMLElement): Camera {
  const size = { width: element.clientWidth, height: element.clientHeight };
  return homePlane(getTissue().tiles?.pyramid ?? { width: 1, height: 1 }, size);
}

/** Opens the picture that is chosen, and anew when the server is back. */
function useOpening(): void {
  const tissues = useModel((s) => s.identity?.tissue);
  const name = useModel((s) => s.tissue);
  const n = useModel((s) => s.identity?.stats.n_cells);
  const offline = useModel((s) => s.offline);
  const tissue = useMemo(() => chosenTissue(tissues ?? [], name), [tissues, name]);
  useEffect(() => {
    if (tissue && n) void openTissue(tissue);
    return leaveTissue;
  }, [tissue, n]);
  useEffect(() => {
    if (!offline && getTissue().error?.offline) retryTissue();
  }, [offline]);
}

/** The diameter of cells in pixels of the picture. */
export function useSpot(): number {
  const { tissue, info, positions } = useTissue();
  const chosen = useModel((s) => s.spot);
  return chosen ?? (tissue && info ? spotSize(tissue, info, (positions?.length ?? 0) / 3) : 1);
}

function useScene(counted: React.MutableRefObject<number>): Scene | null {
  const { tiles, info, shown, positions, attempt } = useTissue();
  const { pictureAlpha, spotAlpha } = useModel();
  const look = useLook();
  const spot = useSpot();
  const plane = useMemo(() => {
    if (!tiles || !info || !shown) return null;
    const selections = shown.channels.map((channel) => {
      return { plane: firstPlane(info), channel: channelIn(info, channel), project: null };
    });
    return { tiles, selections, looks: looksOf(shown), smooth: true };
  }, [tiles, info, shown]);
  return useMemo(() => {
    if (!plane || !positions) return null;
    const cells: Cells = { look, positions, spot, alpha: spotAlpha };
    const over = (zoom: number, moving: boolean) => {
      counted.current = drawnCells(cells, moving);
      const cover = veil(plane.tiles.pyramid, pictureAlpha);
      return cover ? [cover, cellsLayer(cells, zoom, moving)] : [cellsLayer(cells, zoom, moving)];
    };
    return { kind: "plane", key: plane.tiles.info.array_id, attempt, plane, labels: null, over };
  }, [plane, positions, look, spot, spotAlpha, pictureAlpha, attempt, counted]);
}

function useStage(host: React.RefObject<HTMLDivElement | null>) {
  const stage = useRef<Stage | null>(null);
  const counted = useRef(0);
  const scene = useScene(counted);
  const info = useTissue((s) => s.info);
  const camera = useModel((s) => s.tissueCamera);
  const tool = useModel((s) => s.tool);
  useEffect(() => {
    const parent = host.current;
    if (!parent || !info || webGl() === null) return;
    const own = new Stage(parent, cameraFromLink(get().tissueCamera, homeIn(parent)), {
      onCamera: (moved) => {
        forgetCell();
        set({ tissueCamera: cameraToLink(moved, homeIn(parent)) });
      },
      onFirst: () => undefined,
      onPainted: (_, level, tiles) => {
        const [painted, drawn] = [`${level}:${tiles}`, counted.current];
        if (getTissue().painted !== painted || getTissue().drawn !== drawn) setTissue({ painted, drawn });
      },
      onError: failTissue,
    });
    stage.current = own;
    const watcher = new ResizeObserver(() => own.look(cameraFromLink(get().tissueCamera, homeIn(parent))));
    watcher.observe(parent);
    return () => {
      watcher.disconnect();
      own.destroy();
      stage.current = null;
    };
  }, [host, info]);
  useEffect(() => stage.current?.show(scene), [scene]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new stage starts loose.
  useEffect(() => stage.current?.hold(tool !== "move"), [tool, info]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another picture has another home.
  useEffect(() => {
    if (host.current) stage.current?.look(cameraFromLink(camera, homeIn(host.current)));
  }, [host, camera, info]);
  return stage;
}

export default function TissueView() {
  const host = useRef<HTMLDivElement>(null);
  useOpening();
  const stage = useStage(host);
  const spot = useSpot();
  const { phase, tissue, info, positions, painted, drawn } = useTissue();
  const { tissueCamera, tool, selection, painted: colored } = useModel();
  const matrix = useCallback(() => stage.current?.pixelMatrix() ?? null, [stage]);
  const reach = useCallback(
    () => Math.max(REACH_PX, (spot * 2 ** (stage.current?.where.zoom ?? 0)) / 2),
    [stage, spot],
  );
  const { handlers, outline } = usePointer({ view: "tissue", ground: onTissue, matrix, reach });
  const n = (positions?.length ?? 0) / 3;

  function press(event: React.KeyboardEvent): void {
    const camera = stage.current?.where;
    const arrow = ARROWS[event.key];
    const step = /^[+=]$/.test(event.key) ? ZOOM_STEP : /^[-_]$/.test(event.key) ? -ZOOM_STEP : 0;
    if (!camera || !host.current || (!arrow && step === 0)) return;
    event.preventDefault();
    const moved = arrow ? panned(camera, ...arrow) : zoomed(camera, step);
    forgetCell();
    set({ tissueCamera: cameraToLink(moved, homeIn(host.current)) });
  }

  return (
    <section
      className="scatter tissue"
      data-testid="tissue"
      data-state={phase}
      data-array={info?.array_id ?? ""}
      data-painted={painted}
      data-cells={n}
      data-drawn={drawn}
      data-color={colored.key}
      data-spot={spot}
      data-camera={tissueCamera?.join(",") ?? ""}
      data-selected={selection?.count ?? 0}
      aria-label="Tissue"
    >
      <div
        ref={host}
        className={tool === "move" ? "canvas-host" : "canvas-host drawing"}
        // As in the scatter view: it takes arrows and zoom keys itself.
        role="application"
        aria-roledescription="picture"
        aria-label={tissue && info ? summary(tissue, info, n, colored, selection?.count ?? 0) : "Tissue, loading"}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: see the role.
        tabIndex={0}
        onKeyDown={press}
        {...handlers}
      />
      <Outline corners={outline} />
      <Ring view="tissue" positions={positions} matrix={matrix} />
      <HoverCard view="tissue" painted={colored} geometry={null} />
      {webGl() === null ? <NoWebGl /> : <Words />}
    </section>
  );
}

function Words() {
  const { phase, error, tissue } = useTissue();
  if (phase === "loading") return <p className="waiting">Opening {tissue?.name ?? "the tissue"}…</p>;
  // A server that is gone is told by the page.
  if (!error || (error.offline && phase === "ready")) return null;
  return (
    <div className="banner warn" data-testid="tissue-error" data-code={error.code} role="alert">
      <div>
        <strong>{error.message}</strong>
        <p>{error.hint}</p>
      </div>
      <button type="button" onClick={retryTissue}>
        Try again
      </button>
    </div>
  );
}
