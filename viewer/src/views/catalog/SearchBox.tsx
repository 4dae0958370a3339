/** One box that searches everything on offer, while it is being typed. */

import { type RefObject, useEffect, useRef, useState } from "react";
import type { Query } from "../../api/catalog";

const TYPING_MS = 150;

interface Props {
  box: RefObject<HTMLInputElement>;
  query: Query;
  change: (changes: Partial<Query>) => void;
}

export function SearchBox({ box, query, change }: Props) {
  const [draft, setDraft] = useState(query.search);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  // Filters that are cleared, or a link that is followed, change the box too.
  useEffect(() => setDraft(query.search), [query.search]);

  function type(text: string): void {
    setDraft(text);
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => change({ search: text }), TYPING_MS);
  }
  return (
    <div role="search" className="search-box">
      <input
        ref={box}
        type="search"
        data-testid="search"
        aria-label="Search everything on offer"
        aria-keyshortcuts="/"
        placeholder="Search names, formats, folders  ( / )"
        autoComplete="off"
        spellCheck={false}
        value={draft}
        onChange={(event) => type(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape" && draft !== "") {
            event.preventDefault();
            type("");
          }
          if (event.key !== "Enter" && event.key !== "ArrowDown") return;
          event.preventDefault();
          document.querySelector<HTMLElement>("[data-testid=listing]")?.focus();
        }}
      />
    </div>
  );
}
