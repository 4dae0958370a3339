/** The token: where a link holds it, and how it becomes a cookie that no script can read. */

import { ApiError, getJson, post } from "./client";
import { isScope } from "./shapes";

/** What the server asks of tokens; anything else in a link is no token. */
const TOKEN = /^[A-Za-z0-9_-]{16,128}$/;
/** The secret of a link that opens one source. */
const SHARED = /^s2\.[A-Za-z0-9_-]{16,960}\.[A-Za-z0-9_-]{32}$/;

/** The token in a pasted text: the text itself, or one in a whole URL; a link to one source holds one, too. */
export function tokenIn(text: string): string {
  const trimmed = text.trim();
  const found = /[#?&](?:token|share)=([^&#\s]*)/.exec(trimmed);
  return found?.[1] === undefined ? trimmed : decode(found[1]);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What a cookie opens: everything, everything to read, one source; null where no token is asked for. */
export type Scope = "admin" | "read" | "share" | null;

/** Exchanges the token for the server's cookie; throws its `ApiError`. */
export async function enter(token: string): Promise<void> {
  if (!TOKEN.test(token) && !SHARED.test(token)) {
    const hint = "A token has 16 to 128 letters, digits, - or _. Paste it whole, or the whole URL.";
    throw new ApiError("bad_token", "That is not a token", hint, 0);
  }
  await post("api/session", { token });
}

/** What the cookie of this page opens. */
export async function scopeNow(): Promise<Scope> {
  return (await getJson<{ scope?: Scope }>("api/session", undefined, isScope)).scope ?? null;
}
