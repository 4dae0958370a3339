/** Which sources, in which order, and whether as pictures or as a table. */

import { KINDS, type Query, SORTS, type Sort, STATUSES, type Status } from "../../api/catalog";
import { count } from "../../data/format";
import { useHome } from "./live";
import { KIND_NAMES, type Look, SORT_NAMES, STATUS_NAMES } from "./model";

interface Props {
  look: Look;
  turn: (look: Look) => void;
  query: Query;
  change: (changes: Partial<Query>) => void;
}

export function Toolbar({ look, turn, query, change }: Props) {
  const catalog = useHome((s) => s.catalog);
  const number = (n: number | undefined) => (catalog ? count(n ?? 0) : "");
  return (
    <div className="toolbar" role="toolbar" aria-label="What to list">
      <fieldset className="segments kinds" aria-label="Kind">
        <button type="button" aria-pressed={query.kind === null} onClick={() => change({ kind: null })}>
          All <span className="count">{number(catalog?.sources)}</span>
        </button>
        {KINDS.map((kind) => (
          <button
            key={kind}
            type="button"
            data-testid={`kind-${kind}`}
            aria-pressed={query.kind === kind}
            onClick={() => change({ kind: query.kind === kind ? null : kind })}
          >
            {KIND_NAMES[kind]} <span className="count">{number(catalog?.by_kind[kind])}</span>
          </button>
        ))}
      </fieldset>
      <select
        aria-label="Status"
        data-testid="status-select"
        value={query.status ?? ""}
        onChange={(event) => change({ status: STATUSES.find((s) => s === (event.target.value as Status)) ?? null })}
      >
        <option value="">Any status</option>
        {STATUSES.map((status) => (
          <option key={status} value={status}>
            {STATUS_NAMES[status]}
            {status === "failed" && catalog && catalog.failed > 0 ? ` (${count(catalog.failed)})` : ""}
          </option>
        ))}
      </select>
      <span className="space" />
      <select
        aria-label="Order"
        data-testid="sort-select"
        value={query.sort}
        onChange={(event) => change({ sort: event.target.value as Sort })}
      >
        {SORTS.map((sort) => (
          <option key={sort} value={sort}>
            {SORT_NAMES[sort]}
          </option>
        ))}
      </select>
      <fieldset className="segments looks" aria-label="Show as">
        <button type="button" data-testid="as-cards" aria-pressed={look === "cards"} onClick={() => turn("cards")}>
          Pictures
        </button>
        <button type="button" data-testid="as-table" aria-pressed={look === "table"} onClick={() => turn("table")}>
          Table
        </button>
      </fieldset>
    </div>
  );
}
