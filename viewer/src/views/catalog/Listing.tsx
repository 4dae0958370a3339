/** The sources on the screen, as cards or as a table: only the lines in sight exist, and the keyboard walks over all. */

import { useVirtualizer } from "@tanstack/react-virtual";
import { useCallback, useLayoutEffect, useMemo, useRef } from "react";
import type { Query, Source } from "../../api/catalog";
import { navigate } from "../../state/route";
import { CardLine } from "./CardLine";
import { ArraysHeading, FailureLine } from "./DetailLines";
import { useKeyboard } from "./keyboard";
import { Layout, type Line, type Spot } from "./layout";
import { activate, type Home, sourceAt, toggle, useHome } from "./live";
import { COLUMNS, type Look, opensUp, partsOf, routeAt } from "./model";
import { itemId } from "./parts";
import { type Kept, useAnchor, useScroll, useSight, useWidth } from "./sight";
import { TableHead, TableLine } from "./TableLine";

const CARD = { least: 168, gap: 12, words: 54, edge: 16 };
const PHONE_CARD = { least: 150, gap: 8, words: 54, edge: 8 };
const HEIGHTS = { row: 34, phoneRow: 56, head: 32, heading: 44, failure: 76, phoneFailure: 128 };
const OVERSCAN = { cards: 2, table: 10 };

interface Props {
  look: Look;
  phone: boolean;
  query: Query;
  onSort: (sort: Query["sort"]) => void;
  /** Where the page was scrolled to when it was left. */
  startAt: number;
  onPlace: (kept: Kept) => void;
}

export function Listing({ look, phone, query, onSort, startAt, onPlace }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const { total, pages, places, opened, active, asking } = useHome();
  const card = phone ? PHONE_CARD : CARD;
  const room = width - 2 * card.edge;
  const columns = look === "table" ? 1 : Math.max(1, Math.floor((room + card.gap) / (card.least + card.gap)));
  const cardWidth = (room - (columns - 1) * card.gap) / columns;
  const head = look === "table" && !phone ? HEIGHTS.head : 0;

  const openings = useMemo(() => openingsOf(opened, places, pages), [opened, places, pages]);
  const layout = useMemo(
    () => new Layout(total ?? 0, openings, { columns, headings: look === "cards" }),
    [total, openings, columns, look],
  );

  const heightOf = (line: Line): number => {
    if (line.kind === "heading") return HEIGHTS.heading;
    if (line.kind === "failure") return (phone ? HEIGHTS.phoneFailure : HEIGHTS.failure) + spaceAfter(line);
    if (look === "table") return phone ? HEIGHTS.phoneRow : HEIGHTS.row;
    return Math.round(cardWidth * 0.75) + card.words + card.gap + spaceAfter(line);
  };
  /** What belongs to one source stands apart from the cards that follow. */
  const spaceAfter = (line: Line): number => {
    const last = line.kind === "failure" || (line.kind === "arrays" && line.to === partsOf(line.source).length);
    return look === "cards" && last ? card.gap : 0;
  };

  const list = useVirtualizer({
    count: width === 0 ? 0 : layout.length,
    getScrollElement: () => box.current,
    estimateSize: (i) => heightOf(layout.at(i)),
    overscan: OVERSCAN[look],
    paddingStart: head + (look === "cards" ? card.gap : 0),
    scrollPaddingStart: head,
    initialOffset: startAt,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: heights follow from these.
  useLayoutEffect(() => list.measure(), [layout, cardWidth, look, phone]);

  useLayoutEffect(() => {
    // Back from a page that was opened from here: the keyboard is where it was.
    if (useHome.getState().active !== null) box.current?.focus({ preventScroll: true });
  }, []);

  const items = list.getVirtualItems();
  const lines = items.map((item) => ({ item, line: layout.at(item.index) }));
  useSight(lines.map(({ line }) => line));
  useScroll(box, { startAt, ready: width > 0 && total !== null, query, look, onPlace });
  useAnchor(box, lines, layout, (line) => list.getOffsetForIndex(line, "start")?.[0] ?? 0);

  const go = (spot: Spot) => {
    activate(spot);
    list.scrollToIndex(layout.lineOf(spot));
  };
  // The same function for every picture of the page, so that lines that did not change are not drawn again.
  const choose = useCallback(
    (spot: Spot) => {
      const home = useHome.getState();
      const source = sourceAt(home, spot.index);
      if (!source) return;
      activate(spot);
      const route = routeAt(source, spot.part);
      if (route) {
        onPlace({ top: box.current?.scrollTop ?? 0, opened: [...home.opened] });
        navigate(route);
      } else if (opensUp(source)) toggle(source.source_id);
    },
    [onPlace],
  );
  const screen = () => Math.max(1, Math.floor((box.current?.clientHeight ?? 0) / heightOf(layout.at(0))) - 1);
  const first = () => firstInSight(lines.map(({ line }) => line));
  const press = useKeyboard({ look, layout, screen, first, go, choose });

  const common = { pages, opened, active, choose };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it is a grid or a tree grid.
    // biome-ignore lint/a11y/useAriaPropsSupportedByRole: both have names, counts and an active descendant.
    <div
      ref={box}
      className={`listing ${look}${asking ? " asking" : ""}`}
      data-testid="listing"
      data-look={look}
      data-total={total ?? ""}
      role={look === "table" ? "treegrid" : "grid"}
      aria-label="Sources"
      aria-busy={asking}
      aria-rowcount={layout.length + (head > 0 ? 1 : 0)}
      aria-colcount={look === "table" ? COLUMNS.length : columns}
      aria-activedescendant={active && lines.some(({ line }) => holds(line, active)) ? itemId(active) : undefined}
      tabIndex={0}
      onKeyDown={press}
    >
      <div className="lines" role="presentation" style={{ height: list.getTotalSize() }}>
        {head > 0 ? <TableHead sort={query.sort} onSort={onSort} /> : null}
        {lines.map(({ item, line }) => {
          const place = {
            top: item.start,
            height: item.size - spaceAfter(line),
            number: item.index + (head > 0 ? 2 : 1),
          };
          if (line.kind === "heading") return <ArraysHeading key={item.key} source={line.source} {...place} />;
          if (line.kind === "failure") return <FailureLine key={item.key} source={line.source} {...place} />;
          if (look === "table") return <TableLine key={item.key} line={line} phone={phone} {...place} {...common} />;
          return <CardLine key={item.key} line={line} gap={card.gap} columns={columns} {...place} {...common} />;
        })}
      </div>
    </div>
  );
}

const NONE: { index: number; source: Source }[] = [];

function openingsOf(opened: Home["opened"], places: Home["places"], pages: Home["pages"]): typeof NONE {
  if (opened.size === 0) return NONE;
  return [...opened].flatMap((id) => {
    const index = places.get(id);
    const source = index === undefined ? undefined : sourceAt({ pages }, index);
    return index === undefined || source === undefined ? [] : [{ index, source }];
  });
}

function holds(line: Line, { index, part }: Spot): boolean {
  if (line.kind === "sources") return part === null && index >= line.from && index < line.to;
  return line.kind === "arrays" && line.index === index && part !== null && part >= line.from && part < line.to;
}

function firstInSight(lines: Line[]): Spot {
  const first = lines.find((line) => line.kind === "sources");
  return { index: first?.kind === "sources" ? first.from : 0, part: null };
}
