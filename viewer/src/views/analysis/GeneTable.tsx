/** Every gene of a comparison: sorted, searched; only the rows in sight exist, so 30,000 stay fast. */

import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import { count, number } from "../../data/format";
import type { Comparison } from "./api";
import { sortedBy } from "./table";

type Column = "name" | "change" | "p" | "score" | "mean" | "meanOther" | "share" | "shareOther";

interface Head {
  id: Column;
  words: string;
  title: string;
  at: (result: Comparison, row: number) => string | number | null;
}

const HEADS: readonly Head[] = [
  { id: "name", words: "Gene", title: "Name", at: (r, i) => r.names[i] ?? null },
  {
    id: "change",
    words: "log2 FC",
    title: "log2 of the fold change of the means",
    at: (r, i) => r.logfoldchanges[i] ?? null,
  },
  {
    id: "p",
    words: "Adj. P",
    title: "P, adjusted for the number of genes",
    at: (r, i) => ((r.pvals_adj[i] ?? null) === null ? null : (r.log10_pvals_adj[i] ?? Number.NEGATIVE_INFINITY)),
  },
  { id: "score", words: "Score", title: "z of the rank sum, or t", at: (r, i) => r.scores[i] ?? null },
  { id: "mean", words: "Mean A", title: "Mean in A", at: (r, i) => r.means[i] ?? null },
  { id: "meanOther", words: "Mean B", title: "Mean in B", at: (r, i) => r.means_reference[i] ?? null },
  {
    id: "share",
    words: "% A",
    title: "Share of the cells of A with a value that is not 0",
    at: (r, i) => r.fractions[i] ?? null,
  },
  {
    id: "shareOther",
    words: "% B",
    title: "Share of the cells of B with a value that is not 0",
    at: (r, i) => r.fractions_reference[i] ?? null,
  },
];

interface GeneTableProps {
  result: Comparison;
  /** What the genes are called; by their own names they are found, too. */
  labels: string[];
  marked: number | null;
  height: number;
  onGene: (row: number) => void;
}

const ROW = 24;

/** P as it is read: also where it is less than a number can be. */
export function pText(p: number | null, log: number | null): string {
  if (p === null) return "–";
  if (p > 0) return p < 1e-3 ? p.toExponential(1) : number(p);
  return log === null ? "0" : `${(10 ** (log - Math.floor(log))).toFixed(1)}e${Math.floor(log)}`;
}

export function GeneTable({ result, labels, marked, height, onGene }: GeneTableProps) {
  const [query, setQuery] = useState("");
  const [sort, setSort] = useState<{ by: Column; down: boolean }>({ by: "score", down: true });
  const rows = useMemo(() => {
    const head = HEADS.find((one) => one.id === sort.by) as Head;
    const at = (row: number) => (sort.by === "name" ? (labels[row] ?? null) : head.at(result, row));
    const order = sortedBy(result.names.length, at, sort.down);
    const wanted = query.trim().toLowerCase();
    return wanted === ""
      ? order
      : order.filter((row) => [labels[row], result.names[row]].some((one) => one?.toLowerCase().includes(wanted)));
  }, [result, labels, sort, query]);
  const box = useRef<HTMLDivElement>(null);
  const list = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    overscan: 10,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: only when another gene is marked, not when the table is sorted.
  useEffect(() => {
    const at = marked === null ? -1 : rows.indexOf(marked);
    if (at >= 0) list.scrollToIndex(at, { align: "auto" });
  }, [marked]);
  function press(by: Column): void {
    setSort((before) => ({ by, down: before.by === by ? !before.down : by !== "name" && by !== "p" }));
  }
  return (
    <div className="gene-table" data-testid="gene-table" data-rows={rows.length} data-sort={`${sort.by}:${sort.down}`}>
      <div className="buttons">
        <input
          type="search"
          data-testid="gene-table-search"
          aria-label="Find a gene in the table"
          placeholder="Find a gene"
          value={query}
          onChange={(e) => setQuery(e.target.value)}
        />
        <span className="quiet">{rows.length === 0 ? "No gene of that name" : `${count(rows.length)} genes`}</span>
      </div>
      <div className="wide-table" ref={box} style={{ height }}>
        <div role="table" aria-label="Genes" aria-rowcount={rows.length + 1}>
          <div role="row" tabIndex={-1} className="gene-head">
            {HEADS.map(({ id, words, title }) => (
              <div
                key={id}
                role="columnheader"
                tabIndex={-1}
                aria-sort={sort.by !== id ? "none" : sort.down ? "descending" : "ascending"}
              >
                <button type="button" data-testid={`sort-${id}`} title={title} onClick={() => press(id)}>
                  {words}
                  <span aria-hidden="true">{sort.by !== id ? "" : sort.down ? " ↓" : " ↑"}</span>
                </button>
              </div>
            ))}
          </div>
          <div className="table-body" role="rowgroup" style={{ height: list.getTotalSize() }}>
            {list.getVirtualItems().map((item) => (
              <Row
                key={item.index}
                result={result}
                label={labels[rows[item.index] as number] ?? ""}
                row={rows[item.index] as number}
                at={item.index}
                top={item.start}
                marked={rows[item.index] === marked}
                onGene={onGene}
              />
            ))}
          </div>
        </div>
      </div>
    </div>
  );
}

interface RowProps {
  result: Comparison;
  label: string;
  row: number;
  at: number;
  top: number;
  marked: boolean;
  onGene: (row: number) => void;
}

function Row({ result, label, row, at, top, marked, onGene }: RowProps) {
  const name = result.names[row] ?? "";
  const shown = (value: number | null | undefined) => (value === null || value === undefined ? "–" : number(value));
  const percent = (value: number | null | undefined) =>
    value === null || value === undefined ? "–" : String(Math.round(value * 1000) / 10);
  const cells = [
    shown(result.logfoldchanges[row]),
    pText(result.pvals_adj[row] ?? null, result.log10_pvals_adj[row] ?? null),
    shown(result.scores[row]),
    shown(result.means[row]),
    shown(result.means_reference[row]),
    percent(result.fractions[row]),
    percent(result.fractions_reference[row]),
  ];
  return (
    <div
      role="row"
      tabIndex={-1}
      aria-rowindex={at + 2}
      className={marked ? "table-row marked" : "table-row"}
      data-testid="gene-row"
      data-gene={name}
      style={{ top }}
    >
      <div role="rowheader" tabIndex={-1}>
        <button type="button" title={`Colour by ${name}`} aria-pressed={marked} onClick={() => onGene(row)}>
          {label}
        </button>
      </div>
      {cells.map((text, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: columns stay where they are.
        <div key={i} role="cell">
          {text}
        </div>
      ))}
    </div>
  );
}
