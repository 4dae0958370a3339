/** Whether the server lets this page ask: nothing is asked before it does. */

import { create } from "zustand";
import { type ApiError, toApiError, whenLocked } from "../api/client";
import { enter, scopeNow, tokenIn } from "../api/session";

/** `ended`: the page was in use when the server stopped taking its cookie. */
export type Lock = "open" | "missing" | "wrong" | "ended";

interface Session {
  lock: Lock;
  /** Where the token is from that the server is looking at. */
  entering: "link" | "form" | null;
  error: ApiError | null;
}

export const useSession = create<Session>(() => ({ lock: "open", entering: null, error: null }));

/** Shows the server a token; the page opens when it is right. */
export async function unlock(text: string, from: "link" | "form"): Promise<void> {
  const { lock } = useSession.getState();
  useSession.setState({ entering: from, error: null });
  try {
    await enter(tokenIn(text));
    // What was on a page in use is asked for again: its link holds the view.
    if (lock === "ended") location.reload();
    else useSession.setState({ lock: "open", entering: null });
  } catch (error) {
    useSession.setState({ entering: null, error: toApiError(error) });
  }
}

/** A link to one source, opened where another one is open: shows what the new one opens. Who may do more goes on. */
async function exchange(token: string): Promise<void> {
  try {
    await enter(token);
    if ((await scopeNow()) === "share") location.reload();
  } catch {
    // An ended link takes nothing away from who is inside.
  }
}

/** The token behind the `#` of this page's address, taken out of it and of its entry in the history. */
export function takeToken(): string | null {
  const { hash, pathname } = location;
  const query = new URLSearchParams(location.search);
  const found = /^#(token|share)=/.test(hash) ? tokenIn(hash) : null;
  if (found === null && !query.has("token")) return null;
  query.delete("token"); // a wrong one: the server took a right one out itself
  const rest = query.toString().replaceAll("%2F", "/").replaceAll("%3A", ":");
  history.replaceState(history.state, "", pathname + (rest === "" ? "" : `?${rest}`));
  return found;
}

/** Looks at how the page was served and at its address; called once, before anything is drawn. */
export function startSession(): void {
  const { locked } = document.documentElement.dataset;
  useSession.setState({ lock: locked === "missing" || locked === "wrong" ? locked : "open" });
  const follow = () => {
    const shared = location.hash.startsWith("#share=");
    const token = takeToken();
    if (token === null) return;
    if (useSession.getState().lock !== "open") void unlock(token, "link");
    else if (shared) void exchange(token);
  };
  follow();
  // The printed URL, pasted into a tab that is here already, changes only what stands behind the #.
  addEventListener("hashchange", follow);
  whenLocked(() => {
    if (useSession.getState().lock === "open") useSession.setState({ lock: "ended" });
  });
}
