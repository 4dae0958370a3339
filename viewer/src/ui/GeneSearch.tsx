/** Finding one gene among tens of thousands by typing. */

import { useCombobox } from "downshift";
import { useMemo, useState } from "react";
import { toApiError } from "../api/client";
import type { ExpressionInfo, Genes } from "../api/types";
import { shorten } from "../data/format";
import { findGenes, type GeneHit, type GeneHits, labelOf, nearGenes, SHOWN } from "../data/genes";
import { chooseExpression, loadGenes, paint } from "../state/actions";
import { type Color, get, set, useModel } from "../state/store";
import { useElsewhere } from "./elsewhere";

const NONE: GeneHits = { hits: [], total: 0 };

interface Props {
  /** What tests call the box; its options are `ID-option`. */
  id?: string;
  /** What to do with the gene; without it the cells are coloured by it. */
  choose?: (gene: Extract<Color, { kind: "gene" }>) => void;
}

export function GeneSearch({ id = "gene-search", choose = paint }: Props) {
  const { identity, expression, genes, color } = useModel();
  const [query, setQuery] = useState("");
  const found = useMemo(() => (genes && query.trim() !== "" ? findGenes(genes, query) : NONE), [genes, query]);
  const matrices = identity?.expression.items ?? [];

  const plain = choose === paint;
  const own = matrices.find((m) => m.id === expression)?.n_genes ?? 0;
  const other = matrices.find((m) => m.n_genes > own);

  const asked = genes !== null && query.trim() !== "";
  const elsewhere = useElsewhere(asked ? query : "", found.hits[0], other);

  function take(hit: GeneHit | null | undefined): void {
    const matrix = get().expression;
    if (hit && matrix !== null) void choose({ kind: "gene", index: hit.index, key: hit.name, expression: matrix });
  }

  /** The cells are coloured from the matrix that is chosen; filters name their own. */
  async function takeThere(matrix: ExpressionInfo, hit: GeneHit | null): Promise<void> {
    if (hit === null) return;
    if (plain) await chooseExpression(matrix.id);
    void choose({ kind: "gene", index: hit.index, key: hit.name, expression: matrix.id });
  }

  const box = useCombobox<GeneHit>({
    items: found.hits,
    itemToString: (hit) => hit?.symbol || (hit?.name ?? ""),
    defaultHighlightedIndex: 0,
    onInputValueChange: ({ inputValue }) => setQuery(inputValue),
    onSelectedItemChange: ({ selectedItem }) => take(selectedItem),
  });

  if (matrices.length === 0) return <p className="note">This data set has no genes.</p>;
  const load = () => void loadGenes().catch((error: unknown) => set({ error: toApiError(error) }));
  const shown = box.isOpen && query.trim() !== "";
  return (
    <div className="gene-search">
      {/* biome-ignore lint/a11y/noLabelWithoutControl: downshift ties it to the input by id. */}
      <label {...box.getLabelProps()} className="field-label">
        Gene{" "}
        <span className="quiet">
          {own.toLocaleString("en")} to choose from
          {other ? `, ${other.n_genes.toLocaleString("en")} in ${shorten(other.label, 16)}` : ""}
        </span>
      </label>
      <div className="combo">
        <input
          {...box.getInputProps({
            onFocus: load,
            // At once: downshift tells of it one render later, and a quick Enter would take what was found before.
            onChange: (event) => setQuery((event.target as HTMLInputElement).value),
          })}
          data-testid={id}
          placeholder={plain && color.kind === "gene" ? labelOf(genes, color.index, color.key) : "Name or symbol"}
          autoComplete="off"
          spellCheck={false}
          {...(plain ? { "aria-keyshortcuts": "/" } : {})}
        />
        <ul {...box.getMenuProps()} className={shown ? "menu open" : "menu"}>
          {shown
            ? found.hits.map((hit, index) => (
                <li
                  key={hit.index}
                  {...box.getItemProps({ item: hit, index })}
                  data-testid={plain ? "gene-option" : `${id}-option`}
                  className={box.highlightedIndex === index ? "active" : ""}
                >
                  <GeneWords {...hit} />
                </li>
              ))
            : null}
        </ul>
      </div>
      <p className="note" aria-live="polite">
        {asked ? hitsText(found, () => missingText(genes, query)) : ""}
        {other && (elsewhere || (elsewhere === null && found.total === 0)) ? (
          <Elsewhere id={id} matrix={other} hit={elsewhere} show={() => void takeThere(other, elsewhere)} />
        ) : null}
      </p>
      {plain && matrices.length > 1 ? (
        <label className="row">
          <span>Matrix</span>
          <select value={expression ?? ""} onChange={(e) => void chooseExpression(e.target.value)}>
            {matrices.map((m) => (
              <option key={m.id} value={m.id}>
                {m.label}
              </option>
            ))}
          </select>
        </label>
      ) : null}
    </div>
  );
}

/** The symbol, and then the name, where they differ. */
export function GeneWords({ name, symbol }: GeneHit) {
  return (
    <>
      <span>{symbol || name}</span>
      {symbol && symbol !== name ? <span className="quiet">{name}</span> : null}
    </>
  );
}

/** What the larger matrix has of that name, and the way to it. */
function Elsewhere(props: { id: string; matrix: ExpressionInfo; hit: GeneHit | null; show: () => void }) {
  const { id, matrix, hit, show } = props;
  if (hit === null) return `. ${matrix.label} has none either.`;
  return (
    <>
      . {matrix.label} has {hit.symbol || hit.name}.{" "}
      <button type="button" className="only" data-testid={`${id}-elsewhere`} onClick={show}>
        Take it from there
      </button>
    </>
  );
}

/** Why there is none, where it may be a slip of the finger. */
function missingText(genes: Genes, query: string): string {
  const near = nearGenes(genes, query);
  return near.length > 0 ? `No gene of that name; close to it: ${near.join(", ")}` : "No gene of that name";
}

function hitsText({ total }: GeneHits, missing: () => string): string {
  if (total === 0) return missing();
  const more = total > SHOWN ? `; the first ${SHOWN} are listed` : "";
  return `${total.toLocaleString("en")} ${total === 1 ? "gene" : "genes"}${more}`;
}
