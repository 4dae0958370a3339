/** Choosing a grouping, the matrix, and which cells count. */

import { useEffect } from "react";
import { counted } from "../../data/format";
import { chooseExpression } from "../../state/actions";
import { useModel } from "../../state/store";
import { followMatrix } from "./actions";
import { type Grouping, groupingsOf, idOf, nameOf } from "./groupings";
import { change, useAnalysis } from "./state";

/** What is grouped by: what was chosen, while there is such a thing, else the field that is coloured, else the first. */
export function useGrouping(): Grouping | null {
  const grouping = useBestGrouping();
  const chosen = useAnalysis((s) => s.grouping);
  // Kept once it is shown: a click on a gene changes the colours, and must not change the groups.
  useEffect(() => {
    if (chosen === null && grouping !== null) change({ grouping });
  }, [chosen, grouping]);
  return grouping;
}

function useBestGrouping(): Grouping | null {
  const { identity, groups, selection, color } = useModel();
  const chosen = useAnalysis((s) => s.grouping);
  const all = groupingsOf({ identity, groups, selection });
  const found = chosen && all.find((one) => idOf(one) === idOf(chosen));
  if (found) return found;
  const colored = color.kind === "field" ? all.find((one) => idOf(one) === `field:${color.index}`) : undefined;
  const readable = all.find((one) => one.kind === "field" && sizeOf(identity?.obs_fields, one.index) <= 100);
  return colored ?? readable ?? all[0] ?? null;
}

function sizeOf(fields: { index: number; n_categories?: number }[] | undefined, index: number): number {
  return fields?.find((one) => one.index === index)?.n_categories ?? 0;
}

export function GroupingSelect({ label = "Group by" }: { label?: string }) {
  const { identity, groups, selection } = useModel();
  const grouping = useGrouping();
  const all = groupingsOf({ identity, groups, selection });
  if (grouping === null) return null;
  return (
    <label className="choice">
      <span>{label}</span>
      <select
        data-testid="grouping"
        value={idOf(grouping)}
        onChange={(e) => change({ grouping: all.find((one) => idOf(one) === e.target.value) ?? null })}
      >
        {all.map((one) => (
          <option key={idOf(one)} value={idOf(one)}>
            {nameOf(one)}
            {one.kind === "field" ? ` (${sizeOf(identity?.obs_fields, one.index).toLocaleString("en")})` : ""}
          </option>
        ))}
      </select>
    </label>
  );
}

export function MatrixSelect() {
  const { identity, expression } = useModel();
  const items = identity?.expression.items ?? [];
  if (items.length < 2) return null;
  return (
    <label className="choice">
      <span>Matrix</span>
      <select
        data-testid="analysis-matrix"
        value={expression ?? ""}
        onChange={(e) => void chooseExpression(e.target.value).then(followMatrix)}
      >
        {items.map((one) => (
          <option key={one.id} value={one.id}>
            {one.label}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Only while a filter is on. */
export function WithinCheck() {
  const { passing, passingCount } = useModel();
  const within = useAnalysis((s) => s.within);
  if (passing === null) return null;
  return (
    <label className="check-line">
      <input
        type="checkbox"
        data-testid="within"
        checked={within}
        onChange={(e) => change({ within: e.target.checked })}
      />
      only the {counted(passingCount, "cell")} that pass the filters
    </label>
  );
}

/** What answers depend on besides what is chosen in the dock: when it changes, they are asked anew. */
export function useGround(): readonly unknown[] {
  const { passing, groups, selection, expression, fileColors } = useModel();
  const { within, grouping } = useAnalysis();
  const cells = grouping?.kind === "groups" ? groups : grouping?.kind === "selection" ? selection : null;
  return [within ? passing : null, cells, expression, fileColors];
}
