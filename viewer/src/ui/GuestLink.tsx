/** For who shows the token that opens everything: a link to what is on this page, for somebody who has none. */

import { useState } from "react";
import { toApiError } from "../api/client";
import { shareSource, sourceOf } from "../api/shares";
import { useRoute } from "../state/route";

export default function GuestLink() {
  const [said, setSaid] = useState("");
  async function make(): Promise<void> {
    try {
      const source = await sourceOf(useRoute.getState().route);
      if (source === null) return setSaid("Open what you want to share first.");
      const { fragment, expires_s } = await shareSource(source);
      const link = location.href.split("#", 1)[0] + fragment;
      const until = new Date(expires_s * 1000).toLocaleDateString(undefined, { dateStyle: "medium" });
      try {
        await navigator.clipboard.writeText(link);
        setSaid(`Copied. Whoever has it sees this source, and no other, until ${until}.`);
      } catch {
        setSaid(link);
      }
    } catch (error) {
      const { message, hint } = toApiError(error);
      setSaid(`${message}. ${hint}`);
    }
  }
  return (
    <>
      Only who has the token can open it.{" "}
      <button type="button" data-testid="guest-link" onClick={() => void make()}>
        Copy a link for a guest
      </button>
      <span className="guest-said" data-testid="guest-said" role="status">
        {said}
      </span>
    </>
  );
}
