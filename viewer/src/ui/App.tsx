/** The shell: bar above, what to show on the left, the view, what it is on the right, work below. */

import { useEffect } from "react";
import { checkServer, followUrl, start } from "../state/actions";
import { set, useModel } from "../state/store";
import { ScatterPanel } from "../views/scatter/Panel";
import { ScatterView } from "../views/scatter/View";
import { Help, useKeys } from "./Help";
import { Legend } from "./Legend";
import { Empty, Failure, Notice, Offline, ProgressStrip } from "./States";
import { TopBar } from "./TopBar";

const LOOK_MS = 5000;

export function App() {
  const { phase, theme, sheet } = useModel();
  useKeys();
  useEffect(() => {
    void start();
    const stop = followUrl();
    const timer = setInterval(() => void checkServer(), LOOK_MS);
    return () => {
      stop();
      clearInterval(timer);
    };
  }, []);
  useEffect(() => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }, [theme]);
  const close = () => set({ sheet: "none" });
  return (
    <main data-testid="app" data-state={phase} className={`app sheet-${sheet}`}>
      <TopBar />
      <nav className="panel left" aria-label="What to show">
        <button type="button" className="sheet-close" onClick={close}>
          Done
        </button>
        <ScatterPanel />
      </nav>
      <div className="centre">
        <ScatterView />
        <Offline />
        <Notice />
        <Failure />
        <Empty />
        {phase === "loading" ? <p className="waiting">Opening the data…</p> : null}
      </div>
      <aside className="panel right" aria-label="Legend">
        <button type="button" className="sheet-close" onClick={close}>
          Done
        </button>
        <Legend />
      </aside>
      <footer className="bottom">
        <ProgressStrip />
        <div className="sheet-buttons">
          <button type="button" data-testid="panel-open" onClick={() => set({ sheet: "panel" })}>
            What to show
          </button>
          <button type="button" data-testid="legend-open" onClick={() => set({ sheet: "legend" })}>
            Legend
          </button>
        </div>
      </footer>
      <Help />
    </main>
  );
}
