/** The page of a link that names none: asks the server where to go. */

import { useEffect, useState } from "react";
import { type ApiError, askAhead, isAbort, toApiError } from "../api/client";
import { decide, hasNoCatalog } from "../state/door";
import { type Route, settle } from "../state/route";
import { ErrorCurtain } from "./ErrorCurtain";
import { Opening } from "./Page";
import { TopBar } from "./TopBar";

const AGAIN_MS = 1500;

export function Door() {
  const [error, setError] = useState<ApiError | null>(null);
  const [asked, setAsked] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again on demand.
  useEffect(() => {
    const own = new AbortController();
    let timer = 0;
    // Most servers of one source offer cells: their page's first question is asked beside ours.
    const forget = askAhead("_cellucid/datasets");
    const enter = (route: Route) => {
      if (route.page !== "cells") forget();
      settle(route);
    };
    decide(own.signal).then(enter, (reason: unknown) => {
      if (isAbort(reason) || own.signal.aborted) return forget();
      if (hasNoCatalog(reason)) return settle({ page: "cells", dataset: null });
      forget();
      const failure = toApiError(reason);
      setError(failure);
      if (failure.offline) timer = window.setTimeout(() => setAsked((n) => n + 1), AGAIN_MS);
    });
    return () => {
      own.abort();
      clearTimeout(timer);
    };
  }, [asked]);
  if (error === null) return <Opening what="the data" />;
  return (
    <main data-testid="app" data-page="door" data-state="error" className="app plain">
      <TopBar />
      <div className="page">
        <ErrorCurtain error={error} retry={() => setAsked((n) => n + 1)} />
      </div>
    </main>
  );
}
