/** An opened filter: a range with its histogram, or categories with their counts. */

import { useMemo, useState } from "react";
import { counted, count as countText, number } from "../../data/format";
import { amend } from "../../state/filtering";
import { type ColumnInfo, columnOf, type Filter, type Keep } from "../../state/filters";
import { useModel } from "../../state/store";
import { Rows, rowsOf } from "../../ui/CategoryLegend";
import { useCounts } from "../../ui/counts";
import { Histogram, Range } from "../../ui/Numbers";

const SEARCH_FROM = 10;
const IDS = ["filter-min", "filter-max"] as const;

export default function Body({ filter, info }: { filter: Filter; info: ColumnInfo }) {
  const { id, by } = filter;
  if (by.kind === "range" && info.kind === "continuous") return <Numbers {...{ id, by, info }} />;
  if (by.kind === "category" && info.kind === "category") return <Categories {...{ id, by, info }} />;
  return null;
}

interface NumbersProps {
  id: string;
  by: Extract<Keep, { kind: "range" }>;
  info: Extract<ColumnInfo, { kind: "continuous" }>;
}

function Numbers({ id, by, info }: NumbersProps) {
  const { bins, min, max, missing } = info.summary;
  const shown = useCounts(columnOf(by.of));
  if (!(max >= min)) return <p className="note">No cell has a value here.</p>;
  const low = Math.max(min, by.min ?? min);
  const high = Math.min(max, by.max ?? max);
  const change = (next: Partial<typeof by>, during: string | null = null) =>
    amend(id, { on: true, by: { ...by, ...next } }, during);
  return (
    <div className="filter-body">
      <Histogram title={by.of.key} {...{ bins, shown, min, max, low, high }} />
      {max > min ? (
        <Range
          {...{ min, max, low, high }}
          of={by.of.key}
          ids={IDS}
          choose={(from, to, during) => {
            // Who narrows a range first means cells that have a value.
            const missing = by.missing && !(by.min === null && by.max === null);
            change({ min: from > min ? from : null, max: to < max ? to : null, missing }, during);
          }}
          reset={() => change({ min: null, max: null, missing: true })}
        />
      ) : (
        <p className="note">{number(min)} in all cells.</p>
      )}
      {missing > 0 ? (
        <label className="check">
          <input
            type="checkbox"
            data-testid="filter-missing"
            checked={by.missing}
            onChange={(e) => change({ missing: e.target.checked })}
          />
          {counted(missing, "cell")} without a value, too
        </label>
      ) : null}
    </div>
  );
}

interface CategoriesProps {
  id: string;
  by: Extract<Keep, { kind: "category" }>;
  info: Extract<ColumnInfo, { kind: "category" }>;
}

function Categories({ id, by, info }: CategoriesProps) {
  const { field } = info;
  const { hidden } = by;
  const fileColors = useModel((s) => s.fileColors);
  const shown = useCounts(columnOf(by.of));
  const [words, setWords] = useState("");
  const rows = useMemo(() => rowsOf(field, fileColors, words, shown), [field, fileColors, words, shown]);
  const total = field.categories.length;
  const change = (next: Uint8Array) => amend(id, { on: true, by: { ...by, hidden: next } });
  /** Of those that are found, when some are looked for. */
  const all = (value: number) => {
    const next = hidden.slice();
    for (const { code } of rows) next[code] = value;
    change(next);
  };
  const found = words.trim() === "" ? "" : ` ${countText(rows.length)} found`;
  return (
    <div className="filter-body">
      {total >= SEARCH_FROM ? (
        <input
          type="search"
          data-testid="filter-search"
          aria-label={`Find a group of ${field.key}`}
          placeholder="Find a group"
          value={words}
          onChange={(e) => setWords(e.target.value)}
        />
      ) : null}
      <div className="buttons">
        <button type="button" data-testid="filter-all" onClick={() => all(0)}>
          All{found}
        </button>
        <button type="button" data-testid="filter-none" onClick={() => all(1)}>
          None{found}
        </button>
      </div>
      <Rows
        id="filter-item"
        brief
        rows={rows}
        isHidden={(code) => hidden[code] === 1}
        toggle={(code) => {
          const next = hidden.slice();
          next[code] = next[code] ? 0 : 1;
          change(next);
        }}
        isolate={(code) => change(new Uint8Array(total + 1).fill(1).fill(0, code, code + 1))}
      />
      {rows.length === 0 ? <p className="note">No group of that name.</p> : null}
    </div>
  );
}
