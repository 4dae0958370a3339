/** Every key of the page that is open. */

import { useEffect, useRef } from "react";
import { set, useModel } from "../state/store";
import { type KeyLine, usePageKeys } from "./keys";

const SHELL: KeyLine[] = [
  ["T", "Theme: system, light, dark"],
  ["?", "This list"],
  ["Esc", "Close"],
];

export function Help() {
  const help = useModel((s) => s.help);
  const lines = usePageKeys((s) => s.lines);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (help && !dialog.current?.open) dialog.current?.showModal();
    if (!help && dialog.current?.open) dialog.current.close();
  }, [help]);
  return (
    <dialog ref={dialog} className="help" onClose={() => set({ help: false })} aria-label="Keys">
      {/* First, as it has the focus: a long list would be opened at its end. */}
      <div className="help-head">
        <h2>Keys</h2>
        <button type="button" onClick={() => set({ help: false })}>
          Close
        </button>
      </div>
      <dl>
        {[...lines, ...SHELL].map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </dialog>
  );
}
