/** What of the listing is on the screen, and keeping it there. */

import { useEffect, useLayoutEffect, useRef, useState } from "react";
import type { Query } from "../../api/catalog";
import type { Layout, Line } from "./layout";
import { show, sourceAt, useHome } from "./live";
import type { Look } from "./model";
import { hold } from "./thumbnails";

/** What is kept of the page in the browser's history, so that Back leads to the same place. */
export interface Kept {
  top: number;
  opened: string[];
}

/** Width of an element's inside; 0 until it is known. */
export function useWidth(element: React.RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const own = element.current;
    if (!own) return;
    setWidth(own.clientWidth);
    const watcher = new ResizeObserver(() => setWidth(own.clientWidth));
    watcher.observe(own);
    return () => watcher.disconnect();
  }, [element]);
  return width;
}

/** Tells which sources are on the screen, so that they are fetched and kept fresh. */
export function useSight(lines: Line[]): void {
  const shown = lines.flatMap((line) => (line.kind === "sources" ? [line.from, line.to - 1] : []));
  const first = Math.min(...shown);
  const last = Math.max(...shown);
  useEffect(() => {
    if (Number.isFinite(first) && Number.isFinite(last)) show(first, last);
  }, [first, last]);
}

const SETTLE_MS = 150;
/** Pixels per millisecond at which nobody looks at pictures. */
const FAST = 1.5;

interface Scroll {
  startAt: number;
  ready: boolean;
  query: Query;
  look: Look;
  onPlace: (kept: Kept) => void;
}

/** Back to where the page was left; to the top for another question; and notes where it is. */
export function useScroll(
  box: React.RefObject<HTMLDivElement | null>,
  { startAt, ready, query, look, onPlace }: Scroll,
) {
  const restored = useRef(false);
  const asked = useRef({ query, look });
  useLayoutEffect(() => {
    if (!ready || restored.current || !box.current) return;
    restored.current = true;
    box.current.scrollTop = startAt;
  }, [ready, startAt, box]);
  useLayoutEffect(() => {
    if (asked.current.query === query && asked.current.look === look) return;
    asked.current = { query, look };
    if (box.current) box.current.scrollTop = 0;
  }, [query, look, box]);
  useEffect(() => {
    const own = box.current;
    if (!own) return;
    let timer = 0;
    const save = () => {
      clearTimeout(timer);
      timer = window.setTimeout(
        () => onPlace({ top: own.scrollTop, opened: [...useHome.getState().opened] }),
        SETTLE_MS,
      );
    };
    let last = { top: own.scrollTop, at: 0 };
    const scrolled = (event: Event) => {
      const now = { top: own.scrollTop, at: event.timeStamp };
      if (Math.abs(now.top - last.top) > FAST * (now.at - last.at)) hold();
      last = now;
      save();
    };
    own.addEventListener("scroll", scrolled, { passive: true });
    const stop = useHome.subscribe((now, before) => {
      if (now.opened !== before.opened) save();
    });
    return () => {
      clearTimeout(timer);
      own.removeEventListener("scroll", scrolled);
      stop();
    };
  }, [box, onPlace]);
}

/** What is read stays where it is when sources come or go above it. */
export function useAnchor(
  box: React.RefObject<HTMLDivElement | null>,
  lines: { item: { start: number; end: number }; line: Line }[],
  layout: Layout,
  topOf: (line: number) => number,
): void {
  const pages = useHome((s) => s.pages);
  const anchor = useRef<{ id: string; line: number; pages: unknown } | null>(null);
  useLayoutEffect(() => {
    const own = box.current;
    if (!own) return;
    const before = anchor.current;
    const { places } = useHome.getState();
    const index = before === null ? undefined : places.get(before.id);
    if (before !== null && before.pages !== pages && index !== undefined && own.scrollTop > 0) {
      const line = layout.lineOf({ index, part: null });
      if (line !== before.line) own.scrollTop += topOf(line) - topOf(before.line);
    }
    const top = own.scrollTop;
    const first = lines.find(({ item, line }) => line.kind === "sources" && item.end > top)?.line;
    const source = first?.kind === "sources" ? sourceAt({ pages }, first.from) : undefined;
    anchor.current =
      source && first?.kind === "sources"
        ? { id: source.source_id, line: layout.lineOf({ index: first.from, part: null }), pages }
        : null;
  });
}
