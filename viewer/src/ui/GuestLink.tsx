/** For who shows the token that opens everything: a link to what is on this page, for somebody who has none. */

import { useCallback, useEffect, useRef, useState } from "react";
import { toApiError } from "../api/client";
import { linksTo, type NotedLink, shareSource, sourceOf, takeBack } from "../api/shares";
import { useRoute } from "../state/route";

const day = (at_s: number) => new Date(at_s * 1000).toLocaleDateString(undefined, { dateStyle: "medium" });

function told(error: unknown): string {
  const { message, hint } = toApiError(error);
  return `${message}. ${hint}`;
}

export default function GuestLink() {
  const route = useRoute((s) => s.route);
  const [said, setSaid] = useState("");
  const [label, setLabel] = useState("");
  const [links, setLinks] = useState<NotedLink[]>([]);
  const again = useCallback(async () => {
    try {
      const found = await linksTo(await sourceOf(route));
      if (useRoute.getState().route === route) setLinks(found);
    } catch (error) {
      setSaid(told(error));
    }
  }, [route]);
  useEffect(() => void again(), [again]);

  async function make(): Promise<void> {
    try {
      const source = await sourceOf(route);
      if (source === null) return setSaid("Open what you want to share first.");
      const { fragment, expires_s } = await shareSource(source, label.trim());
      const link = location.href.split("#", 1)[0] + fragment;
      setLabel("");
      void again();
      try {
        await navigator.clipboard.writeText(link);
        setSaid(`Copied. Whoever has it sees this source, and no other, until ${day(expires_s)}.`);
      } catch {
        setSaid(link);
      }
    } catch (error) {
      setSaid(told(error));
    }
  }
  return (
    <>
      Only who has the token can open it.
      <form
        className="guest-make"
        onSubmit={(event) => {
          event.preventDefault();
          void make();
        }}
      >
        <input
          value={label}
          onChange={(event) => setLabel(event.target.value)}
          maxLength={100}
          placeholder="For whom (if you like)"
          aria-label="For whom the link is"
          data-testid="guest-label"
        />
        <button type="submit" data-testid="guest-link">
          Copy a link for a guest
        </button>
      </form>
      <span className="guest-said" data-testid="guest-said" role="status">
        {said}
      </span>
      <Links links={links} again={again} named={route.page === "home"} />
    </>
  );
}

interface LinksProps {
  links: NotedLink[];
  again: () => Promise<void>;
  /** Whether each says what it opens. */
  named: boolean;
}

function Links({ links, again, named }: LinksProps) {
  const [said, setSaid] = useState("");
  const heading = useRef<HTMLElement>(null);
  async function end(link: NotedLink): Promise<void> {
    try {
      await takeBack(link.id);
      setSaid("Taken back: it opens nothing any more.");
    } catch (error) {
      setSaid(told(error));
    }
    await again();
    heading.current?.focus(); // the button that was pressed is gone
  }
  if (links.length === 0 && said === "") return null;
  return (
    <span className="guest-links">
      <strong ref={heading} tabIndex={-1}>
        Links to {named ? "what is on offer" : "this source"}
      </strong>
      <ul data-testid="guest-links">
        {links.map((link) => (
          <li key={link.id} data-testid="guest-noted">
            <span>
              {named ? `${link.name}: ` : ""}
              {link.label || "for nobody named"}
              <span className="quiet">, until {day(link.expires_s)}</span>
            </span>
            <button
              type="button"
              data-testid="guest-back"
              onClick={() => void end(link)}
              aria-label={`Take back the link ${link.label || link.id}`}
            >
              Take back
            </button>
          </li>
        ))}
      </ul>
      <span className="guest-said" data-testid="guest-ended" role="status">
        {said}
      </span>
    </span>
  );
}
