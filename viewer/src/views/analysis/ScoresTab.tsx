/** Gene sets as scores: named, computed by the server, then coloured and filtered by like any number. */

import { type ChangeEvent, useEffect, useState } from "react";
import { ApiError } from "../../api/client";
import { counted } from "../../data/format";
import { loadGenes, paint } from "../../state/actions";
import { dropScore, keepScore, type Score, type Scoring, scoreBytes } from "../../state/scores";
import { get, set, useModel } from "../../state/store";
import { findAll, findNames, type GeneSet, readGmt, wordsOf } from "./lists";
import { MatrixSelect } from "./Pickers";
import { change, perform, useAnalysis } from "./state";
import { WorkState } from "./WorkState";

const METHODS: Record<Scoring, [string, string]> = {
  scanpy: ["Against control genes", "Mean of the set less that of genes of like expression, as scanpy.tl.score_genes"],
  mean: ["Mean", "Mean of the genes"],
  zmean: ["Mean of z-scores", "Each gene weighs the same"],
};
const MOST_BYTES = 64 * 2 ** 20;
const MOST_LISTED = 200;

export function ScoresTab() {
  const { identity, scores, genes } = useModel();
  const [name, setName] = useState("");
  const [text, setText] = useState("");
  const [method, setMethod] = useState<Scoring>("scanpy");
  useEffect(() => void loadGenes().catch(() => undefined), []);
  if (identity?.expression.items.length === 0) {
    return <p className="note empty">This data set has no genes to make scores of.</p>;
  }
  const found = genes && text.trim() !== "" ? findAll(genes, text) : null;
  const title = name.trim() || freshName(scores);
  const run = () => void score(title, found?.genes ?? [], method);
  return (
    <div className="split">
      <div className="side">
        <label className="stacked">
          <span>Name</span>
          <input
            data-testid="score-name"
            value={name}
            placeholder={freshName(scores)}
            maxLength={120}
            onChange={(e) => setName(e.target.value)}
          />
        </label>
        <label className="stacked">
          <span>Genes</span>
          <textarea
            data-testid="score-genes"
            rows={4}
            value={text}
            placeholder="Names, one a line or parted by commas"
            spellCheck={false}
            onChange={(e) => setText(e.target.value)}
          />
        </label>
        <p className="note" aria-live="polite" data-testid="score-found">
          {found ? `${counted(found.genes.length, "gene")} found. ${wordsOf(found)}` : ""}
        </p>
        <label className="choice">
          <span>Score</span>
          <select
            data-testid="score-method"
            value={method}
            title={METHODS[method][1]}
            onChange={(e) => setMethod(e.target.value as Scoring)}
          >
            {Object.entries(METHODS).map(([id, [words]]) => (
              <option key={id} value={id}>
                {words}
              </option>
            ))}
          </select>
        </label>
        <MatrixSelect />
        <div className="buttons">
          <button
            type="button"
            className="primary"
            data-testid="score"
            disabled={!found || found.genes.length === 0}
            onClick={run}
          >
            Score the cells
          </button>
          <GmtButton />
        </div>
      </div>
      <div className="main">
        <WorkState
          kind="score"
          what="Scoring the cells"
          again={run}
          idle={
            scores.length === 0 ? (
              <p className="note empty">
                A score is one number for each cell: how strongly a set of genes is expressed. Name the genes, or open a
                GMT file of gene sets.
              </p>
            ) : null
          }
        />
        <Scores />
        <Sets
          choose={(one) => {
            setName(one.name);
            setText(one.genes.join("\n"));
          }}
        />
      </div>
    </div>
  );
}

function freshName(scores: Score[]): string {
  let i = scores.length + 1;
  while (scores.some((one) => one.key === `Score ${i}`)) i += 1;
  return `Score ${i}`;
}

/** Scores the cells and colours the plot; a score is kept only once it is known to work. */
function score(key: string, indices: number[], method: Scoring): Promise<void> {
  return perform("score", async (signal, tell) => {
    const { expression, genes, identity } = get();
    if (expression === null || genes === null) throw new ApiError("no_genes", "There are no genes", "", 0);
    const own = indices.map((index) => ({ index, name: genes.names[index] ?? "" }));
    const fresh = { key, expression, method, genes: own };
    await scoreBytes({ kind: "score", id: "", ...fresh }, identity?.stats.n_cells ?? 0, signal, tell);
    await paint(keepScore(fresh));
    return {};
  });
}

function Scores() {
  const { scores, color } = useModel();
  if (scores.length === 0) return null;
  return (
    <section aria-label="Scores">
      <h3>Scores</h3>
      <ul className="set-lines">
        {scores.map((one) => (
          <li key={one.id} data-testid="score-line" data-name={one.key}>
            <button
              type="button"
              aria-pressed={color.kind === "score" && color.id === one.id}
              onClick={() => void paint(one)}
              title={one.genes.map((gene) => gene.name).join(", ")}
            >
              {one.key}
            </button>
            <span className="quiet">
              {counted(one.genes.length, "gene")}, {METHODS[one.method][0].toLowerCase()}, {one.expression}
            </span>
            <button type="button" className="only" aria-label={`Forget ${one.key}`} onClick={() => forget(one)}>
              forget
            </button>
          </li>
        ))}
      </ul>
      <p className="note">They are under “Colour by”, can be filtered by, and are kept in session files.</p>
    </section>
  );
}

function forget(one: Score): void {
  const { color } = get();
  dropScore(one);
  if (color.kind === "score" && color.id === one.id) void paint({ kind: "none" });
}

function GmtButton() {
  async function open(event: ChangeEvent<HTMLInputElement>): Promise<void> {
    const file = event.target.files?.[0];
    event.target.value = "";
    if (!file) return;
    if (file.size > MOST_BYTES) return set({ notice: `${file.name} is too large to be a file of gene sets.` });
    const { sets, bad } = readGmt(await file.text());
    if (sets.length === 0) {
      return set({
        notice: `${file.name} holds no gene set: a line has a name, a description and genes, parted by tabulators.`,
      });
    }
    change({ sets });
    if (bad.length > 0) {
      const lines = bad.slice(0, 5).join(", ") + (bad.length > 5 ? " and others" : "");
      set({ notice: `${counted(sets.length, "gene set")} read; left out: line ${lines}.` });
    }
  }
  return (
    <label className="button file-button">
      Open GMT…
      <input
        type="file"
        className="visually-hidden"
        data-testid="gmt"
        accept=".gmt,.txt,.tsv,text/plain"
        onChange={(e) => void open(e)}
      />
    </label>
  );
}

/** The sets of a GMT file: thousands, so searched. */
function Sets({ choose }: { choose: (one: GeneSet) => void }) {
  const sets = useAnalysis((s) => s.sets);
  const genes = useModel((s) => s.genes);
  const [query, setQuery] = useState("");
  if (sets.length === 0) return null;
  const wanted = query.trim().toLowerCase();
  const hits = sets.filter((one) => one.name.toLowerCase().includes(wanted));
  return (
    <section aria-label="Gene sets of the file">
      <h3>{counted(sets.length, "gene set")}</h3>
      <input
        type="search"
        aria-label="Find a gene set"
        placeholder="Find a gene set"
        value={query}
        onChange={(e) => setQuery(e.target.value)}
      />
      <ul className="set-lines">
        {hits.slice(0, MOST_LISTED).map((one, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: two sets can have one name.
          <li key={i} data-testid="gmt-set" data-name={one.name}>
            <button type="button" title={one.description || one.name} onClick={() => choose(one)}>
              {one.name}
            </button>
            <span className="quiet">
              {counted(one.genes.length, "gene")}
              {genes ? `, ${findNames(genes, one.genes).genes.length} of them here` : ""}
            </span>
          </li>
        ))}
      </ul>
      {hits.length > MOST_LISTED ? (
        <p className="note">
          The first {MOST_LISTED} of {hits.length.toLocaleString("en")}; type to find others.
        </p>
      ) : null}
    </section>
  );
}
