/** Violins of one gene, or of one field of numbers, by group. */

import { type ReactNode, useEffect, useMemo, useState } from "react";
import { labelOf } from "../../data/genes";
import { useModel } from "../../state/store";
import { chooseGroup } from "./actions";
import type { DistributionRow } from "./api";
import { Figure, type Tip, useWidth } from "./Figure";
import type { Grouping } from "./groupings";
import { useGround } from "./Pickers";
import type { Spread } from "./spread";
import { type Analysis, change, type SpreadShown, useAnalysis } from "./state";
import { Violin } from "./Violin";
import { WorkState } from "./WorkState";

type Of = NonNullable<Analysis["violin"]>;

export function ViolinTab({ grouping, ask }: { grouping: Grouping; ask: (of: Of) => void }) {
  const { genes, violin, spread, work } = useAnalysis();
  const all = useModel((s) => s.genes);
  const fields = (useModel((s) => s.identity)?.obs_fields ?? []).filter((f) => f.kind === "continuous");
  const ground = useGround();
  const of = chosen(violin, genes, fields);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the ground is what else the answer depends on.
  useEffect(() => {
    if (of !== null) ask(of);
  }, [of?.kind, of?.index, grouping.kind, grouping.kind === "field" ? grouping.index : 0, ...ground]);
  if (of === null) {
    return <p className="note empty">Add a gene; this data set has no field of numbers.</p>;
  }
  const choice = (
    <label className="choice">
      <span>Of</span>
      <select
        data-testid="violin-of"
        value={`${of.kind}:${of.index}`}
        onChange={(e) => {
          const [kind, index] = e.target.value.split(":");
          change({ violin: { kind: kind as Of["kind"], index: Number(index) } });
        }}
      >
        {genes.length > 0 ? (
          <optgroup label="Genes">
            {genes.map((gene) => (
              <option key={gene.index} value={`gene:${gene.index}`}>
                {labelOf(all, gene.index, gene.name)}
              </option>
            ))}
          </optgroup>
        ) : null}
        {fields.length > 0 ? (
          <optgroup label="Fields">
            {fields.map((field) => (
              <option key={field.index} value={`field:${field.index}`}>
                {field.key}
              </option>
            ))}
          </optgroup>
        ) : null}
      </select>
    </label>
  );
  return (
    <>
      <WorkState kind="spread" what="Looking at the values" again={() => ask(of)} behind={spread !== null} />
      {spread && work.spread.state !== "failed" ? <ViolinFigure shown={spread} controls={choice} /> : choice}
    </>
  );
}

function chosen(violin: Of | null, genes: { index: number }[], fields: { index: number }[]): Of | null {
  const list = violin?.kind === "gene" ? genes : fields;
  if (violin && list.some((one) => one.index === violin.index)) return violin;
  if (genes[0]) return { kind: "gene", index: genes[0].index };
  return fields[0] ? { kind: "field", index: fields[0].index } : null;
}

/** Of the quantiles that the server gives: 0, 5, 25, 50, 75, 95 and 100 %. */
export function spreadOf(row: DistributionRow, group: number): Spread {
  const at = (i: number) => row.quantiles[group]?.[i] ?? Number.NaN;
  return {
    n: row.n[group] ?? 0,
    min: at(0),
    low: at(1),
    q25: at(2),
    median: at(3),
    q75: at(4),
    high: at(5),
    max: at(6),
    mean: row.mean[group] ?? Number.NaN,
    edges: row.edges ?? [],
    counts: row.counts[group] ?? [],
  };
}

/** Of the dock's height, in pixels: what stands above and below the chart. */
const AROUND = 158;

function ViolinFigure({ shown, controls }: { shown: SpreadShown; controls: ReactNode }) {
  const [measure, width] = useWidth();
  const [tip, setTip] = useState<Tip | null>(null);
  const { large, height } = useAnalysis();
  const { row, groups, title } = shown;
  const violins = useMemo(() => groups.map((group, i) => ({ ...group, spread: spreadOf(row, i) })), [groups, row]);
  const all = useModel((s) => s.genes);
  const label = labelOf(all, row.gene, row.name);
  const name = `${label} by ${title}`;
  return (
    <div ref={measure}>
      <Figure
        id="violin"
        name={name}
        controls={controls}
        note="Boxes are quartiles, dots medians, whiskers 5 to 95 %."
        tip={tip}
        table={() => ({
          heads: ["group", "cells", "mean", "min", "5 %", "25 %", "median", "75 %", "95 %", "max"],
          rows: violins.map(({ name: group, spread: s }) => [
            group,
            ...[s.n, s.mean, s.min, s.low, s.q25, s.median, s.q75, s.high, s.max],
          ]),
        })}
      >
        {width > 0 ? (
          <Violin
            label={`Violins of ${name}: ${groups.length} groups`}
            unit={label}
            groups={violins}
            width={width}
            height={(large ? window.innerHeight - 71 : height) - AROUND}
            onTip={setTip}
            onGroup={(i) => {
              const group = groups[i];
              if (group) void chooseGroup(group, groups);
            }}
          />
        ) : null}
      </Figure>
    </div>
  );
}
