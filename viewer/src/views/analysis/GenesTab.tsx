/** Genes by group: dot plot, heat map, violins. */

import { useEffect, useMemo, useState } from "react";
import { toApiError } from "../../api/client";
import { count, number } from "../../data/format";
import { labelOf } from "../../data/genes";
import { loadGenes } from "../../state/actions";
import { get, set, useModel } from "../../state/store";
import { addGenes, chooseGroup, colorBy, findMarkers, spread, summarise } from "./actions";
import { orderOf } from "./cluster";
import { Figure, type Tip } from "./Figure";
import { GeneAdd, GeneChips } from "./GenePicker";
import { GridChart } from "./GridChart";
import { GroupingSelect, MatrixSelect, useGround, useGrouping, WithinCheck } from "./Pickers";
import { domainOf, type Grid, type Standard, standardised } from "./scales";
import { type Chart, change, now, type SummaryShown, useAnalysis } from "./state";
import { ViolinTab } from "./ViolinTab";
import { WorkState } from "./WorkState";

const WAIT_MS = 250;
/** Markers of each group: few enough that all groups fit side by side. */
const MARKERS_EACH = 5;

const CHARTS: readonly [Chart, string][] = [
  ["dots", "Dot plot"],
  ["heat", "Heat map"],
  ["violin", "Violin"],
];

const STANDARDS: Record<Standard, string> = {
  none: "Mean expression",
  unit: "Mean, 0 to 1 within each gene",
  z: "Mean, z-score of each gene",
};

export function GenesTab() {
  const { identity, genes: all } = useModel();
  const { genes, chart } = useAnalysis();
  const grouping = useGrouping();
  const ground = useGround();
  useFirstGene();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the ground is what else the answer depends on.
  useEffect(() => {
    if (grouping === null || genes.length === 0 || chart === "violin") return;
    const timer = setTimeout(() => void summarise(grouping, genes), WAIT_MS);
    return () => clearTimeout(timer);
  }, [grouping?.kind, grouping?.kind === "field" ? grouping.index : 0, genes, chart === "violin", ...ground]);

  if (identity?.expression.items.length === 0) {
    return <p className="note empty">This data set has no genes; its fields are under Composition.</p>;
  }
  if (grouping === null) {
    return (
      <p className="note empty">
        There is nothing to group by: no field of categories. Select some cells in the plot (L), or keep a group of
        them.
      </p>
    );
  }
  return (
    <div className="split">
      <div className="side">
        <GroupingSelect />
        <MatrixSelect />
        <WithinCheck />
        <GeneAdd id="gene-add" onAdd={addGenes} />
        <button
          type="button"
          data-testid="markers"
          disabled={!all}
          onClick={() => void findMarkers(grouping, MARKERS_EACH)}
          title={`The ${MARKERS_EACH} genes that set each group most apart from all others`}
        >
          Marker genes of the groups
        </button>
        <WorkState kind="markers" what="Looking for markers" again={() => void findMarkers(grouping, MARKERS_EACH)} />
        <GeneChips />
      </div>
      <div className="main">
        <ChartChoice />
        {chart === "violin" ? (
          <ViolinTab grouping={grouping} ask={(of) => void spread(grouping, of)} />
        ) : (
          <GridTab again={() => void summarise(grouping, genes)} />
        )}
      </div>
    </div>
  );
}

/** The gene that colours the plot is a good one to begin with. */
function useFirstGene(): void {
  useEffect(() => {
    loadGenes()
      .then(() => {
        const { color } = get();
        if (color.kind === "gene" && now().genes.length === 0) addGenes([color.index]);
      })
      .catch((error: unknown) => set({ error: toApiError(error) }));
  }, []);
}

function ChartChoice() {
  const { chart, standard, ordered } = useAnalysis();
  return (
    <div className="chart-choice">
      <fieldset className="segments" aria-label="Chart">
        {CHARTS.map(([id, words]) => (
          <button
            key={id}
            type="button"
            data-testid={`as-${id}`}
            aria-pressed={chart === id}
            onClick={() => change({ chart: id, standard: id === "heat" && standard === "none" ? "z" : standard })}
          >
            {words}
          </button>
        ))}
      </fieldset>
      {chart === "violin" ? null : (
        <>
          <label className="choice">
            <span>Colours</span>
            <select
              data-testid="standard"
              value={standard}
              onChange={(e) => change({ standard: e.target.value as Standard })}
            >
              {Object.entries(STANDARDS).map(([id, words]) => (
                <option key={id} value={id}>
                  {words}
                </option>
              ))}
            </select>
          </label>
          <label className="check-line">
            <input
              type="checkbox"
              data-testid="ordered"
              checked={ordered}
              onChange={(e) => change({ ordered: e.target.checked })}
            />
            similar ones side by side
          </label>
        </>
      )}
    </div>
  );
}

function GridTab({ again }: { again: () => void }) {
  const { genes, summary, work } = useAnalysis();
  const nothing = genes.length === 0;
  return (
    <>
      {nothing ? (
        <p className="note empty" data-testid="no-genes">
          No gene is chosen. Add one, paste a list, or take the marker genes of the groups.
        </p>
      ) : (
        <WorkState kind="summary" what="Averaging the groups" again={again} behind={summary !== null} />
      )}
      {nothing || !summary || work.summary.state === "failed" ? null : <GridFigure shown={summary} />}
    </>
  );
}

interface Ordered {
  rows: SummaryShown["rows"];
  groups: SummaryShown["groups"];
  mean: Grid;
  fraction: Grid;
}

function orderedBy({ rows, groups }: SummaryShown, standard: Standard, ordered: boolean): Ordered {
  const mean = standardised(
    rows.map((row) => row.mean),
    standard,
  );
  const first = ordered ? orderOf(mean) : rows.map((_, i) => i);
  const turned = groups.map((_, k) => mean.map((row) => row[k] ?? null));
  const second = ordered ? orderOf(turned) : groups.map((_, k) => k);
  const pick = <T,>(list: T[], order: number[]) => order.map((i) => list[i] as T);
  return {
    rows: pick(rows, first),
    groups: pick(groups, second),
    mean: pick(mean, first).map((row) => pick(row, second)),
    fraction: pick(rows, first).map((row) => pick(row.fraction, second)),
  };
}

function GridFigure({ shown }: { shown: SummaryShown }) {
  const { chart, standard, ordered } = useAnalysis();
  const cmap = useModel((s) => s.cmap);
  const all = useModel((s) => s.genes);
  const [tip, setTip] = useState<Tip | null>(null);
  const laid = useMemo(() => orderedBy(shown, standard, ordered), [shown, standard, ordered]);
  const domain = useMemo(() => domainOf(laid.mean, standard), [laid, standard]);
  const means = (i: number, k: number) => shownMean(shown, laid, i, k);
  const name = `${chart === "heat" ? "Heat map" : "Dot plot"} by ${shown.title}`;
  return (
    <Figure
      id={chart}
      name={name}
      caption={shown.note || "Click a gene to colour the plot by it, a group to select its cells."}
      tip={tip}
      table={() => ({
        heads: ["gene", "group", "cells", "mean", "fraction", "expressing", ...(standard === "none" ? [] : [standard])],
        rows: laid.rows.flatMap((row, i) =>
          laid.groups.map((group, k) => {
            const at = shown.groups.indexOf(group);
            const { mean, fraction, n, n_expressing: some } = row;
            const own = [row.name, group.name, n[at] ?? 0, mean[at] ?? null, fraction[at] ?? null, some[at] ?? 0];
            return standard === "none" ? own : [...own, laid.mean[i]?.[k] ?? null];
          }),
        ),
      })}
    >
      <GridChart
        label={`${name}: ${count(laid.rows.length)} genes, ${count(laid.groups.length)} groups`}
        genes={laid.rows.map((row) => labelOf(all, row.gene, row.name))}
        groups={laid.groups}
        values={laid.mean}
        domain={domain}
        map={standard === "z" ? "rdbu" : cmap}
        unit={standard === "z" ? "z-score" : standard === "unit" ? "Scaled mean" : "Mean"}
        shares={chart === "dots" ? laid.fraction : null}
        onTip={setTip}
        words={(i, k) => [
          `${labelOf(all, laid.rows[i]?.gene, laid.rows[i]?.name ?? "")}, ${laid.groups[k]?.name}`,
          `mean ${number(means(i, k) ?? Number.NaN)}`,
          ...(standard === "none"
            ? []
            : [`${standard === "z" ? "z" : "scaled"} ${number(laid.mean[i]?.[k] ?? Number.NaN)}`]),
          `${number((laid.fraction[i]?.[k] ?? 0) * 100)} % of ${count(laid.groups[k]?.n ?? 0)} cells`,
        ]}
        onGene={(i) => {
          const row = laid.rows[i];
          if (row?.gene !== undefined) colorBy({ index: row.gene, name: row.name });
        }}
        onGroup={(k) => {
          const group = laid.groups[k];
          if (group) void chooseGroup(group, shown.groups);
        }}
      />
    </Figure>
  );
}

function shownMean(shown: SummaryShown, laid: Ordered, i: number, k: number): number | null {
  const group = laid.groups[k];
  return laid.rows[i]?.mean[group ? shown.groups.indexOf(group) : -1] ?? null;
}
