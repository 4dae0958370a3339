/** What is selected: how many cells, and what they are made of. */

import { useEffect, useMemo, useState } from "react";
import { isAbort, toApiError } from "../../api/client";
import type { CategoryField } from "../../api/types";
import { difference, size } from "../../data/bits";
import { counted, count as countText, number, shorten } from "../../data/format";
import type { Makeup } from "../../data/selecting";
import { categoryColor, fromHex, MISSING_COLOR, toCss } from "../../gpu/palette";
import { crewOf, select, unselect } from "../../state/actions";
import { get, MOST_LINKED, set, useModel } from "../../state/store";
import { namesOf, saveLines } from "./names";

const MOST_ROWS = 8;

export default function Chosen() {
  const { selection, geometry, passing } = useModel();
  const unseen = useMemo(
    () => (selection && passing ? size(difference(selection.places, passing)) : 0),
    [selection, passing],
  );
  if (!selection || !geometry) return null;
  return (
    <section className="group chosen" data-testid="selection" data-count={selection.count}>
      <h2 aria-live="polite">{counted(selection.count, "cell")} selected</h2>
      <p className="note">
        {percent(selection.count / geometry.n)} of all cells
        {unseen > 0 ? `; ${countText(unseen)} of them do not pass the filters` : ""}
      </p>
      <MadeOf />
      <div className="buttons">
        <KeepGroup />
        <CopyNames />
        <button type="button" data-testid="select-others" onClick={() => void select({ kind: "others" }, "replace")}>
          Invert
        </button>
        <button type="button" data-testid="clear-selection" title="Clear (Escape)" onClick={unselect}>
          Clear
        </button>
      </div>
      {selection.count > MOST_LINKED ? (
        <p className="note" data-testid="not-linked">
          A link to this view leaves the selection out: it holds at most {countText(MOST_LINKED)} cells.
        </p>
      ) : null}
    </section>
  );
}

function KeepGroup() {
  const keep = () =>
    void import("../../state/grouping")
      .then((grouping) => grouping.keepSelection())
      .catch((error: unknown) => set({ error: toApiError(error) }));
  return (
    <button type="button" data-testid="keep-selection" title="Name it, compare it, save it (G)" onClick={keep}>
      Keep as group
    </button>
  );
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(2))} %`;
}

/** What the colours now mean, of the selected cells only. */
function MadeOf() {
  const { selection, painted, fileColors } = useModel();
  const [makeup, setMakeup] = useState<Makeup | null>(null);
  useEffect(() => {
    let asked = true;
    if (selection && painted.kind !== "none" && painted.column !== undefined) {
      crewOf()
        .run({ kind: "makeup", key: painted.key, column: painted.column })
        .then((found) => asked && setMakeup(found))
        .catch((error: unknown) => set({ error: toApiError(error) }));
    }
    return () => {
      asked = false;
    };
  }, [selection, painted]);
  if (!selection || !makeup || makeup.key !== painted.key) return null;
  if (makeup.kind === "category" && painted.kind === "category") {
    return <Groups counts={makeup.counts} field={painted.field} fileColors={fileColors} />;
  }
  if (makeup.kind !== "continuous" || painted.kind !== "continuous") return null;
  const { mean, min, max, missing } = makeup;
  return (
    <dl className="figures">
      <Figure name={`Mean of ${shorten(painted.title, 20)}`} value={number(mean)} id="selection-mean" />
      {Number.isFinite(mean) ? <Figure name="Range" value={`${number(min)} to ${number(max)}`} /> : null}
      {missing > 0 ? <Figure name="Missing" value={countText(missing)} /> : null}
    </dl>
  );
}

function Figure({ name, value, id }: { name: string; value: string; id?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd data-testid={id}>{value}</dd>
    </div>
  );
}

interface GroupsProps {
  counts: Uint32Array;
  field: CategoryField;
  fileColors: boolean;
}

function Groups({ counts, field, fileColors }: GroupsProps) {
  const all = Array.from(counts.keys()).filter((code) => (counts[code] ?? 0) > 0);
  const codes = all.sort((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0));
  const most = counts[codes[0] ?? 0] ?? 1;
  return (
    <>
      <ul className="makeup">
        {codes.slice(0, MOST_ROWS).map((code) => {
          const own = fileColors ? field.colors?.[code] : undefined;
          const missing = code === field.categories.length;
          const name = missing ? "missing" : (field.categories[code] ?? "");
          const color = toCss(missing ? MISSING_COLOR : own ? fromHex(own) : categoryColor(code));
          const n = counts[code] ?? 0;
          return (
            <li key={code} data-testid="selection-row" data-code={code} data-count={n} title={name}>
              <span className="swatch" style={{ background: color }} aria-hidden="true" />
              <span className="name">{shorten(name, 24)}</span>
              <span className="bar" aria-hidden="true">
                <span style={{ width: `${(n / most) * 100}%`, background: color }} />
              </span>
              <span className="count">{countText(n)}</span>
            </li>
          );
        })}
      </ul>
      {codes.length > MOST_ROWS ? (
        <p className="note">and {counted(codes.length - MOST_ROWS, "smaller group")}</p>
      ) : null}
    </>
  );
}

function CopyNames() {
  const [said, setSaid] = useState("");
  async function copy(): Promise<void> {
    const { selection } = get();
    if (!selection) return;
    setSaid("Asking…");
    try {
      const names = await namesOf(selection.cells);
      setSaid(await given(names));
    } catch (error) {
      setSaid("");
      if (!isAbort(error)) set({ error: toApiError(error) });
    }
    setTimeout(() => setSaid(""), 2500);
  }
  return (
    <button type="button" data-testid="copy-names" onClick={() => void copy()} title="One name a line">
      <span aria-live="polite">{said || "Copy cell names"}</span>
    </button>
  );
}

/** Pages that are not secure may not copy; they save a file. */
async function given(names: string[]): Promise<string> {
  try {
    await navigator.clipboard.writeText(names.join("\n"));
    return "Copied";
  } catch {
    saveLines(names, "cells.txt");
    return "Saved as cells.txt";
  }
}
