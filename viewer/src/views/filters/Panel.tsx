/** The stack of filters: what is shown passes all of those that are on. */

import { type ReactNode, useEffect, useRef, useState } from "react";
import { counted, count as countText, shorten } from "../../data/format";
import { addFilter, amend, clearFilters, filterBySelection, removeFilter } from "../../state/filtering";
import { columnOf, type Filter, type Source } from "../../state/filters";
import { useModel } from "../../state/store";
import { keptWords, titleOf } from "./words";
import "./filters.css";
import { part } from "../../ui/part";

const Body = part(() => import("./Body"), "filter");
const GeneSearch = part(async () => ({ default: (await import("../../ui/GeneSearch")).GeneSearch }), "search");

export default function FiltersPanel() {
  const filters = useModel((s) => s.filters);
  const identity = useModel((s) => s.identity);
  const passing = useModel((s) => s.passing !== null);
  const passingCount = useModel((s) => s.passingCount);
  const selected = useModel((s) => s.selection !== null);
  const there = useModel((s) => s.geometry !== null);
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set());
  if (!identity || !there) return null;
  const n = identity.stats.n_cells;
  function unfold(id: string, open: boolean): void {
    setOpened((before) => {
      const next = new Set(before);
      if (open) next.add(id);
      else next.delete(id);
      return next;
    });
  }
  async function add(of: Source): Promise<void> {
    const made = await addFilter(of);
    if (made) unfold(made.id, true);
  }
  return (
    <details className="group filters" data-testid="filters" data-count={filters.length} open>
      <summary>Filters</summary>
      <p className="note" data-testid="filters-passing" aria-live="polite">
        {passing ? `${countText(passingCount)} of ${counted(n, "cell")} pass.` : `All ${counted(n, "cell")} are shown.`}
      </p>
      <ul className="filter-lines">
        {filters.map((filter) => (
          <FilterLine key={filter.id} filter={filter} open={opened.has(filter.id)} unfold={unfold} />
        ))}
      </ul>
      <Add add={(of) => void add(of)} />
      <div className="buttons">
        {selected ? (
          <button
            type="button"
            data-testid="filter-selection"
            title="Show only the selected cells (F)"
            onClick={() => filterBySelection(true)}
          >
            Only the selection
          </button>
        ) : null}
        {filters.length > 1 ? (
          <button type="button" data-testid="filters-clear" onClick={clearFilters}>
            Remove all
          </button>
        ) : null}
      </div>
    </details>
  );
}

interface LineProps {
  filter: Filter;
  open: boolean;
  unfold: (id: string, open: boolean) => void;
}

function FilterLine({ filter, open, unfold }: LineProps) {
  const { id, on, by } = filter;
  const info = useModel((s) => (by.kind === "cells" ? undefined : s.columns[columnOf(by.of)]));
  const own = useModel((s) => s.kept[id]);
  const name = titleOf(filter);
  return (
    <li
      className={on ? "filter-line" : "filter-line off"}
      data-testid="filter"
      data-kind={by.kind}
      data-key={name}
      data-on={on}
      data-kept={own ?? ""}
    >
      <div className="filter-head">
        <input
          type="checkbox"
          checked={on}
          aria-label={`Use the filter by ${name}`}
          onChange={(e) => amend(id, { on: e.target.checked })}
        />
        <button
          type="button"
          className="filter-name"
          aria-expanded={by.kind === "cells" ? undefined : open}
          disabled={by.kind === "cells"}
          title={name}
          onClick={() => unfold(id, !open)}
        >
          <strong>{shorten(name, 24)}</strong>
          <span className="quiet">{keptWords(filter, info)}</span>
        </button>
        <span className="count" title="Cells that this filter alone lets through">
          {own === undefined ? "" : countText(own)}
        </span>
        <button
          type="button"
          className="bare"
          data-testid="filter-remove"
          aria-label={`Remove the filter by ${name}`}
          title="Remove"
          onClick={() => removeFilter(id)}
        >
          ×
        </button>
      </div>
      {open && info ? <Body filter={filter} info={info} /> : null}
    </li>
  );
}

const MARGIN_PX = 48;

/** What was asked for is ready to be typed into, with room below for what it lists. */
function InSight({ children }: { children: ReactNode }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const own = box.current;
    const panel = own?.closest(".panel");
    // Not `scrollIntoView`: it moves the page, too.
    if (own && panel)
      panel.scrollTop += own.getBoundingClientRect().top - panel.getBoundingClientRect().top - MARGIN_PX;
    own?.querySelector("input")?.focus({ preventScroll: true });
  }, []);
  return (
    <div ref={box} className="in-sight">
      {children}
    </div>
  );
}

/** A field from the list, or a gene by its name. */
function Add({ add }: { add: (of: Source) => void }) {
  const identity = useModel((s) => s.identity);
  const [asking, setAsking] = useState(false);
  const fields = identity?.obs_fields ?? [];
  const genes = (identity?.expression.items.length ?? 0) > 0;
  function choose(value: string): void {
    setAsking(value === "gene");
    const field = fields.find((f) => String(f.index) === value);
    if (field) add({ kind: "field", index: field.index, key: field.key });
  }
  const options = (kind: string) =>
    fields
      .filter((f) => f.kind === kind)
      .map((f) => (
        <option key={f.index} value={f.index}>
          {f.key}
        </option>
      ));
  return (
    <>
      <label className="row">
        <span className="visually-hidden">Add a filter</span>
        <select data-testid="filter-add" value={asking ? "gene" : ""} onChange={(e) => choose(e.target.value)}>
          <option value="">Add a filter…</option>
          {genes ? <option value="gene">by a gene…</option> : null}
          <optgroup label="Groups">{options("category")}</optgroup>
          <optgroup label="Numbers">{options("continuous")}</optgroup>
        </select>
      </label>
      {asking ? (
        <InSight>
          <GeneSearch
            id="filter-gene"
            choose={(gene) => {
              setAsking(false);
              add(gene);
            }}
          />
        </InSight>
      ) : null}
    </>
  );
}
