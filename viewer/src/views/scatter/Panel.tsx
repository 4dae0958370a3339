/** "What to show": embedding, dimensions, axes, then how points look. */

import { labelOf } from "../../data/genes";
import { choosePoints, paint } from "../../state/actions";
import { set, useModel } from "../../state/store";
import { GeneSearch } from "../../ui/GeneSearch";
import { autoSize } from "./model";

export function ScatterPanel() {
  return (
    <>
      <EmbeddingChoice />
      <ColorChoice />
      <PointChoice />
    </>
  );
}

function EmbeddingChoice() {
  const { identity, geometry } = useModel();
  const items = identity?.embeddings.items ?? [];
  if (!geometry) return null;
  const { embedding, dim, nowhere } = geometry;
  return (
    <section className="group">
      <h2>Embedding</h2>
      <label className="row">
        <span className="visually-hidden">Embedding</span>
        <select
          data-testid="embedding-select"
          value={embedding.id}
          onChange={(e) => {
            const next = items.find((i) => i.id === e.target.value);
            if (next) void choosePoints(next, dim, null);
          }}
        >
          {items.map((item) => (
            <option key={item.id} value={item.id}>
              {item.label} ({item.width} {item.width === 1 ? "dimension" : "dimensions"})
            </option>
          ))}
        </select>
      </label>
      <fieldset className="segments" aria-label="Dimensions">
        {[1, 2, 3].map((d) => (
          <button
            key={d}
            type="button"
            aria-pressed={d === dim}
            data-testid={`dim-${d}`}
            disabled={!embedding.dimensions.includes(d)}
            title={embedding.dimensions.includes(d) ? `${d}D (key ${d})` : `${embedding.label} has no ${d} dimensions`}
            onClick={() => void choosePoints(embedding, d, null)}
          >
            {d}D
          </button>
        ))}
      </fieldset>
      {embedding.width > dim ? <Axes /> : null}
      {dim === 1 ? <p className="note">Height is spread at random, so that cells do not hide each other.</p> : null}
      {nowhere > 0 ? (
        <p className="note">{nowhere.toLocaleString("en")} cells have no coordinates and are not drawn.</p>
      ) : null}
    </section>
  );
}

function Axes() {
  const geometry = useModel((s) => s.geometry);
  if (!geometry) return null;
  const { embedding, dim, columns } = geometry;
  return (
    <div className="axes">
      {columns.map((column, axis) => (
        <label key={["x", "y", "z"][axis]} className="row">
          <span>{["x", "y", "z"][axis]}</span>
          <select
            aria-label={`Column on the ${["x", "y", "z"][axis]} axis`}
            value={column}
            onChange={(e) => {
              const next = columns.map((c, i) => (i === axis ? Number(e.target.value) : c));
              void choosePoints(embedding, dim, next);
            }}
          >
            {embedding.axes.map((name, i) => (
              <option key={name} value={i}>
                {name}
              </option>
            ))}
          </select>
        </label>
      ))}
    </div>
  );
}

function ColorChoice() {
  const { identity, color, scores, genes } = useModel();
  const fields = identity?.obs_fields ?? [];
  const categories = fields.filter((f) => f.kind === "category");
  const numbers = fields.filter((f) => f.kind === "continuous");
  return (
    <section className="group">
      <h2>Colour by</h2>
      <label className="row">
        <span className="visually-hidden">Field</span>
        <select
          data-testid="color-select"
          value={color.kind === "field" ? String(color.index) : color.kind === "score" ? color.id : color.kind}
          onChange={(e) => {
            const score = scores.find((one) => one.id === e.target.value);
            if (score) return void paint(score);
            const field = fields.find((f) => String(f.index) === e.target.value);
            void paint(field ? { kind: "field", index: field.index, key: field.key } : { kind: "none" });
          }}
        >
          <option value="none">One colour</option>
          {color.kind === "gene" ? <option value="gene">Gene {labelOf(genes, color.index, color.key)}</option> : null}
          <optgroup label="Groups">
            {categories.map((f) => (
              <option key={f.index} value={f.index}>
                {f.key} ({(f.n_categories ?? 0).toLocaleString("en")})
              </option>
            ))}
          </optgroup>
          <optgroup label="Numbers">
            {numbers.map((f) => (
              <option key={f.index} value={f.index}>
                {f.key}
              </option>
            ))}
          </optgroup>
          {scores.length > 0 ? (
            <optgroup label="Scores of gene sets">
              {scores.map((score) => (
                <option key={score.id} value={score.id}>
                  {score.key}
                </option>
              ))}
            </optgroup>
          ) : null}
        </select>
      </label>
      {identity?.incomplete && identity.incomplete.length > 0 ? (
        <p className="note warn-text" data-testid="incomplete" title={identity.incomplete.join("\n")}>
          This export is incomplete. Missing: {identity.incomplete.slice(0, 3).join(", ")}
          {identity.incomplete.length > 3 ? ` and ${identity.incomplete.length - 3} more` : ""}
        </p>
      ) : null}
      {identity?.unreadable_fields?.map(({ key, message }) => (
        <p key={key} className="note">
          {key} is left out: {message}
        </p>
      ))}
      <GeneSearch />
    </section>
  );
}

function PointChoice() {
  const { geometry, size, alpha } = useModel();
  const own = size ?? autoSize(geometry?.n ?? 0);
  return (
    <details className="group" open>
      <summary>Points</summary>
      <label className="row">
        <span>Size</span>
        <input
          type="range"
          min={1}
          max={16}
          step={0.5}
          value={own}
          aria-valuetext={`${own.toFixed(1)} pixels`}
          onChange={(e) => set({ size: Number(e.target.value) })}
        />
        <output>{own.toFixed(1)} px</output>
      </label>
      <label className="row">
        <span>Opacity</span>
        <input
          type="range"
          min={0.05}
          max={1}
          step={0.05}
          value={alpha ?? 1}
          onChange={(e) => set({ alpha: Number(e.target.value) })}
        />
        <output>{Math.round((alpha ?? 1) * 100)} %</output>
      </label>
    </details>
  );
}
