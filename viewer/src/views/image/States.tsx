/** What the image page says when it is not simply showing an image. */

import { count } from "../../data/format";
import { advice, ErrorCurtain } from "../../ui/ErrorCurtain";
import { part } from "../../ui/part";
import { chooseMode, openImage, retry } from "./actions";
import { MOST_READ } from "./model";
import { setImage, useImage } from "./state";

const LookInside = part(() => import("../../ui/LookInside"));
/** An array that is whole, and nothing to look at from here. */
const NO_PICTURE = new Set(["not_a_picture", "not_drawable"]);

export function Work() {
  const progress = useImage((s) => s.progress);
  return (
    <div className="strip" data-testid="progress" role="status">
      {Object.entries(progress).map(([key, { label, fraction }]) => (
        <span key={key} className="task">
          {label}
          <progress aria-label={label} {...(fraction === null ? {} : { value: fraction })} />
          {fraction === null ? null : `${Math.round(fraction * 100)} %`}
        </span>
      ))}
    </div>
  );
}

export function Words() {
  const { phase, error, offline, notice } = useImage();
  return (
    <>
      {phase === "loading" ? <p className="waiting">Opening the image…</p> : null}
      {offline ? (
        <div className="banner warn" data-testid="error" data-code="offline" role="alert">
          The server does not answer. What you see stays; this page reconnects by itself.
        </div>
      ) : null}
      {notice !== null ? (
        <div className="banner" data-testid="notice" role="status">
          {notice}
          <button type="button" onClick={() => setImage({ notice: null })}>
            Dismiss
          </button>
        </div>
      ) : null}
      {error !== null ? <Failure /> : null}
      {phase === "empty" ? <Empty /> : null}
      <VolumeState />
    </>
  );
}

/** Over the view when nothing can be drawn; a banner when only the last wish failed. */
function Failure() {
  const { error, phase, arrayId } = useImage();
  if (error === null) return null;
  if (phase === "error") {
    return (
      <ErrorCurtain error={error} retry={retry}>
        {NO_PICTURE.has(error.code) ? <LookInside source={arrayId.split("/", 1)[0] ?? ""} /> : null}
      </ErrorCurtain>
    );
  }
  return (
    <div className="banner warn" data-testid="error" data-code={error.code} role="alert">
      <div>
        <strong>{error.message}</strong>
        <p>{advice(error)}</p>
        <p className="quiet">Code: {error.code}</p>
      </div>
      <div className="buttons">
        <button type="button" data-testid="retry" onClick={retry}>
          Try again
        </button>
        <button type="button" onClick={() => setImage({ error: null })}>
          Dismiss
        </button>
      </div>
    </div>
  );
}

function Empty() {
  const { info, arrayId } = useImage();
  const sizes = info?.dim_labels.map((axis, i) => `${axis} ${info.shape[i]}`).join(", ");
  return (
    <div className="curtain" data-testid="empty">
      <div>
        <strong>{info?.name} holds no pixels</strong>
        <p>One of its axes has no elements ({sizes}). If it is still being written, look again later.</p>
        <button type="button" data-testid="retry" onClick={() => void openImage(arrayId)}>
          Look again
        </button>
      </div>
    </div>
  );
}

function VolumeState() {
  const { mode, volume, info, progress } = useImage();
  if (mode !== "volume" || !info || volume.kind === "ready") return null;
  if (volume.kind === "none") return progress.volume ? <p className="waiting">Reading the volume…</p> : null;
  const flat = volume.kind === "flat";
  return (
    <div className="curtain" data-testid="no-volume" data-why={volume.kind} role="status">
      <div>
        <strong>{flat ? "This image has no z axis to see in 3D" : "This volume is too large for the 3D view"}</strong>
        <p>
          {flat
            ? "A volume needs at least two planes in z."
            : `Even its coarsest level has ${count(volume.voxels)} voxels; the 3D view takes up to ${count(MOST_READ)}.`}
        </p>
      </div>
      <div className="buttons">
        {flat ? null : (
          <button type="button" onClick={() => chooseMode("max")}>
            Maximum over z
          </button>
        )}
        <button type="button" onClick={() => chooseMode("plane")}>
          One plane
        </button>
      </div>
    </div>
  );
}
