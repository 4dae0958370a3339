/** Saving what is seen as a figure: SVG or PNG, as large as a page of a journal wants it. */

import { useEffect, useRef, useState } from "react";
import { set, useModel } from "../../state/store";
import { makeFigure, type Rooms, save } from "./make";
import { DEFAULTS, MOST_CIRCLES, type Settings } from "./model";

let kept: Settings = DEFAULTS;

function roomsNow(): Rooms {
  const found: Rooms = {};
  for (const one of document.querySelectorAll<HTMLElement>("[data-testid=scatter][data-view]")) {
    found[one.dataset.view ?? ""] = { width: one.clientWidth, height: one.clientHeight };
  }
  return found;
}

export default function FigureDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const several = useModel((s) => s.views.length > 1);
  const [settings, setSettings] = useState(kept);
  const [busy, setBusy] = useState(false);
  const [words, setWords] = useState("");
  useEffect(() => dialog.current?.showModal(), []);
  const change = (part: Partial<Settings>) => {
    kept = { ...settings, ...part };
    setSettings(kept);
    setWords("");
  };

  async function make(): Promise<void> {
    if (busy) return; // A button that is switched off loses the focus.
    setBusy(true);
    setWords("Drawing…");
    try {
      const figure = await makeFigure(settings, roomsNow());
      save(figure);
      setWords(`Saved as ${figure.name}: ${figure.told}.`);
    } catch (error) {
      setWords(error instanceof Error ? error.message : String(error));
    }
    setBusy(false);
  }

  const { format, unit } = settings;
  return (
    <dialog
      ref={dialog}
      className="figure-dialog"
      data-testid="figure-dialog"
      aria-label="Save a figure"
      onClose={() => set({ figure: false })}
    >
      <h2>Save a figure</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void make();
        }}
      >
        <Choice
          label="Format"
          value={format}
          options={[
            ["png", "PNG (pixels)"],
            ["svg", "SVG (shapes and text)"],
          ]}
          change={(v) => change({ format: v })}
        />
        {several ? (
          <Choice
            label="Views"
            value={settings.all ? "all" : "one"}
            options={[
              ["all", "All"],
              ["one", "The one that has the focus"],
            ]}
            change={(v) => change({ all: v === "all" })}
          />
        ) : null}
        <label className="row">
          <span>Title</span>
          <input value={settings.title} onChange={(e) => change({ title: e.target.value })} />
        </label>
        <div className="row">
          <span>Width</span>
          <input
            type="number"
            aria-label="Width"
            data-testid="figure-width"
            min={10}
            max={16_000}
            value={settings.width || ""}
            onChange={(e) => change({ width: Number(e.target.value) })}
          />
          <select
            aria-label="Unit"
            data-testid="figure-unit"
            value={unit}
            onChange={(e) => change({ unit: e.target.value as Settings["unit"] })}
          >
            <option value="mm">mm</option>
            <option value="px">pixels</option>
          </select>
        </div>
        <label className="row">
          <span>Dots per inch</span>
          <input
            type="number"
            data-testid="figure-dpi"
            min={36}
            max={1200}
            value={settings.dpi || ""}
            onChange={(e) => change({ dpi: Number(e.target.value) })}
          />
        </label>
        <Choice
          label="Background"
          value={settings.background}
          options={[
            ["white", "White"],
            ["transparent", "None"],
            ["theme", "As on the screen"],
          ]}
          change={(v) => change({ background: v })}
        />
        <label className="check">
          <input type="checkbox" checked={settings.legend} onChange={(e) => change({ legend: e.target.checked })} />
          Legend, with counts
        </label>
        <label className="check">
          <input type="checkbox" checked={settings.axes} onChange={(e) => change({ axes: e.target.checked })} />
          Names of the axes
        </label>
        {format === "svg" ? (
          <p className="note">
            Up to {MOST_CIRCLES.toLocaleString("en")} cells of a view are circles; of more, the points are one picture
            of that resolution, and only the text stays text.
          </p>
        ) : null}
        <p className="note" role="status" data-testid="figure-said">
          {words}
        </p>
        <div className="buttons">
          <button type="submit" data-testid="figure-save" aria-disabled={busy}>
            Save
          </button>
          <button type="button" onClick={() => dialog.current?.close()}>
            Close
          </button>
        </div>
      </form>
    </dialog>
  );
}

interface ChoiceProps<T extends string> {
  label: string;
  value: T;
  options: [T, string][];
  change: (value: T) => void;
}

function Choice<T extends string>({ label, value, options, change }: ChoiceProps<T>) {
  return (
    <label className="row">
      <span>{label}</span>
      <select data-testid={`figure-${label.toLowerCase()}`} value={value} onChange={(e) => change(e.target.value as T)}>
        {options.map(([id, words]) => (
          <option key={id} value={id}>
            {words}
          </option>
        ))}
      </select>
    </label>
  );
}
