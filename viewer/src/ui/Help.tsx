/** Every key, and the keys that work. */

import { useEffect, useRef } from "react";
import { choosePoints, paint } from "../state/actions";
import { get, set, useModel } from "../state/store";
import { cycleTheme, resetCamera } from "./TopBar";

const KEYS: [string, string][] = [
  ["/", "Search a gene"],
  ["[ and ]", "Previous and next field"],
  ["1 2 3", "Number of dimensions"],
  ["R", "Show everything"],
  ["T", "Theme: system, light, dark"],
  ["Drag", "Move (2D), turn (3D)"],
  ["Wheel, + and −", "Zoom (plot focused)"],
  ["Arrows", "Move or turn (plot focused)"],
  ["Shift or right drag", "Move in 3D"],
  ["?", "This list"],
  ["Esc", "Close"],
];

export function Help() {
  const help = useModel((s) => s.help);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (help && !dialog.current?.open) dialog.current?.showModal();
    if (!help && dialog.current?.open) dialog.current.close();
  }, [help]);
  return (
    <dialog ref={dialog} className="help" onClose={() => set({ help: false })} aria-label="Keys">
      <h2>Keys</h2>
      <dl>
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <button type="button" onClick={() => set({ help: false })}>
        Close
      </button>
    </dialog>
  );
}

function stepField(by: number): void {
  const { identity, color } = get();
  const fields = identity?.obs_fields.filter((f) => f.kind !== "text") ?? [];
  const at = color.kind === "field" ? fields.findIndex((f) => f.index === color.index) : -1;
  const next = fields[(at + by + fields.length) % Math.max(1, fields.length)];
  if (next) void paint({ kind: "field", index: next.index, key: next.key });
}

function chooseDim(dim: number): void {
  const { geometry } = get();
  if (geometry?.embedding.dimensions.includes(dim)) void choosePoints(geometry.embedding, dim, null);
}

const ACTIONS: Record<string, () => void> = {
  "?": () => set({ help: true }),
  r: resetCamera,
  t: cycleTheme,
  "1": () => chooseDim(1),
  "2": () => chooseDim(2),
  "3": () => chooseDim(3),
  "[": () => stepField(-1),
  "]": () => stepField(1),
  "/": () => {
    set({ sheet: "panel" });
    document.querySelector<HTMLInputElement>("[data-testid=gene-search]")?.focus();
  },
};

export function useKeys(): void {
  useEffect(() => {
    function press(event: KeyboardEvent): void {
      if (event.key === "Escape") set({ help: false, sheet: "none", hover: null });
      const typing = (event.target as HTMLElement).closest("input, select, textarea, [role=slider], dialog") !== null;
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      const action = ACTIONS[event.key.toLowerCase()];
      if (!action) return;
      event.preventDefault();
      action();
    }
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}
