/** Undo and redo, and the file in which everything a person has made is kept. */

import { useEffect, useRef } from "react";
import { toApiError } from "../../api/client";
import { redo, undo, useHistory } from "../../state/history";
import { shareNow } from "../../state/sharing";
import { set, useModel } from "../../state/store";
import { ShareHere } from "../../ui/TopBar";

const SUFFIX = ".json";
/** Files are written and read by a part that comes when it is wanted: a page is smaller without. */
const files = () => import("../../state/files");

function failed(error: unknown): void {
  set({ error: toApiError(error) });
}

function open(file: File): void {
  files()
    .then((m) => m.openSession(file))
    .catch(failed);
}

function saved(): void {
  files()
    .then((m) => m.saveSession())
    .catch(failed);
}

export default function SessionPanel() {
  const { past, future } = useHistory();
  const there = useModel((s) => s.geometry !== null);
  const input = useRef<HTMLInputElement>(null);
  useDropped();
  const changed = past > 0;
  useEffect(() => {
    // Who has made something can save it also when the server has gone.
    if (changed) files().catch(() => undefined);
  }, [changed]);
  if (!there) return null;
  return (
    <section className="group" data-testid="session">
      <h2>Session</h2>
      <div className="buttons">
        <button type="button" data-testid="undo" disabled={past === 0} title="Undo (Ctrl+Z)" onClick={undo}>
          Undo
        </button>
        <button type="button" data-testid="redo" disabled={future === 0} title="Redo (Ctrl+Shift+Z)" onClick={redo}>
          Redo
        </button>
      </div>
      <div className="buttons row">
        <button
          type="button"
          data-testid="session-save"
          title="View, filters, selection and groups, as a file (S)"
          onClick={saved}
        >
          Save…
        </button>
        <button
          type="button"
          data-testid="session-open"
          title="A session file (O); or drop it on the page"
          onClick={() => input.current?.click()}
        >
          Open…
        </button>
        <input
          ref={input}
          type="file"
          hidden
          accept={SUFFIX}
          data-testid="session-file"
          aria-label="A session file"
          onChange={(e) => {
            const file = e.target.files?.[0];
            // The same file may be chosen again.
            e.target.value = "";
            if (file) open(file);
          }}
        />
        <ShareHere prepare={shareNow} />
      </div>
    </section>
  );
}

/** A file that is dropped anywhere on the page is opened; without this the browser would leave the page for it. */
function useDropped(): void {
  useEffect(() => {
    const holds = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const over = (event: DragEvent) => {
      if (holds(event)) event.preventDefault();
    };
    const drop = (event: DragEvent) => {
      if (!holds(event)) return;
      event.preventDefault();
      const file = event.dataTransfer?.files[0];
      if (file) open(file);
    };
    addEventListener("dragover", over);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("drop", drop);
    };
  }, []);
}
