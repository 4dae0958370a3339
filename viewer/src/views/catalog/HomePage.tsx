/** The home page: everything the server offers, to search, to sort and to open. */

import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import type { Query } from "../../api/catalog";
import { amendUrl, setPlace } from "../../state/route";
import { type PageKeys, useKeysOf } from "../../ui/keys";
import { TopBar } from "../../ui/TopBar";
import { Listing } from "./Listing";
import { ask, begin, useHome, watch } from "./live";
import { type Look, readHome, writeHome } from "./model";
import { SearchBox } from "./SearchBox";
import { HomeError, HomeOffline, NothingThere, phaseOf } from "./States";
import { Strip } from "./Strip";
import type { Kept } from "./sight";
import { Toolbar } from "./Toolbar";
import "./catalog.css";

const PHONE = "(max-width: 720px)";
const SEARCH = "#search";

function keptHere(): Kept {
  const { top = 0, opened = [] } = (history.state ?? {}) as Partial<Kept>;
  return { top, opened };
}

function keep(kept: Kept): void {
  history.replaceState({ ...history.state, ...kept }, "");
}

function usePhone(): boolean {
  const [phone, setPhone] = useState(() => matchMedia(PHONE).matches);
  useEffect(() => {
    const list = matchMedia(PHONE);
    const follow = () => setPhone(list.matches);
    list.addEventListener("change", follow);
    return () => list.removeEventListener("change", follow);
  }, []);
  return phone;
}

export default function HomePage() {
  const [look, setLook] = useState<Look>(() => readHome(location.search).look);
  const [start] = useState(keptHere);
  const search = useRef<HTMLInputElement>(null);
  const phone = usePhone();
  const home = useHome();
  const { query, total } = home;

  // Before the page is painted, so that nothing of another question is seen.
  useLayoutEffect(() => begin(readHome(location.search).query, start.opened), [start]);
  useEffect(() => {
    setPlace("");
    if (location.hash === SEARCH) search.current?.focus();
    return watch();
  }, []);
  useKeysOf(useMemo(() => keysOf(search), []));

  const change = useCallback((changes: Partial<Query>) => {
    const next = { ...useHome.getState().query, ...changes };
    const { top, opened, ...rest } = (history.state ?? {}) as Record<string, unknown>;
    history.replaceState(rest, "");
    amendUrl(writeHome({ query: next, look: readHome(location.search).look }));
    ask(next);
  }, []);
  const turn = (next: Look) => {
    setLook(next);
    amendUrl(writeHome({ query, look: next }));
  };

  const phase = phaseOf(home);
  return (
    <main data-testid="app" data-page="home" data-state={phase} className="app plain home">
      <TopBar search={<SearchBox box={search} query={query} change={change} />} />
      <div className="page">
        <Toolbar look={look} turn={turn} query={query} change={change} />
        <div className="shown">
          <HomeOffline />
          <HomeError />
          {total === null || total === 0 ? (
            <NothingThere clear={() => change({ search: "", kind: null, status: null })} />
          ) : (
            <Listing
              look={look}
              phone={phone}
              query={query}
              onSort={(sort) => change({ sort })}
              startAt={start.top}
              onPlace={keep}
            />
          )}
        </div>
        <Strip change={change} />
      </div>
    </main>
  );
}

function keysOf(search: React.RefObject<HTMLInputElement>): PageKeys {
  return {
    lines: [
      ["/", "Search"],
      ["Arrows", "Move over the sources"],
      ["Enter", "Open, list what is inside, or say why it failed"],
      ["→ and ←", "List what is inside, and close (table)"],
      ["Home and End", "First and last source"],
      ["I", "Look inside an HDF5 file"],
    ],
    actions: {
      "/": () => {
        search.current?.focus();
        search.current?.select();
      },
    },
  };
}
