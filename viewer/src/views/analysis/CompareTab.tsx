/** Differential expression of one group of cells against another. */

import { useEffect, useMemo, useState } from "react";
import { count, counted, number } from "../../data/format";
import { labelOf } from "../../data/genes";
import { addressOf, loadGenes } from "../../state/actions";
import { useModel } from "../../state/store";
import { NumberField } from "../../ui/NumberField";
import { addGenes, colorBy, compare } from "./actions";
import { kindOf, type MatrixKind } from "./counts";
import { Figure, type Tip, useWidth } from "./Figure";
import { GeneTable, pText } from "./GeneTable";
import type { Operand } from "./groupings";
import { OperandPicker } from "./OperandPicker";
import { MatrixSelect, WithinCheck } from "./Pickers";
import { type Compared, change, type Method, useAnalysis } from "./state";
import { fileName } from "./table";
import { Volcano, volcanoWords } from "./Volcano";
import { cloudOf, type Limits, significant, type Tested } from "./volcano";
import { WorkState } from "./WorkState";

export function CompareTab() {
  const { identity } = useModel();
  const { a, b, method, compared, work } = useAnalysis();
  useFirstOperand();
  useEffect(() => void loadGenes().catch(() => undefined), []);
  const run = () => {
    if (a !== null) void compare(a, b, method);
  };
  if (identity?.expression.items.length === 0) {
    return <p className="note empty">This data set has no genes to compare.</p>;
  }
  return (
    <div className="split">
      <div className="side">
        <OperandPicker id="operand-a" label="A" value={a} rest={false} onChange={(next) => change({ a: next })} />
        <OperandPicker
          id="operand-b"
          label="B"
          value={b}
          rest
          onChange={(next) => change({ b: next ?? { kind: "rest" } })}
        />
        <button type="button" className="swap" disabled={a === null || b.kind === "rest"} onClick={swap}>
          Swap A and B
        </button>
        <label className="choice">
          <span>Test</span>
          <select data-testid="method" value={method} onChange={(e) => change({ method: e.target.value as Method })}>
            <option value="wilcoxon">Wilcoxon rank sum</option>
            <option value="t-test">Welch's t-test</option>
          </select>
        </label>
        <MatrixSelect />
        <MatrixWarning />
        <WithinCheck />
        <button
          type="button"
          className="primary"
          data-testid="compare"
          disabled={a === null || work.compare.state === "running"}
          onClick={run}
        >
          Compare
        </button>
      </div>
      <div className="main">
        <WorkState
          kind="compare"
          what="Testing the genes"
          again={run}
          behind={compared !== null}
          idle={
            <p className="note empty" data-testid="not-compared">
              Choose what A and B are. For cells of your own, draw around them (L): they are the selection; a group that
              you kept can be the other side.
            </p>
          }
        />
        {compared && work.compare.state !== "failed" ? <Result compared={compared} /> : null}
      </div>
    </div>
  );
}

function swap(): void {
  change(({ a, b }) => (a === null || b.kind === "rest" ? {} : { a: b, b: a }));
}

/** The selection, as soon as there is one: it is what a person has just drawn. */
function useFirstOperand(): void {
  const { selection, groups } = useModel();
  const { a, b } = useAnalysis();
  useEffect(() => {
    if (a === null && selection) change({ a: { kind: "selection" } });
    const gone = (one: Operand | null) => one?.kind === "group" && !groups.some((group) => group.id === one.id);
    if (gone(a)) change({ a: null });
    if (gone(b)) change({ b: { kind: "rest" } });
  }, [a, b, selection, groups]);
}

const WARNINGS: Record<Exclude<MatrixKind, "fine">, string> = {
  counts: "holds whole numbers, as raw counts are. Tests and fold changes expect logarithms (normalised, log1p)",
  scaled: "holds numbers below 0, as scaled values are. Fold changes of such means are not defined or mean nothing",
};

/** Tests and fold changes expect logarithms. */
function MatrixWarning() {
  const { expression, identity, genes } = useModel();
  const [found, setFound] = useState<{ expression: string; kind: MatrixKind } | null>(null);
  const n = identity?.stats.n_cells ?? 0;
  useEffect(() => {
    if (expression === null || genes === null || genes.expression !== expression) return;
    const own = new AbortController();
    kindOf(addressOf, genes, n, own.signal)
      .then((kind) => setFound({ expression, kind }))
      .catch(() => undefined); // It is a hint only; what is wrong is told when genes are compared.
    return () => own.abort();
  }, [expression, genes, n]);
  if (found === null || found.expression !== expression || found.kind === "fine") return null;
  return (
    <p className="note warn-text" data-testid="matrix-warning" data-kind={found.kind} role="status">
      {identity?.expression.items.find((one) => one.id === expression)?.label} {WARNINGS[found.kind]}.
      {(identity?.expression.items.length ?? 0) > 1 ? " There is another matrix to choose." : ""}
    </p>
  );
}

function useTested({ result }: Compared): Tested {
  return useMemo(
    () => ({
      change: Float64Array.from(result.logfoldchanges, (v) => v ?? Number.NaN),
      alone: Uint8Array.from(result.means, (mean, i) => Number((mean === 0) !== (result.means_reference[i] === 0))),
      log10: Float64Array.from(result.pvals_adj, (p, i) => logOf(p, result.log10_pvals_adj[i] ?? null)),
    }),
    [result],
  );
}

function logOf(p: number | null, log10: number | null): number {
  if (p === null) return Number.NaN;
  return log10 ?? Number.NEGATIVE_INFINITY;
}

/** Of the dock's height, in pixels: what stands above and below the chart; the line above the table. */
const AROUND = 150;
const SEARCH = 34;
const LEAST_ROOM = 200;
/** The chart's part of the width. */
const SHARE = 0.39;

function Result({ compared }: { compared: Compared }) {
  const { limits, marked, height, large } = useAnalysis();
  const { result, method, within, job } = compared;
  const [measure, width] = useWidth();
  const [tip, setTip] = useState<Tip | null>(null);
  const tested = useTested(compared);
  const cloud = useMemo(() => cloudOf(tested), [tested]);
  const sides = useMemo(() => significant(tested, limits), [tested, limits]);
  function choose(row: number): void {
    change({ marked: row });
    colorBy({ index: result.genes[row] ?? 0, name: result.names[row] ?? "" });
  }
  const all = useModel((s) => s.genes);
  const labels = useMemo(() => result.names.map((one, i) => labelOf(all, result.genes[i], one)), [all, result]);
  const beside = width >= 700;
  const room = Math.max(LEAST_ROOM, (large ? window.innerHeight - 71 : height) - AROUND);
  const name = `${result.name} against ${result.reference}`;
  const notes = [
    method === "wilcoxon" ? "Wilcoxon rank sum" : "Welch's t-test",
    `${compared.expression}`,
    ...(within === null ? [] : [`of the ${counted(within, "cell")} that passed the filters`]),
  ];
  return (
    <section aria-label={name} data-testid="compared" data-a={result.name} data-b={result.reference}>
      <div className="title-line">
        <h3>
          {result.name} <span className="quiet">({counted(result.n_cells, "cell")})</span> against {result.reference}{" "}
          <span className="quiet">({counted(result.n_reference, "cell")})</span>
        </h3>
        <span className="quiet">{notes.join(" · ")}</span>
        <span className="space" />
        <a
          className="button"
          data-testid="de-csv"
          href={addressOf(`analysis/jobs/${job}/result.csv`)}
          download={`${fileName(name)}.csv`}
        >
          All genes (CSV)
        </a>
        <TakeGenes sides={sides} genes={result.genes} />
      </div>
      <Figure
        id="volcano"
        name={`Volcano ${name}`}
        controls={<LimitInputs limits={limits} up={sides.up.length} down={sides.down.length} />}
        note={volcanoWords(cloud)}
        tip={tip}
        table={() => ({
          heads: ["gene", "log2 fold change", "adjusted P"],
          rows: sides.up
            .concat(sides.down)
            .map((i) => [result.names[i] ?? "", result.logfoldchanges[i] ?? null, result.pvals_adj[i] ?? null]),
        })}
      >
        <div className={beside ? "result beside" : "result"} ref={measure}>
          {width > 0 ? (
            <>
              <Volcano
                tested={tested}
                names={labels}
                limits={limits}
                ends={[result.name, result.reference]}
                width={beside ? Math.round(width * SHARE) : width}
                height={room}
                chosen={marked}
                words={(i) => [
                  labels[i] ?? "",
                  `log2 fold change ${number(result.logfoldchanges[i] ?? Number.NaN)}`,
                  `adjusted P ${pText(result.pvals_adj[i] ?? null, result.log10_pvals_adj[i] ?? null)}`,
                ]}
                onTip={setTip}
                onGene={choose}
              />
              <GeneTable result={result} labels={labels} marked={marked} height={room - SEARCH} onGene={choose} />
            </>
          ) : null}
        </div>
      </Figure>
    </section>
  );
}

/** The most significant genes go on to the charts of genes by group. */
function TakeGenes({ sides, genes }: { sides: ReturnType<typeof significant>; genes: number[] }) {
  const best = sides.up.slice(0, 10).concat(sides.down.slice(0, 10));
  return (
    <button
      type="button"
      data-testid="take-genes"
      disabled={best.length === 0}
      title="The ten most significant genes of each side, by group"
      onClick={() => {
        addGenes(best.map((i) => genes[i] ?? 0));
        change({ tab: "genes" });
      }}
    >
      Best by group
    </button>
  );
}

function LimitInputs({ limits, up, down }: { limits: Limits; up: number; down: number }) {
  return (
    <div className="buttons limits-row">
      <NumberField
        id="limit-change"
        label="|log2 FC| ≥"
        value={limits.change}
        good={(v) => v >= 0}
        onCommit={(v) => change({ limits: { ...limits, change: v } })}
      />
      <NumberField
        id="limit-p"
        label="adjusted P ≤"
        value={limits.p}
        good={(v) => v >= 0 && v <= 1}
        onCommit={(v) => change({ limits: { ...limits, p: v } })}
      />
      <span aria-live="polite" data-testid="significant" data-up={up} data-down={down}>
        <span className="up">{count(up)} higher in A</span>, <span className="down">{count(down)} higher in B</span>
      </span>
    </div>
  );
}
