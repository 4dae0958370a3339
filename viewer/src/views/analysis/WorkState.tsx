/** What becomes of a question: on its way, called off, refused. */

import { type ReactNode, useEffect, useRef } from "react";
import { useModel } from "../../state/store";
import { cancel, type Kind, useAnalysis } from "./state";

/** What failed because the server was gone is asked again when it is back. */
function useReturn(failed: boolean, again: () => void): void {
  const offline = useModel((s) => s.offline);
  const before = useRef(offline);
  useEffect(() => {
    if (before.current && !offline && failed) again();
    before.current = offline;
  }, [offline, failed, again]);
}

interface WorkProps {
  kind: Kind;
  what: string;
  again: () => void;
  /** While nothing was asked. */
  idle?: ReactNode;
  /** There is an older answer below. */
  behind?: boolean;
}

export function WorkState({ kind, what, again, idle = null, behind = false }: WorkProps) {
  const { state, progress, message, error } = useAnalysis((s) => s.work[kind]);
  useReturn(state === "failed" && error?.offline === true, again);
  if (state === "done") return null;
  if (state === "idle") return idle;
  return (
    <div className={`work ${state}`} data-testid={`work-${kind}`} data-state={state} data-code={error?.code ?? ""}>
      {state === "running" ? (
        <div className="buttons" role="status">
          <span>{message || what}…</span>
          <progress aria-label={what} {...(progress === null ? {} : { value: progress })} />
          {progress === null ? null : <span className="quiet">{Math.round(progress * 100)} %</span>}
          <button type="button" data-testid={`cancel-${kind}`} onClick={() => cancel(kind)}>
            Cancel
          </button>
        </div>
      ) : null}
      {state === "cancelled" ? (
        <div className="buttons" role="status">
          <span>Called off{behind ? "; what you see is from before" : ""}.</span>
          <button type="button" onClick={again}>
            Do it after all
          </button>
        </div>
      ) : null}
      {state === "failed" && error ? (
        <div role="alert">
          <strong>{error.message}</strong>
          <p>
            {error.hint} <span className="quiet">Code: {error.code}</span>
          </p>
          {error.code === "no_server" ? null : (
            <button type="button" data-testid={`again-${kind}`} onClick={again}>
              Try again
            </button>
          )}
        </div>
      ) : null}
    </div>
  );
}
