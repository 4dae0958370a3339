/** What the home page says when it is not simply listing: on its way, empty, failed, out of reach. */

import { advice, ErrorCurtain } from "../../ui/ErrorCurtain";
import { again, type Home, useHome } from "./live";
import { narrowed } from "./model";

export function phaseOf({ total, error }: Home): "loading" | "ready" | "error" | "empty" {
  if (total === null) return error === null ? "loading" : "error";
  return total === 0 ? "empty" : "ready";
}

export function HomeOffline() {
  const offline = useHome((s) => s.offline);
  if (!offline) return null;
  return (
    <div className="banner warn" data-testid="error" data-code="offline" role="alert">
      The server does not answer. What you see stays; this page reconnects by itself.
    </div>
  );
}

/** Over the page when there is nothing to list; a banner when only the last question failed. */
export function HomeError() {
  const { error, total } = useHome();
  if (error === null) return null;
  if (total === null) return <ErrorCurtain error={error} retry={again} />;
  return (
    <div className="banner warn" data-testid="error" data-code={error.code} role="alert">
      <div>
        <strong>{error.message}</strong>
        <p>{advice(error)}</p>
      </div>
      <button type="button" data-testid="retry" onClick={again}>
        Try again
      </button>
    </div>
  );
}

/** In place of the list: it is on its way, nothing matches, or there is nothing at all. */
export function NothingThere({ clear }: { clear: () => void }) {
  const { total, error, offline, query, catalog } = useHome();
  if (total === null) {
    if (error !== null || offline) return null;
    return (
      <p className="waiting" role="status">
        Asking what there is…
      </p>
    );
  }
  if (narrowed(query)) {
    return (
      <div className="curtain" data-testid="empty">
        <div>
          <strong>
            {query.search.trim() === "" ? "Nothing of this kind" : `Nothing matches “${query.search.trim()}”`}
          </strong>
          <p>Names, folders, formats and what the files say of themselves were searched.</p>
        </div>
        <button type="button" data-testid="clear" onClick={clear}>
          Clear search and filters
        </button>
      </div>
    );
  }
  const where = catalog?.roots.map((root) => `“${root}”`).join(", ") ?? "";
  return (
    <div className="curtain" data-testid="empty">
      <div>
        <strong>{catalog?.scanning ? "Nothing found yet, still looking…" : "Nothing found here"}</strong>
        <p>
          {where === "" ? "" : `Looked in ${where}. `}
          coverslip shows cells (.h5ad, Zarr, Loom, 10x, MuData), images (OME-TIFF and TIFF, OME-Zarr, CZI, LIF, ND2,
          DICOM, NIfTI, MRC and more), networks of neurons, and arrays (HDF5, Zarr, NumPy). Put a file there: it appears
          here by itself.
        </p>
      </div>
    </div>
  );
}
