/** What a page says when it is not simply showing data: loading, empty, failed, out of reach. */

import { start } from "../state/actions";
import { indexWords } from "../state/indexing";
import { set, useModel } from "../state/store";
import { advice, ErrorCurtain } from "./ErrorCurtain";

export function ProgressStrip() {
  const progress = useModel((s) => s.progress);
  const indexing = useModel((s) => s.indexing);
  const running = Object.entries(progress);
  return (
    <div className="strip" data-testid="progress" role="status">
      {running.map(([key, { label, fraction }]) => (
        <span key={key} className="task">
          {label}
          <progress aria-label={label} {...(fraction === null ? {} : { value: fraction })} />
          {fraction === null ? null : `${Math.round(fraction * 100)} %`}
        </span>
      ))}
      {indexing === null ? null : (
        <span className="task" data-testid="gene-index">
          {indexWords(indexing)}
          <progress aria-label="Gene index" value={indexing} />
        </span>
      )}
    </div>
  );
}

export function Notice() {
  const notice = useModel((s) => s.notice);
  if (notice === null) return null;
  return (
    <div className="banner" data-testid="notice" role="status">
      {notice}
      <button type="button" onClick={() => set({ notice: null })}>
        Dismiss
      </button>
    </div>
  );
}

export function Offline() {
  const offline = useModel((s) => s.offline);
  if (!offline) return null;
  return (
    <div className="banner warn" data-testid="error" data-code="offline" role="alert">
      The server does not answer. What you see stays; this page reconnects by itself.
    </div>
  );
}

/** Over the plot when nothing can be drawn; a banner when only the last wish failed. */
export function Failure() {
  const { error, phase } = useModel();
  if (error === null) return null;
  if (phase === "error") return <ErrorCurtain error={error} retry={() => void start()} />;
  return (
    <div className="banner warn" data-testid="error" data-code={error.code} role="alert">
      <div>
        <strong>{error.message}</strong>
        <p>{advice(error)}</p>
        <p className="quiet">Code: {error.code}</p>
      </div>
      <div className="buttons">
        <button type="button" data-testid="retry" onClick={() => void start()}>
          Try again
        </button>
        <button type="button" onClick={() => set({ error: null })}>
          Dismiss
        </button>
      </div>
    </div>
  );
}

export function Empty() {
  const { phase, identity } = useModel();
  if (phase !== "empty") return null;
  return (
    <div className="curtain" data-testid="empty">
      <div>
        <strong>{identity?.name} has no embedding to draw</strong>
        <p>
          There are {identity?.stats.n_cells.toLocaleString("en")} cells, but no coordinates in <code>obsm</code>.
          Compute them, for instance with <code>scanpy.tl.umap</code>, and save the file: this page reads it anew.
        </p>
        <button type="button" data-testid="retry" onClick={() => void start()}>
          Look again
        </button>
      </div>
    </div>
  );
}
