/** Where am I, how much is it, and what concerns the whole page. */

import { useState } from "react";
import { counted } from "../data/format";
import { chooseDataset } from "../state/actions";
import { set, shownCells, useModel } from "../state/store";
import type { Theme } from "../state/url";

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

export function cycleTheme(): void {
  set(({ theme }) => ({ theme: NEXT[theme] }));
}

export function resetCamera(): void {
  set({ camera: null });
}

export function TopBar() {
  const state = useModel();
  const { identity, datasets, dataset, theme } = state;
  const n = identity?.stats.n_cells ?? 0;
  const shown = shownCells(state);
  return (
    <header className="top-bar">
      <strong className="brand">coverslip</strong>
      {datasets.length > 1 ? (
        <select
          aria-label="Data set"
          value={dataset?.id ?? ""}
          onChange={(e) => {
            const next = datasets.find((d) => d.id === e.target.value);
            if (next) void chooseDataset(next);
          }}
        >
          {datasets.map((d) => (
            <option key={d.id} value={d.id}>
              {d.name}
              {d.status === "error" ? " (cannot be read)" : ""}
            </option>
          ))}
        </select>
      ) : (
        <span className="dataset" title={identity?.name}>
          {identity?.name}
        </span>
      )}
      <span className="cell-count" data-testid="cell-count">
        {identity ? counted(n, "cell") : ""}
        {shown < n ? ` · ${shown.toLocaleString("en")} shown` : ""}
      </span>
      <span className="space" />
      <button type="button" data-testid="reset-camera" onClick={resetCamera} title="Show everything (R)">
        Reset view
      </button>
      <Share />
      <button
        type="button"
        data-testid="theme-toggle"
        data-theme={theme}
        onClick={cycleTheme}
        title={`Theme: ${theme} (T)`}
        aria-label={`Theme: ${theme}. Change`}
      >
        {theme === "system" ? "◐" : theme === "light" ? "☀" : "☾"}
      </button>
      <button type="button" data-testid="help" onClick={() => set({ help: true })} title="Keys (?)" aria-label="Help">
        ?
      </button>
    </header>
  );
}

function Share() {
  const [said, setSaid] = useState("");
  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(location.href);
      setSaid("Copied");
    } catch {
      setSaid("Copy the address bar");
    }
    setTimeout(() => setSaid(""), 2000);
  }
  return (
    <button type="button" data-testid="share" onClick={() => void copy()} title="Copy a link to this view">
      <span aria-live="polite">{said || "Copy link"}</span>
    </button>
  );
}
