/** The dock of statistics, below the plot; over the whole page when it is enlarged; a sheet on a phone. */

import "./analysis.css";
import { type KeyboardEvent, type PointerEvent, useEffect, useRef } from "react";
import { set, useModel } from "../../state/store";
import { CompareTab } from "./CompareTab";
import { GenesTab } from "./GenesTab";
import { MakeupTab } from "./MakeupTab";
import { ScoresTab } from "./ScoresTab";
import { change, LEAST_HEIGHT, now, type Tab, useAnalysis } from "./state";

const TABS: readonly [Tab, string][] = [
  ["genes", "Genes by group"],
  ["compare", "Compare groups"],
  ["scores", "Gene sets"],
  ["makeup", "Composition"],
];

export default function Dock() {
  const phase = useModel((s) => s.phase);
  const { tab, large, height, work } = useAnalysis();
  const head = useRef<HTMLElement>(null);
  // Who opened it by a key goes on there.
  useEffect(() => {
    head.current?.querySelector<HTMLElement>("[role=tab][aria-selected=true]")?.focus({ preventScroll: true });
  }, []);
  const busy = Object.values(work).some((one) => one.state === "running");
  return (
    <section
      className={large ? "dock large" : "dock"}
      style={large ? undefined : { height }}
      aria-label="Analysis"
      aria-busy={busy}
      data-testid="analysis"
      data-tab={tab}
      data-state={busy ? "running" : "ready"}
    >
      <Grip />
      <header ref={head}>
        <div className="tabs" role="tablist" aria-label="Analysis" onKeyDown={stepTab}>
          {TABS.map(([id, words]) => (
            <button
              key={id}
              type="button"
              role="tab"
              id={`tab-${id}`}
              aria-selected={tab === id}
              aria-controls="analysis-panel"
              tabIndex={tab === id ? 0 : -1}
              data-testid={`tab-${id}`}
              onClick={() => change({ tab: id })}
            >
              {words}
            </button>
          ))}
        </div>
        <span className="space" />
        <button
          type="button"
          className="enlarge"
          data-testid="enlarge"
          aria-pressed={large}
          onClick={() => change({ large: !large })}
        >
          {large ? "Smaller" : "Enlarge"}
        </button>
        <button
          type="button"
          data-testid="analysis-close"
          onClick={close}
          title="Close (A)"
          aria-label="Close the analysis"
        >
          ×
        </button>
      </header>
      <div className="tab-panel" role="tabpanel" id="analysis-panel" aria-labelledby={`tab-${tab}`}>
        {phase === "ready" ? <Shown tab={tab} /> : <p className="note empty">Opening the data…</p>}
      </div>
    </section>
  );
}

function Shown({ tab }: { tab: Tab }) {
  if (tab === "compare") return <CompareTab />;
  if (tab === "scores") return <ScoresTab />;
  return tab === "makeup" ? <MakeupTab /> : <GenesTab />;
}

function close(): void {
  set({ analysis: false });
  // One of the two is shown, the other cannot have the focus.
  for (const opener of ["analyse", "analysis-open"]) {
    document.querySelector<HTMLElement>(`[data-testid=${opener}]`)?.focus();
  }
}

function stepTab(event: KeyboardEvent): void {
  const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
  if (step === 0) return;
  event.preventDefault();
  const at = TABS.findIndex(([id]) => id === now().tab);
  const next = TABS[(at + step + TABS.length) % TABS.length]?.[0];
  if (next === undefined) return;
  change({ tab: next });
  document.getElementById(`tab-${next}`)?.focus();
}

const STEP = 24;

function bounded(height: number): number {
  return Math.round(Math.max(LEAST_HEIGHT, Math.min(window.innerHeight - 200, height)));
}

/** The edge between plot and dock. */
function Grip() {
  const height = useAnalysis((s) => s.height);
  const from = useRef<[number, number] | null>(null);
  function drag(event: PointerEvent): void {
    if (from.current) change({ height: bounded(from.current[1] + from.current[0] - event.clientY) });
  }
  return (
    <div
      className="grip"
      role="separator"
      aria-orientation="horizontal"
      aria-label="Height of the analysis"
      aria-valuenow={height}
      aria-valuemin={LEAST_HEIGHT}
      tabIndex={0}
      data-testid="grip"
      onPointerDown={(event) => {
        from.current = [event.clientY, height];
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={drag}
      onPointerUp={() => {
        from.current = null;
      }}
      onKeyDown={(event) => {
        const step = event.key === "ArrowUp" ? STEP : event.key === "ArrowDown" ? -STEP : 0;
        if (step === 0) return;
        event.preventDefault();
        change({ height: bounded(height + step) });
      }}
    />
  );
}
