/** Why there is nothing to see, and what to do next. */

import type { ReactNode } from "react";
import type { ApiError } from "../api/client";
import { linkTo, useRoute } from "../state/route";

const GONE = new Set(["source_not_found", "not_found", "dataset_not_found", "array_not_found"]);

/** What to do next, in words for people: what the server says to programs is no help to them. */
export function advice(error: ApiError): string {
  if (error.status === 404 && GONE.has(error.code)) return "It may have been moved or deleted.";
  const asks = error.status === 401 || error.status === 403;
  return asks && error.hint === "" ? "Open the whole URL that the server printed." : error.hint;
}

interface Props {
  error: ApiError;
  retry: () => void;
  /** Another way on. */
  children?: ReactNode;
}

/** Over a page that has nothing else to show. */
export function ErrorCurtain({ error, retry, children }: Props) {
  const page = useRoute((s) => s.route.page);
  return (
    <div className="curtain" data-testid="error" data-code={error.code} role="alert">
      <div>
        <strong>{error.message}</strong>
        <p>{advice(error)}</p>
        {children}
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
