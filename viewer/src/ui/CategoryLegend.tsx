/** Categories with their counts: show, hide, isolate. Only the rows in sight exist, so 70,000 stay fast. */

import { useMemo, useState } from "react";
import type { CategoryField } from "../api/types";
import { counted, count as countText, shorten } from "../data/format";
import { categoryColor, fromHex, MISSING_COLOR, toCss } from "../gpu/palette";
import { hide } from "../state/actions";
import { type Painted, set, useModel } from "../state/store";
import { useCounts } from "./counts";
import { MiddleCut } from "./MiddleCut";
import { part } from "./part";

// Most legends are short.
const WindowedRows = part(() => import("./WindowedRows"), "legend");

const FILTER_FROM = 20;
const SHOW_ALL_ROWS_TO = 300;

export interface Row {
  code: number;
  name: string;
  count: number;
  /** How many of them pass the other filters. */
  shown: number;
  color: string;
}

export function CategoryLegend({ painted }: { painted: Extract<Painted, { kind: "category" }> }) {
  const { field } = painted;
  const { hidden, fileColors } = useModel();
  const [filter, setFilter] = useState("");
  const shown = useCounts(painted.column);
  const rows = useMemo(() => rowsOf(field, fileColors, filter, shown), [field, fileColors, filter, shown]);
  const total = field.categories.length;
  const isHidden = (code: number) => hidden?.[code] === 1;

  function change(edit: (hidden: Uint8Array) => void): void {
    const next = hidden?.slice() ?? new Uint8Array(total + 1);
    edit(next);
    hide(next);
  }
  function isolate(code: number): void {
    const alone = !isHidden(code) && hidden?.reduce((sum, h) => sum + h, 0) === total;
    if (alone) hide(null);
    else hide(new Uint8Array(total + 1).fill(1).fill(0, code, code + 1));
  }

  return (
    <section className="group legend" data-testid="legend" data-kind="category">
      <h2 title={field.key}>{shorten(field.key, 28)}</h2>
      <div className="buttons">
        <button type="button" onClick={() => hide(null)} disabled={hidden === null}>
          Show all
        </button>
        <button type="button" onClick={() => hide(new Uint8Array(total + 1).fill(1))}>
          Hide all
        </button>
        <span className="quiet">{counted(total, "group")}</span>
      </div>
      {field.colors ? (
        <label className="check">
          <input type="checkbox" checked={fileColors} onChange={(e) => set({ fileColors: e.target.checked })} />
          Colours from the file
        </label>
      ) : null}
      {total > FILTER_FROM ? (
        <input
          type="search"
          aria-label="Find a group"
          placeholder="Find a group"
          value={filter}
          onChange={(e) => setFilter(e.target.value)}
        />
      ) : null}
      <Rows
        rows={rows}
        isHidden={isHidden}
        toggle={(code) => change((h) => h.fill(h[code] ? 0 : 1, code, code + 1))}
        isolate={isolate}
      />
      {rows.length === 0 ? <p className="note">No group of that name.</p> : null}
    </section>
  );
}

export function rowsOf(field: CategoryField, fileColors: boolean, filter: string, shown: Uint32Array | null): Row[] {
  const wanted = filter.trim().toLowerCase();
  const rows: Row[] = [];
  field.categories.forEach((name, code) => {
    if (wanted !== "" && !name.toLowerCase().includes(wanted)) return;
    const own = fileColors ? field.colors?.[code] : undefined;
    const count = field.counts[code] ?? 0;
    const color = toCss(own ? fromHex(own) : categoryColor(code));
    rows.push({ code, name, count, shown: shown?.[code] ?? count, color });
  });
  const code = field.categories.length;
  if (field.n_missing > 0 && wanted === "") {
    const count = field.n_missing;
    rows.push({ code, name: "missing", count, shown: shown?.[code] ?? count, color: toCss(MISSING_COLOR) });
  }
  return rows;
}

export interface RowsProps {
  rows: Row[];
  /** What tests call a row. */
  id?: string;
  /** Where there is little room: how many pass the other filters, without of how many. */
  brief?: boolean;
  isHidden: (code: number) => boolean;
  toggle: (code: number) => void;
  isolate: (code: number) => void;
}

export function Rows(props: RowsProps) {
  if (props.rows.length <= SHOW_ALL_ROWS_TO) return <PlainRows {...props} />;
  return <WindowedRows {...props} />;
}

function PlainRows({ rows, ...rest }: RowsProps) {
  return (
    <ul className="legend-rows">
      {rows.map((row) => (
        <LegendRow key={row.code} row={row} {...rest} />
      ))}
    </ul>
  );
}

export function LegendRow({
  row,
  top,
  id = "legend-item",
  brief = false,
  isHidden,
  toggle,
  isolate,
}: Omit<RowsProps, "rows"> & { row: Row; top?: number }) {
  const { code, name, count, shown, color } = row;
  const both = `${countText(shown)} of ${countText(count)}`;
  const off = isHidden(code);
  return (
    <li
      className={off ? "legend-row off" : "legend-row"}
      data-testid={id}
      data-code={code}
      data-color={color}
      style={top === undefined ? undefined : { position: "absolute", top, left: 0, right: 0 }}
    >
      <label title={name}>
        <input type="checkbox" checked={!off} onChange={() => toggle(code)} />
        <span className="swatch" style={{ background: color }} aria-hidden="true" />
        <MiddleCut text={name} />
        <span className="count" title={shown < count ? `${both} pass the other filters` : undefined}>
          {shown < count && !brief ? both : countText(shown)}
        </span>
      </label>
      <button type="button" className="only" onClick={() => isolate(code)} aria-label={`Only ${name}`}>
        only
      </button>
    </li>
  );
}
