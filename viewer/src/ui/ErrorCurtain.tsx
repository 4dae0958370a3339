/** Why there is nothing to see, and what to do next. */

import type { ApiError } from "../api/client";
import { linkTo, useRoute } from "../state/route";

const GONE = new Set(["source_not_found", "not_found", "dataset_not_found"]);

/** Over a page that has nothing else to show. */
export function ErrorCurtain({ error, retry }: { error: ApiError; retry: () => void }) {
  const page = useRoute((s) => s.route.page);
  const asks = error.status === 401 || error.status === 403;
  // What the server says to programs is no help to a person.
  const hint = error.status === 404 && GONE.has(error.code) ? "It may have been moved or deleted." : error.hint;
  return (
    <div className="curtain" data-testid="error" data-code={error.code} role="alert">
      <div>
        <strong>{error.message}</strong>
        <p>{asks && error.hint === "" ? "Open the whole URL that the server printed." : hint}</p>
        <p className="quiet">Code: {error.code}</p>
      </div>
      <div className="buttons">
        <button type="button" data-testid="retry" onClick={retry}>
          Try again
        </button>
        {page === "home" ? null : (
          <a className="button" {...linkTo({ page: "home" })}>
            All sources
          </a>
        )}
      </div>
    </div>
  );
}
