/** The keys that work: those of every page, and those of the page that is open. */

import { useEffect } from "react";
import { create } from "zustand";
import { set } from "../state/store";
import { cycleTheme } from "./theme";

/** A line of the list under `?`: the keys, and what they do. */
export type KeyLine = readonly [keys: string, what: string];

export interface PageKeys {
  lines: readonly KeyLine[];
  /** What a key does while no field is being typed into; `ctrl+z` is ⌘Z on a Mac, too. */
  actions: Readonly<Record<string, () => void>>;
}

const NONE: PageKeys = { lines: [], actions: {} };

export const usePageKeys = create<PageKeys>(() => NONE);

/** The keys of a page, for as long as it is open; give the same object each time. */
export function useKeysOf(keys: PageKeys): void {
  useEffect(() => {
    usePageKeys.setState(keys, true);
    return () => usePageKeys.setState(NONE, true);
  }, [keys]);
}

const SHELL: PageKeys["actions"] = { "?": () => set({ help: true }), t: cycleTheme };

const TYPING = "input:not([type=checkbox], [type=radio], [type=range]), select, textarea, dialog";

export function useKeys(): void {
  useEffect(() => {
    function press(event: KeyboardEvent): void {
      if (event.key === "Escape") set({ help: false, sheet: "none", hover: null });
      const typing = event.target instanceof Element && event.target.closest(TYPING) !== null;
      // Under a dialog nothing is meant, wherever the focus has got to.
      if (typing || document.querySelector("dialog[open]") || event.defaultPrevented || event.altKey) return;
      const key = event.key.toLowerCase();
      const held = event.ctrlKey || event.metaKey;
      const name = held ? `ctrl+${event.shiftKey ? "shift+" : ""}${key}` : key;
      const action = usePageKeys.getState().actions[name] ?? (held ? undefined : SHELL[key]);
      if (!action) return;
      event.preventDefault();
      action();
    }
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}
