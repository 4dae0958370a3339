/** Where am I, how much is it, and what concerns the whole page. */

import { lazy, type ReactNode, Suspense, useRef, useState } from "react";
import { isCopy } from "../api/client";
import { scopeNow } from "../api/session";
import { linkTo, usePlace, useRoute } from "../state/route";
import { set, useModel } from "../state/store";
import { cycleTheme } from "./theme";

const GuestLink = lazy(() => import("./GuestLink"));

interface Parts {
  /** In place of the page's name: a choice of several. */
  name?: ReactNode;
  /** After the name: how much it is. */
  detail?: ReactNode;
  /** In place of the link to the search. */
  search?: ReactNode;
  /** Brings the address up to date and says in a sentence what a link does not hold, if anything. */
  share?: () => string;
  /** The page's own buttons. */
  children?: ReactNode;
}

export function TopBar({ name, detail, search, share, children }: Parts) {
  const theme = useModel((s) => s.theme);
  const place = usePlace();
  const atHome = useRoute((s) => s.route.page === "home");
  const home = linkTo({ page: "home" });
  return (
    <header className="top-bar">
      <strong className="brand">coverslip</strong>
      <nav className="where" aria-label="Where you are">
        <a
          {...home}
          {...(atHome ? { "aria-current": "page" } : {})}
          data-testid="home-link"
          title="Everything on offer"
        >
          <HomeIcon />
          <span className="home-word">Home</span>
        </a>
        {atHome ? <h1 className="visually-hidden">Everything on offer</h1> : null}
        {atHome || (name === undefined && place.name === "") ? null : (
          <>
            <span className="quiet" aria-hidden="true">
              /
            </span>
            {name}
            {name ? (
              <h1 className="visually-hidden">{place.name}</h1>
            ) : (
              <h1 className="dataset" dir="auto" aria-current="page" title={place.name} data-testid="place">
                {place.name}
              </h1>
            )}
          </>
        )}
      </nav>
      {detail ?? (place.detail ? <span className="cell-count">{place.detail}</span> : null)}
      {search ?? <span className="space" />}
      {children}
      {search ? null : (
        <a
          className="button to-search"
          {...linkTo({ page: "home" }, "#search")}
          title="Search everything on offer"
          data-testid="to-search"
        >
          <SearchIcon />
          <span className="visually-hidden">Search everything</span>
        </a>
      )}
      <Share prepare={share ?? (() => "")} />
      <button
        type="button"
        data-testid="theme-toggle"
        data-theme={theme}
        onClick={cycleTheme}
        title={`Theme: ${theme} (T)`}
        aria-label={`Theme: ${theme}. Change`}
      >
        {theme === "system" ? "◐" : theme === "light" ? "☀" : "☾"}
      </button>
      <button type="button" data-testid="help" onClick={() => set({ help: true })} title="Keys (?)" aria-label="Help">
        ?
      </button>
    </header>
  );
}

function HomeIcon() {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d="M2 7.5 8 2l6 5.5M3.5 6.5V14h3.2v-4h2.6v4h3.2V6.5" />
    </svg>
  );
}

export function SearchIcon() {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
      <circle cx="7" cy="7" r="4.5" />
      <path d="m10.5 10.5 3.5 3.5" />
    </svg>
  );
}

/** Where the bar has no room for it: on a phone, in the panel. */
export function ShareHere({ prepare = () => "" }: { prepare?: () => string }) {
  return (
    <span className="narrow">
      <Share prepare={prepare} id="share-here" />
    </span>
  );
}

const SAID_MS = 2000;
const TOLD_MS = 8000;

interface ShareProps {
  /** See `Parts.share`. */
  prepare: () => string;
  /** What tests call it. */
  id?: string;
}

export function Share({ prepare, id = "share" }: ShareProps) {
  const [said, setSaid] = useState("");
  const [left, setLeft] = useState("");
  const [guests, setGuests] = useState(false);
  const timer = useRef(0);
  async function copy(): Promise<void> {
    const missing = prepare();
    try {
      await navigator.clipboard.writeText(location.href);
      setSaid("Copied");
    } catch {
      setSaid("Copy the address bar");
    }
    setLeft(missing);
    const scope = guests || isCopy() ? null : await scopeNow().catch(() => null);
    setGuests(scope === "admin"); // pressed again it goes away
    clearTimeout(timer.current);
    timer.current = window.setTimeout(
      () => {
        setSaid("");
        setLeft("");
      },
      missing === "" ? SAID_MS : TOLD_MS,
    );
  }
  return (
    <span className="share">
      <button type="button" data-testid={id} onClick={() => void copy()} title="Copy a link to this view">
        <span aria-live="polite">{said || "Share"}</span>
      </button>
      {left === "" && !guests ? null : (
        <span className="share-note" data-testid="share-note" role="status">
          {left === "" ? null : <>Not all is in the link: {left} </>}
          {guests ? (
            <Suspense>
              <GuestLink />
            </Suspense>
          ) : null}
        </span>
      )}
    </span>
  );
}
