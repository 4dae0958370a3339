/** A line of cards: sources, or the arrays of one of them. */

import { memo } from "react";
import type { Source } from "../../api/catalog";
import { MiddleCut } from "../../ui/MiddleCut";
import { type Spot, same } from "./layout";
import { sourceAt, toggle } from "./live";
import {
  arraysWord,
  dimensions,
  factsOf,
  folderOf,
  isPicture,
  KIND_NAMES,
  kindOf,
  partsOf,
  pictureOf,
  routeAt,
  tailOf,
} from "./model";
import { InsideLink, OpenLink } from "./OpenLink";
import { itemId, type LineProps, placed, spotsOf } from "./parts";
import { StatusBadge } from "./StatusBadge";
import { Thumbnail } from "./Thumbnail";

export const CardLine = memo(function CardLine(props: LineProps & { gap: number; columns: number }) {
  const { line, gap, columns, pages, opened, active, choose } = props;
  return (
    <div
      className={`line cards-line ${line.kind}`}
      role="row"
      aria-rowindex={props.number}
      style={{ ...placed(props), gap, gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))`, paddingBottom: gap }}
    >
      {spotsOf(line).map((spot, column) => {
        const source = sourceAt({ pages }, spot.index);
        const own = { spot, column: column + 1, isActive: same(active, spot), choose: () => choose(spot) };
        if (!source) return <EmptyCard key={itemId(spot)} {...own} />;
        if (spot.part === null) {
          return <SourceCard key={itemId(spot)} source={source} isOpen={opened.has(source.source_id)} {...own} />;
        }
        return <ArrayCard key={itemId(spot)} source={source} part={spot.part} {...own} />;
      })}
    </div>
  );
});

interface CardProps {
  spot: Spot;
  column: number;
  isActive: boolean;
  choose: () => void;
}

function EmptyCard({ spot, column, isActive }: CardProps) {
  return (
    <div id={itemId(spot)} className={`card empty${isActive ? " active" : ""}`} role="gridcell" aria-colindex={column}>
      <span className="visually-hidden">Loading</span>
    </div>
  );
}

function SourceCard({
  source,
  isOpen,
  spot,
  column,
  isActive,
  choose,
}: CardProps & { source: Source; isOpen: boolean }) {
  const id = pictureOf(source);
  const failed = source.status === "failed";
  const kind = kindOf(source);
  const folder = folderOf(source);
  const whole = folder === "" ? source.name : `${source.name}\nin ${folder}`;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the listing around it has the keyboard.
    <div
      id={itemId(spot)}
      className={`card${isActive ? " active" : ""}${failed ? " failed" : ""}${isOpen ? " opened" : ""}`}
      data-testid="source"
      data-id={source.source_id}
      data-kind={source.kind}
      data-status={source.status}
      role="gridcell"
      aria-colindex={column}
      onClick={choose}
    >
      <span className="picture">
        <Thumbnail key={id ?? source.source_id} source={source} id={id} />
        {failed ? <span className="why-not">{source.error?.message}</span> : null}
        {kind === "images" ? null : <span className="kind-tag">{KIND_NAMES[kind]}</span>}
        <StatusBadge source={source} />
      </span>
      <OpenLink route={routeAt(source, null)} choose={choose} title={whole}>
        <MiddleCut text={source.name} tail={tailOf(source.name)} />
      </OpenLink>
      <span className="second">
        <SecondLine source={source} isOpen={isOpen} />
        <InsideLink source={source} />
      </span>
    </div>
  );
}

/** How much it is; or why it cannot be opened; or the way to its arrays. */
function SecondLine({ source, isOpen }: { source: Source; isOpen: boolean }) {
  if (source.error !== null && source.status === "failed") {
    return (
      <span className="facts warn-text" title={`${source.error.message}\n${source.error.hint}`}>
        {source.error.hint}
      </span>
    );
  }
  if (partsOf(source).length > 0) {
    return (
      <button
        type="button"
        className="facts parts"
        tabIndex={-1}
        aria-expanded={isOpen}
        onClick={(event) => {
          event.stopPropagation();
          toggle(source.source_id);
        }}
      >
        {arraysWord(source)} <span aria-hidden="true">{isOpen ? "▴" : "▾"}</span>
      </button>
    );
  }
  const { dimensions: size, dtype } = factsOf(source);
  const words = size === "–" ? source.source_type : dtype === "–" ? size : `${size} · ${dtype}`;
  return (
    <span className="facts" title={`${words} · ${source.source_type}`}>
      {words}
    </span>
  );
}

function ArrayCard({ source, part, spot, column, isActive, choose }: CardProps & { source: Source; part: number }) {
  const tensor = partsOf(source)[part];
  if (!tensor) return null;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the listing around it has the keyboard.
    <div
      id={itemId(spot)}
      className={`card${isActive ? " active" : ""}`}
      data-testid="array"
      data-id={tensor.array_id}
      role="gridcell"
      aria-colindex={column}
      onClick={choose}
    >
      <span className="picture">
        <Thumbnail key={tensor.array_id} source={source} id={isPicture(tensor) ? tensor.array_id : null} />
      </span>
      <OpenLink route={routeAt(source, part)} choose={choose} title={tensor.name}>
        <MiddleCut text={tensor.name} />
      </OpenLink>
      <span className="facts">
        {dimensions(tensor)} · {tensor.dtype}
      </span>
    </div>
  );
}
