/** Why there is nothing to see, and what to do next. */

import type { ApiError } from "../api/client";
import { linkTo, useRoute } from "../state/route";

/** Over a page that has nothing else to show. */
export function ErrorCurtain({ error, retry }: { error: ApiError; retry: () => void }) {
  const page = useRoute((s) => s.route.page);
  const asks = error.status === 401 || error.status === 403;
  return (
    <div className="curtain" data-testid="error" data-code={error.code} role="alert">
      <div>
        <strong>{error.message}</strong>
        <p>{asks && error.hint === "" ? "Open the whole URL that the server printed." : error.hint}</p>
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
