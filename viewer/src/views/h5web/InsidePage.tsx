/** What is inside an HDF5 file: H5Web, asking our own server over HSDS's protocol. */

import { App, createBasicFetcher, type Fetcher, HsdsProvider } from "@h5web/app";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { getCatalog, getSource, type Source } from "../../api/catalog";
import { type ApiError, isAbort, toApiError } from "../../api/client";
import { amendUrl, linkTo, setPlace } from "../../state/route";
import { useModel } from "../../state/store";
import { ErrorCurtain } from "../../ui/ErrorCurtain";
import { type PageKeys, useKeysOf } from "../../ui/keys";
import { TopBar } from "../../ui/TopBar";
import { filesOf, HSDS, nameOf, readLinked } from "./model";
import { turns } from "./turns";
import "@h5web/app/styles.css";
import "./h5web.css";

const AGAIN_MS = 2000;
const LOCKED = 401;

/** H5Web asks for every object of a group at once; of thousands a browser refuses most. */
const AT_ONCE = 24;

const plain = createBasicFetcher({ credentials: "same-origin" });
const take = turns(AT_ONCE);

/** As H5Web's own, in turns; a refusal for want of a token asks for it as every other request does. */
const fetcher: Fetcher = async (url, params, options) => {
  try {
    return await take(() => plain(url, params, options));
  } catch (error) {
    if ((error as { status?: number }).status === LOCKED) getCatalog().catch(() => undefined);
    throw error;
  }
};

interface Found {
  source: Source;
  files: string[];
}

function useFiles(id: string): { found: Found | null; error: ApiError | null; again: () => void } {
  const [found, setFound] = useState<Found | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [asked, setAsked] = useState(0);
  const again = useCallback(() => setAsked((n) => n + 1), []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again on demand.
  useEffect(() => {
    const own = new AbortController();
    let timer = 0;
    async function find(): Promise<void> {
      const [source, { roots }] = await Promise.all([getSource(id, own.signal), getCatalog(own.signal)]);
      setPlace(source.name, source.source_type);
      const files = await filesOf(source, roots, own.signal);
      setError(null);
      setFound({ source, files });
    }
    find().catch((reason: unknown) => {
      if (isAbort(reason) || own.signal.aborted) return;
      const failure = toApiError(reason);
      setError(failure);
      if (failure.offline) timer = window.setTimeout(again, AGAIN_MS);
    });
    return () => {
      own.abort();
      clearTimeout(timer);
    };
  }, [id, asked]);
  return { found, error, again };
}

/** Whether the page is dark now, by its own choice or the system's. */
function useDark(): boolean {
  const theme = useModel((s) => s.theme);
  const [system, setSystem] = useState(() => matchMedia("(prefers-color-scheme: dark)").matches);
  useEffect(() => {
    const list = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setSystem(list.matches);
    list.addEventListener("change", follow);
    return () => list.removeEventListener("change", follow);
  }, []);
  return theme === "system" ? system : theme === "dark";
}

const KEYS: PageKeys = {
  lines: [
    ["Arrows", "Move in the tree (tree focused)"],
    ["Enter", "Open what is marked in the tree"],
    ["Wheel", "Zoom a plot"],
    ["Drag", "Move a plot; with Ctrl, zoom into a box"],
  ],
  actions: {},
};

export default function InsidePage({ source }: { source: string }) {
  const { found, error, again } = useFiles(source);
  const [linked] = useState(() => readLinked(location.search));
  const [name, setName] = useState(linked.file);
  useKeysOf(KEYS);
  const file = found?.files.find((path) => nameOf(path) === name) ?? found?.files[0];
  const state = error && !found ? "error" : file ? "ready" : "loading";
  const choose = (path: string) => {
    setName(nameOf(path));
    amendUrl({ file: nameOf(path), at: null });
  };
  return (
    <main data-testid="app" data-page="inside" data-state={state} className="app plain">
      <TopBar>
        {found && found.files.length > 1 ? (
          <select
            data-testid="file-select"
            aria-label="File"
            value={file}
            onChange={(event) => choose(event.target.value)}
          >
            {found.files.map((path) => (
              <option key={path} value={path}>
                {nameOf(path)}
              </option>
            ))}
          </select>
        ) : null}
        {found ? <OtherView source={found.source} /> : null}
      </TopBar>
      <div className="page">
        {error && !found ? <ErrorCurtain error={error} retry={again} /> : null}
        {file ? <Inside key={file} file={file} at={name === linked.file ? linked.at : "/"} /> : null}
        {state === "loading" ? (
          <p className="waiting" role="status">
            Opening the file…
          </p>
        ) : null}
      </div>
    </main>
  );
}

/** Back to the page that shows the same as cells or as a network. */
function OtherView({ source }: { source: Source }) {
  if (source.kind === "cells") {
    return (
      <a className="button" data-testid="other-view" {...linkTo({ page: "cells", dataset: source.source_id })}>
        Show cells
      </a>
    );
  }
  if (source.kind === "network") {
    return (
      <a className="button" data-testid="other-view" {...linkTo({ page: "network", network: source.source_id })}>
        Show network
      </a>
    );
  }
  return null;
}

function Inside({ file, at }: { file: string; at: string }) {
  const dark = useDark();
  const host = useRef<HTMLDivElement>(null);
  const url = useMemo(() => new URL(HSDS, document.baseURI).href, []);
  const [path, setPath] = useState(at);
  // H5Web tells nobody what is chosen; its tree shows it.
  useEffect(() => {
    if (!host.current) return;
    const look = () => {
      const chosen = host.current?.querySelector<HTMLElement>('[role="treeitem"][aria-selected="true"]');
      const now = chosen?.dataset.path;
      if (now === undefined) return;
      setPath(now);
      amendUrl({ at: now === "/" ? null : now });
    };
    const watch = new MutationObserver(look);
    watch.observe(host.current, { subtree: true, childList: true, attributeFilter: ["aria-selected"] });
    return () => watch.disconnect();
  }, []);
  return (
    <div ref={host} className="h5web" data-testid="h5web" data-dark={dark} data-file={file} data-path={path}>
      <HsdsProvider url={url} filepath={file} fetcher={fetcher}>
        <App initialPath={at} disableDarkMode sidebarOpen={at === "/" || matchMedia("(min-width: 721px)").matches} />
      </HsdsProvider>
    </div>
  );
}
