/** The panels beside a view; on a phone they are sheets over it, opened by two buttons below. */

import { type ReactNode, useEffect, useRef } from "react";
import { set, useModel } from "../state/store";

const SIDES = { panel: ".panel.left", legend: ".panel.right" };

/** Who opens a sheet goes on in it, and comes back to the button that opened it. */
export function useSheets(): void {
  const sheet = useModel((s) => s.sheet);
  const before = useRef(sheet);
  useEffect(() => {
    const from = before.current;
    before.current = sheet;
    const find = (selector: string) => document.querySelector<HTMLElement>(selector);
    const now = document.activeElement;
    // A key may have opened it for a field that has the focus by now.
    if (sheet !== "none") {
      if (now === find(`[data-testid=${sheet}-open]`)) find(`${SIDES[sheet]} .sheet-close`)?.focus();
    } else if (from !== "none" && (now === document.body || now?.closest(SIDES[from]))) {
      find(`[data-testid=${from}-open]`)?.focus();
    }
  }, [sheet]);
}

interface SideProps {
  /** What to show, or what it is. */
  side: "left" | "right";
  label: string;
  children: ReactNode;
}

export function Side({ side, label, children }: SideProps) {
  const Part = side === "left" ? "nav" : "aside";
  return (
    <Part className={`panel ${side}`} aria-label={label}>
      <button type="button" className="sheet-close" onClick={() => set({ sheet: "none" })}>
        Done
      </button>
      {children}
    </Part>
  );
}

/** `legend` names the right one; `children` are the page's own buttons. */
export function SheetButtons({ legend, children }: { legend: ReactNode; children?: ReactNode }) {
  const sheet = useModel((s) => s.sheet);
  const opener = (which: "panel" | "legend", words: ReactNode) => (
    <button
      type="button"
      data-testid={`${which}-open`}
      aria-expanded={sheet === which}
      onClick={() => set({ sheet: which })}
    >
      {words}
    </button>
  );
  return (
    <div className="sheet-buttons">
      {opener("panel", "What to show")}
      {opener("legend", legend)}
      {children}
    </div>
  );
}
