/** The page of one data set of cells: what to show on the left, the plot, what it is on the right, work below. */

import { useEffect, useLayoutEffect } from "react";
import { isCopy, toApiError } from "../api/client";
import { counted } from "../data/format";
import { checkServer, choosePoints, followUrl, leave, paint, select, start, unselect } from "../state/actions";
import { navigate, setPlace } from "../state/route";
import { shareNow } from "../state/sharing";
import { get, set, shownCells, useModel } from "../state/store";
import { close as closeView, duplicate, focusNext, moveCamera } from "../state/views";
import { useLayout, useNarrow } from "../views/cells/layout";
import { SelectionPanel } from "../views/cells/SelectionPanel";
import { Tools } from "../views/cells/Tools";
import { addView } from "../views/grid/actions";
import { Grid } from "../views/grid/Grid";
import { ScatterPanel } from "../views/scatter/Panel";
import { type PageKeys, useKeysOf } from "./keys";
import { Legend, loadRest } from "./Legend";
import { part } from "./part";
import { Empty, Failure, Notice, Offline, ProgressStrip } from "./States";
import { SheetButtons, Side } from "./sheets";
import { TopBar } from "./TopBar";

// Pictures need as much again as the points; they come when there is one.
const TissueView = part(() => import("../views/tissue/View"), "tissue");
const ViewChoice = part(() => import("../views/cells/ViewChoice"));
const TissuePanel = part(() => import("../views/tissue/Panel"), "tissue");
const LookInside = part(() => import("./LookInside"));
const CellsTools = part(() => import("./CellsTools"), "filters and groups");
const Analysis = part(() => import("../views/analysis/Dock"), "analysis");

const LOOK_MS = 5000;
/** More data sets than this are chosen on the home page, where they can be searched. */
const MOST_LISTED = 50;

export default function CellsPage() {
  const { phase, sheet, identity, selection, dataset } = useModel();
  const views = useModel((s) => s.views.length);
  const analysis = useModel((s) => s.analysis);
  useKeysOf(KEYS);
  // Before the plot makes its canvas, which takes long: the data is on its way meanwhile.
  useLayoutEffect(() => {
    setPlace("");
    void start();
    const stop = followUrl();
    const timer = setInterval(() => void checkServer(), LOOK_MS);
    return () => {
      stop();
      clearInterval(timer);
      leave();
    };
  }, []);
  useEffect(() => {
    if (phase === "ready") loadRest();
  }, [phase]);
  const layout = useLayout();
  const narrow = useNarrow();
  const panes = (layout === "tissue" ? 0 : narrow ? 1 : views) + (layout === "embedding" ? 0 : 1);
  return (
    <main
      data-testid="app"
      data-page="cells"
      data-state={phase}
      className={`app sheet-${sheet}${analysis ? " with-dock" : ""}`}
    >
      <CellsBar />
      <Side side="left" label="What to show">
        <ScatterPanel />
        {layout === "embedding" ? null : <TissuePanel />}
        {phase === "ready" ? <CellsTools /> : null}
      </Side>
      <div className="centre">
        <div className={`panes ${layout}`} data-panes={panes}>
          {layout === "tissue" ? null : <Grid />}
          {layout === "embedding" ? null : (
            <div className="pane" key="tissue">
              <TissueView />
            </div>
          )}
        </div>
        <Tools />
        {identity?.tissue?.length ? <ViewChoice /> : null}
        <Offline />
        <Notice />
        <Failure />
        <Empty />
        {phase === "loading" ? <p className="waiting">Opening the data…</p> : null}
      </div>
      <Side side="right" label="Legend">
        <Legend />
        <SelectionPanel />
        {dataset && phase === "ready" ? <LookInside source={dataset.id} /> : null}
      </Side>
      {analysis ? <Analysis /> : null}
      <footer className="bottom">
        <ProgressStrip />
        <SheetButtons legend={selection ? `Legend · ${counted(selection.count, "cell")} selected` : "Legend"}>
          <button type="button" data-testid="analysis-open" onClick={toggleAnalysis}>
            Analyse
          </button>
        </SheetButtons>
      </footer>
    </main>
  );
}

function CellsBar() {
  const state = useModel();
  const { identity, datasets, dataset } = state;
  const n = identity?.stats.n_cells ?? 0;
  const shown = shownCells(state);
  const several = datasets.length > 1 && datasets.length <= MOST_LISTED;
  const choice = (
    <select
      aria-label="Data set"
      value={dataset?.id ?? ""}
      onChange={(e) => navigate({ page: "cells", dataset: e.target.value })}
    >
      {dataset === null ? (
        <option value="" disabled>
          Choose
        </option>
      ) : null}
      {datasets.map((d) => (
        <option key={d.id} value={d.id}>
          {d.name}
          {d.status === "error" ? " (cannot be read)" : d.status === "incomplete" ? " (incomplete)" : ""}
        </option>
      ))}
    </select>
  );
  return (
    <TopBar
      {...(several ? { name: choice } : {})}
      share={shareNow}
      detail={
        <span className="cell-count" data-testid="cell-count">
          {identity ? counted(n, "cell") : ""}
          {shown < n ? ` · ${shown.toLocaleString("en")} shown` : ""}
        </span>
      }
    >
      <button
        type="button"
        className="wide"
        data-testid="analyse"
        aria-expanded={state.analysis}
        onClick={toggleAnalysis}
        title="Genes by group, differential expression, gene sets (A)"
      >
        Analyse
      </button>
      <button type="button" data-testid="reset-camera" onClick={resetCamera} title="Show everything (R)">
        Reset<span className="wide"> view</span>
      </button>
    </TopBar>
  );
}

function toggleAnalysis(): void {
  if (isCopy()) {
    set({
      notice: "Statistics need coverslip's server: open the data with `coverslip serve`. This page is a copy of files.",
    });
    return;
  }
  set(({ analysis }) => ({ analysis: !analysis, sheet: "none" }));
}

function resetCamera(): void {
  moveCamera(get().focused, null);
  set({ tissueCamera: null });
}

function stepField(by: number): void {
  const { identity, color } = get();
  const fields = identity?.obs_fields.filter((f) => f.kind !== "text") ?? [];
  const at = color.kind === "field" ? fields.findIndex((f) => f.index === color.index) : -1;
  const next = fields[(at + by + fields.length) % Math.max(1, fields.length)];
  if (next) void paint({ kind: "field", index: next.index, key: next.key });
}

function failed(error: unknown): void {
  set({ error: toApiError(error) });
}

function chooseDim(dim: number): void {
  const { geometry } = get();
  if (geometry?.embedding.dimensions.includes(dim)) void choosePoints(geometry.embedding, dim, null);
}

const KEYS: PageKeys = {
  lines: [
    ["/", "Search a gene"],
    ["[ and ]", "Previous and next field"],
    ["1 2 3", "Number of dimensions"],
    ["R", "Show everything"],
    ["N, D, X", "One more view, duplicate it, close it"],
    ["W", "Next view"],
    ["E", "Save a figure (SVG, PNG)"],
    ["A", "Analysis: genes by group, comparisons, gene sets"],
    ["L, B, V", "Lasso, rectangle, move"],
    ["Click", "Select a cell; Shift adds, Alt takes away, both intersect"],
    ["Esc", "Clear the selection"],
    ["Ctrl+A, I", "Select all shown cells; all others"],
    ["G", "Keep the selection as a group"],
    ["F, H", "Show only the selection; hide it"],
    ["Ctrl+Z", "Undo: selection, groups, filters"],
    ["Ctrl+Shift+Z, Ctrl+Y", "Redo"],
    ["S, O", "Save the session; open one"],
    ["Drag", "Move (2D), turn (3D)"],
    ["Wheel, + and −", "Zoom (plot focused)"],
    ["Arrows", "Move or turn (plot focused)"],
    ["Shift or right drag", "Move in 3D"],
  ],
  actions: {
    escape: unselect,
    v: () => set({ tool: "move" }),
    l: () => set({ tool: "lasso" }),
    b: () => set({ tool: "rectangle" }),
    a: toggleAnalysis,
    r: resetCamera,
    n: addView,
    d: () => void duplicate(),
    x: () => closeView(get().focused),
    w: () => focusNext(1),
    e: () => set({ figure: true }),
    "ctrl+a": () => void select({ kind: "shown" }, "replace"),
    i: () => void select({ kind: "others" }, "replace"),
    g: () => void import("../state/grouping").then((m) => m.keepSelection()).catch(failed),
    f: () => void import("../state/filtering").then((m) => m.filterBySelection(true)).catch(failed),
    h: () => void import("../state/filtering").then((m) => m.filterBySelection(false)).catch(failed),
    "ctrl+z": () => void import("../state/history").then((m) => m.undo()).catch(failed),
    "ctrl+shift+z": () => void import("../state/history").then((m) => m.redo()).catch(failed),
    "ctrl+y": () => void import("../state/history").then((m) => m.redo()).catch(failed),
    s: () => void import("../state/files").then((m) => m.saveSession()).catch(failed),
    o: () => document.querySelector<HTMLInputElement>("[data-testid=session-file]")?.click(),
    "1": () => chooseDim(1),
    "2": () => chooseDim(2),
    "3": () => chooseDim(3),
    "[": () => stepField(-1),
    "]": () => stepField(1),
    "/": () => {
      set({ sheet: "panel" });
      document.querySelector<HTMLInputElement>("[data-testid=gene-search]")?.focus();
    },
  },
};
