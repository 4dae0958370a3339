/** What groups are made of: the categories of a field within each. */

import { useEffect, useState } from "react";
import type { CategoryField } from "../../api/types";
import { useModel } from "../../state/store";
import { chooseGroup, compose } from "./actions";
import { Bars } from "./Bars";
import { Figure, type Tip, useWidth } from "./Figure";
import { categoriesOf, colorOfCategory, isCategory, largest } from "./groupings";
import { GroupingSelect, useGround, useGrouping, WithinCheck } from "./Pickers";
import { change, type MakeupShown, useAnalysis } from "./state";
import { WorkState } from "./WorkState";

/** Parts beyond the largest are one: more colours are not told apart. */
const MOST_PARTS = 30;
const OTHERS = "rgb(158, 158, 158)";

export function MakeupTab() {
  const identity = useModel((s) => s.identity);
  const { makeupField, makeup, makeupShares, work } = useAnalysis();
  const grouping = useGrouping();
  const ground = useGround();
  const fields = (identity?.obs_fields ?? []).filter(isCategory);
  const other = fields.find((one) => grouping?.kind !== "field" || one.index !== grouping.index);
  const field = fields.find((one) => one.index === makeupField) ?? other ?? fields[0];
  const index = field?.index ?? -1;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the ground is what else the answer depends on.
  useEffect(() => {
    if (grouping !== null && index >= 0) void compose(grouping, index);
  }, [grouping?.kind, grouping?.kind === "field" ? grouping.index : 0, index, ...ground]);
  if (grouping === null || !field) {
    return <p className="note empty">This data set has no field of categories that groups could be made of.</p>;
  }
  return (
    <div className="split">
      <div className="side">
        <GroupingSelect label="Groups" />
        <label className="choice">
          <span>Made of</span>
          <select
            data-testid="makeup-field"
            value={index}
            onChange={(e) => change({ makeupField: Number(e.target.value) })}
          >
            {fields.map((one) => (
              <option key={one.index} value={one.index}>
                {one.key}
              </option>
            ))}
          </select>
        </label>
        <label className="check-line">
          <input type="checkbox" checked={makeupShares} onChange={(e) => change({ makeupShares: e.target.checked })} />
          shares of each group
        </label>
        <WithinCheck />
      </div>
      <div className="main">
        <WorkState
          kind="makeup"
          what="Counting cells"
          again={() => void compose(grouping, index)}
          behind={makeup !== null}
        />
        {makeup && work.makeup.state !== "failed" ? <MakeupFigure shown={makeup} /> : null}
      </div>
    </div>
  );
}

interface Part {
  name: string;
  color: string;
  of: (counts: number[], missing: number) => number;
}

/** The largest categories, then the others together, then cells without one. */
function partsOf({ answer }: MakeupShown, field: CategoryField, fileColors: boolean): Part[] {
  const totals = answer.categories.map((_, code) => answer.counts.reduce((sum, row) => sum + (row[code] ?? 0), 0));
  const codes = largest(totals, MOST_PARTS);
  const own = new Set(codes);
  const parts: Part[] = codes.map((code) => ({
    name: answer.categories[code] ?? "",
    color: colorOfCategory(field, code, fileColors),
    of: (counts) => counts[code] ?? 0,
  }));
  if (totals.some((n, code) => n > 0 && !own.has(code))) {
    const of = (counts: number[]) => counts.reduce((sum, n, code) => sum + (own.has(code) ? 0 : n), 0);
    parts.push({ name: "others", color: "rgb(120, 120, 120)", of });
  }
  if (answer.n_missing.some((n) => n > 0)) parts.push({ name: "missing", color: OTHERS, of: (_, missing) => missing });
  return parts;
}

function MakeupFigure({ shown }: { shown: MakeupShown }) {
  const fileColors = useModel((s) => s.fileColors);
  const shares = useAnalysis((s) => s.makeupShares);
  const [measure, width] = useWidth();
  const [tip, setTip] = useState<Tip | null>(null);
  const [field, setField] = useState<CategoryField | null>(null);
  useEffect(() => {
    let wanted = true;
    // It was asked for by the same number a moment ago.
    categoriesOf(shown.field)
      .then((found) => wanted && setField(found))
      .catch(() => undefined);
    return () => {
      wanted = false;
    };
  }, [shown.field]);
  const { answer, groups, note } = shown;
  if (field === null || field.index !== shown.field) return null;
  const parts = partsOf(shown, field, fileColors);
  const counts = answer.counts.map((row, i) => parts.map((part) => part.of(row, answer.n_missing[i] ?? 0)));
  const name = `${answer.name} within groups`;
  return (
    <div ref={measure}>
      <Figure
        id="makeup"
        name={name}
        caption={note}
        tip={tip}
        table={() => ({
          heads: ["group", "cells", answer.name, "count", "share"],
          rows: groups.flatMap((group, i) =>
            parts.map((part, k) => {
              const n = counts[i]?.[k] ?? 0;
              return [group.name, group.n, part.name, n, group.n > 0 ? n / group.n : null];
            }),
          ),
        })}
      >
        {width > 0 ? (
          <Bars
            label={`${name}: ${groups.length} groups; ${parts.map((part) => part.name).join(", ")}`}
            groups={groups}
            parts={parts}
            counts={counts}
            shares={shares}
            width={width}
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
