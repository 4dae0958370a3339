/** What stands where a page will be: that it is on its way, or why it does not come. */

import { Component, type ReactNode } from "react";
import { NO_PART } from "../api/client";
import { useRoute } from "../state/route";
import { TopBar } from "./TopBar";

export function Opening({ what = "the page" }: { what?: string }) {
  const page = useRoute((s) => s.route.page);
  return (
    <main data-testid="app" data-page={page} data-state="loading" className="app plain">
      <TopBar />
      <div className="page" role="status">
        <p className="waiting">Opening {what}…</p>
      </div>
    </main>
  );
}

interface Failed {
  error: Error | null;
}

/** A page that cannot be loaded or drawn takes nothing else down: the bar, the link home and the keys stay. */
export class PageFailure extends Component<{ children: ReactNode }, Failed> {
  override state: Failed = { error: null };

  static getDerivedStateFromError(error: unknown): Failed {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return <Broken error={error} />;
  }
}

function Broken({ error }: { error: Error }) {
  const page = useRoute((s) => s.route.page);
  // A server that was updated no longer has the parts that this tab's page asks for.
  const missing = NO_PART.test(error.message);
  return (
    <main data-testid="app" data-page={page} data-state="error" className="app plain">
      <TopBar />
      <div className="page">
        <div className="curtain" data-testid="error" data-code={missing ? "page_missing" : "page_failed"} role="alert">
          <div>
            <strong>{missing ? "A part of this page could not be loaded" : "This page could not be shown"}</strong>
            <p>
              {missing
                ? "The server does not answer, or it was updated since this tab was opened. Reload the page."
                : "Reload the page; if it happens again, report it with the words below."}
            </p>
            <p className="quiet">{error.message}</p>
          </div>
          <button type="button" data-testid="retry" onClick={() => location.reload()}>
            Reload
          </button>
        </div>
      </div>
    </main>
  );
}
