/** The table's head, and a line of it: a source, or one of its arrays. */

import { memo, type ReactNode } from "react";
import type { Query, Source, Tensor } from "../../api/catalog";
import { MiddleCut } from "../../ui/MiddleCut";
import { type Spot, same } from "./layout";
import { sourceAt, toggle } from "./live";
import {
  ariaSort,
  bytes,
  COLUMN_SORTS,
  COLUMNS,
  type Column,
  channels,
  dimensions,
  factsOf,
  folderOf,
  isPicture,
  KIND_NAMES,
  kindOf,
  nextSort,
  opensUp,
  partsOf,
  pictureOf,
  routeAt,
  tailOf,
  when,
  wholeTime,
} from "./model";
import { InsideLink, OpenLink } from "./OpenLink";
import { itemId, type LineProps, placed, spotsOf } from "./parts";
import { StatusBadge } from "./StatusBadge";
import { Thumbnail } from "./Thumbnail";

export function TableHead({ sort, onSort }: { sort: Query["sort"]; onSort: (sort: Query["sort"]) => void }) {
  return (
    <div className="table-head table-columns" role="row" aria-rowindex={1}>
      {COLUMNS.map(([column, name]) => (
        <span key={column} role="columnheader" className={column} aria-sort={ariaSort(column, sort)}>
          {COLUMN_SORTS[column] ? (
            <button type="button" data-testid={`sort-${column}`} onClick={() => onSort(nextSort(column, sort))}>
              {name}
              <span aria-hidden="true">{arrow(column, sort)}</span>
            </button>
          ) : (
            name
          )}
        </span>
      ))}
    </div>
  );
}

function arrow(column: Column, sort: Query["sort"]): string {
  const now = ariaSort(column, sort);
  return now === "ascending" ? " ↑" : now === "descending" ? " ↓" : "";
}

export const TableLine = memo(function TableLine(props: LineProps & { phone: boolean }) {
  const { line, pages, opened, active, choose, phone } = props;
  const spot: Spot =
    spotsOf(line)[0] ?? (line.kind === "sources" ? { index: line.from, part: null } : { index: line.index, part: 0 });
  const source = sourceAt({ pages }, spot.index);
  const tensor = source && spot.part !== null ? partsOf(source)[spot.part] : undefined;
  const folds = source !== undefined && spot.part === null && opensUp(source);
  const isOpen = source !== undefined && opened.has(source.source_id);
  const own = source
    ? {
        "data-testid": spot.part === null ? "source" : "array",
        "data-id": tensor?.array_id ?? source.source_id,
        "data-kind": source.kind,
        "data-status": source.status,
      }
    : {};
  const classes = ["line", "table-columns", spot.part === null ? "" : "part", same(active, spot) ? "active" : ""];
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the listing around it has the keyboard.
    <div
      id={itemId(spot)}
      className={[...classes, source?.status === "failed" ? "failed" : ""].join(" ").trim()}
      role="row"
      aria-rowindex={props.number}
      aria-level={spot.part === null ? 1 : 2}
      {...(folds ? { "aria-expanded": isOpen } : {})}
      style={placed(props)}
      onClick={() => choose(spot)}
      {...own}
    >
      {source === undefined ? (
        <EmptyCells />
      ) : tensor ? (
        <ArrayCells source={source} tensor={tensor} part={spot.part ?? 0} phone={phone} choose={() => choose(spot)} />
      ) : (
        <SourceCells source={source} isOpen={isOpen} phone={phone} choose={() => choose(spot)} />
      )}
    </div>
  );
});

function EmptyCells() {
  return (
    <span role="gridcell" className="name-cell">
      <span className="visually-hidden">Loading</span>
      <span className="blank" aria-hidden="true" />
    </span>
  );
}

function Cell({ column, title, children }: { column: Column; title?: string | undefined; children: ReactNode }) {
  return (
    <span role="gridcell" className={column} title={title}>
      {children}
    </span>
  );
}

function SourceCells(props: { source: Source; isOpen: boolean; phone: boolean; choose: () => void }) {
  const { source, isOpen, phone, choose } = props;
  const facts = factsOf(source);
  const folder = folderOf(source);
  const picture = pictureOf(source);
  const failed = source.status === "failed";
  const under = [KIND_NAMES[kindOf(source)], source.source_type, bytes(source.size_bytes)].join(" · ");
  const why = failed ? [source.error?.message, source.error?.hint].filter(Boolean).join(". ") : "";
  return (
    <>
      <span role="gridcell" className="name-cell">
        <Fold source={source} isOpen={isOpen} />
        <Thumbnail key={picture ?? source.source_id} source={source} id={picture} />
        <span className="two">
          <OpenLink
            route={routeAt(source, null)}
            choose={choose}
            title={folder === "" ? source.name : `${source.name}\nin ${folder}`}
          >
            <MiddleCut text={source.name} tail={tailOf(source.name)} />
          </OpenLink>
          {phone ? (
            <span className="second">
              <span className={failed ? "facts warn-text" : "facts"}>{failed ? why : under}</span>
              <InsideLink source={source} />
            </span>
          ) : null}
        </span>
        {!phone && folder !== "" ? <span className="folder">{folder}</span> : null}
      </span>
      {phone ? null : (
        <>
          <Cell column="kind">{KIND_NAMES[kindOf(source)]}</Cell>
          <Cell column="format">
            {source.source_type} <InsideLink source={source} />
          </Cell>
          <Cell column="size" title={source.size_bytes === null ? undefined : `${source.size_bytes} bytes`}>
            {bytes(source.size_bytes)}
          </Cell>
          {failed ? (
            <span role="gridcell" className="why warn-text" title={why} aria-colspan={3}>
              {why}
            </span>
          ) : (
            <>
              <Cell column="dimensions" title={facts.dimensions}>
                {facts.dimensions}
              </Cell>
              <Cell column="dtype">{facts.dtype}</Cell>
              <Cell column="channels">{facts.channels}</Cell>
            </>
          )}
          <Cell column="modified" title={wholeTime(source.modified)}>
            {when(source.modified, Date.now())}
          </Cell>
        </>
      )}
      <Cell column="status">
        <StatusBadge source={source} always={!phone} />
      </Cell>
    </>
  );
}

function Fold({ source, isOpen }: { source: Source; isOpen: boolean }) {
  if (!opensUp(source)) return <span className="fold" />;
  const what = source.status === "failed" ? "Why it failed" : `Arrays of ${source.name}`;
  return (
    <button
      type="button"
      className="fold"
      tabIndex={-1}
      aria-label={what}
      aria-expanded={isOpen}
      onClick={(event) => {
        event.stopPropagation();
        toggle(source.source_id);
      }}
    >
      <span aria-hidden="true">{isOpen ? "▾" : "▸"}</span>
    </button>
  );
}

function ArrayCells(props: { source: Source; tensor: Tensor; part: number; phone: boolean; choose: () => void }) {
  const { source, tensor, part, phone, choose } = props;
  return (
    <>
      <span role="gridcell" className="name-cell">
        <span className="fold" />
        <Thumbnail key={tensor.array_id} source={source} id={isPicture(tensor) ? tensor.array_id : null} />
        <span className="two">
          <OpenLink route={routeAt(source, part)} choose={choose} title={tensor.name}>
            <MiddleCut text={tensor.name} />
          </OpenLink>
          {phone ? (
            <span className="facts">
              {dimensions(tensor)} · {tensor.dtype}
            </span>
          ) : null}
        </span>
      </span>
      {phone ? null : (
        <>
          <Cell column="kind">{""}</Cell>
          <Cell column="format">{""}</Cell>
          <Cell column="size">{""}</Cell>
          <Cell column="dimensions">{dimensions(tensor)}</Cell>
          <Cell column="dtype">{tensor.dtype}</Cell>
          <Cell column="channels">{channels(tensor)}</Cell>
          <Cell column="modified">{""}</Cell>
        </>
      )}
      <Cell column="status">{""}</Cell>
    </>
  );
}
