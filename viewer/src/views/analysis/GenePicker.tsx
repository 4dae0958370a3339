/** The genes of a chart: searched one by one, pasted as a list, or the markers of the groups. */

import { useCombobox } from "downshift";
import { useMemo, useState } from "react";
import { findGenes, type GeneHit, labelOf } from "../../data/genes";
import { useModel } from "../../state/store";
import { GeneWords } from "../../ui/GeneSearch";
import { colorBy, MOST_GENES } from "./actions";
import { findAll, wordsOf } from "./lists";
import { change, useAnalysis } from "./state";

const NONE: GeneHit[] = [];

/** Adds one gene at a time; a pasted list adds all of it. */
export function GeneAdd({ onAdd, id }: { onAdd: (genes: number[]) => number; id: string }) {
  const genes = useModel((s) => s.genes);
  const [query, setQuery] = useState("");
  const [said, setSaid] = useState("");
  const hits = useMemo(
    () => (genes && query.trim() !== "" && !/[,;\n\t]/.test(query) ? findGenes(genes, query).hits : NONE),
    [genes, query],
  );
  function addText(text: string): void {
    if (!genes) return;
    const found = findAll(genes, text);
    const left = onAdd(found.genes);
    const words = [wordsOf(found), left > 0 ? `${left} more do not fit: ${MOST_GENES} genes are the most.` : ""];
    setSaid(words.filter((one) => one !== "").join(" "));
  }
  const box = useCombobox<GeneHit>({
    items: hits,
    inputValue: query,
    itemToString: (hit) => hit?.name ?? "",
    defaultHighlightedIndex: 0,
    onInputValueChange: ({ inputValue }) => setQuery(inputValue),
    stateReducer: (_, { type, changes }) =>
      type === useCombobox.stateChangeTypes.ItemClick || type === useCombobox.stateChangeTypes.InputKeyDownEnter
        ? { ...changes, inputValue: "", isOpen: false }
        : changes,
    onSelectedItemChange: ({ selectedItem }) => {
      if (selectedItem) {
        onAdd([selectedItem.index]);
        setSaid("");
        box.selectItem(null as unknown as GeneHit);
      }
    },
  });
  const open = box.isOpen && hits.length > 0;
  return (
    <div className="gene-add">
      {/* biome-ignore lint/a11y/noLabelWithoutControl: downshift ties it to the input by id. */}
      <label {...box.getLabelProps()} className="visually-hidden">
        Add genes
      </label>
      <div className="combo">
        <input
          {...box.getInputProps({
            onPaste: (event) => {
              const text = event.clipboardData.getData("text");
              if (!/[\s,;]/.test(text.trim())) return;
              event.preventDefault();
              addText(text);
            },
            onKeyDown: (event) => {
              if (event.key !== "Enter" || hits.length > 0 || query.trim() === "") return;
              addText(query);
              setQuery("");
            },
          })}
          data-testid={id}
          placeholder={genes ? "Add a gene, or paste a list" : "Loading the genes…"}
          autoComplete="off"
          spellCheck={false}
        />
        <ul {...box.getMenuProps()} className={open ? "menu open" : "menu"}>
          {open
            ? hits.map((hit, index) => (
                <li
                  key={hit.index}
                  {...box.getItemProps({ item: hit, index })}
                  data-testid="analysis-gene-option"
                  className={box.highlightedIndex === index ? "active" : ""}
                >
                  <GeneWords {...hit} />
                </li>
              ))
            : null}
        </ul>
      </div>
      <p className="note" aria-live="polite" data-testid={`${id}-said`}>
        {said}
      </p>
    </div>
  );
}

/** The chosen genes: each can be coloured by, and taken out. */
export function GeneChips() {
  const genes = useAnalysis((s) => s.genes);
  const all = useModel((s) => s.genes);
  if (genes.length === 0) return null;
  return (
    <>
      <ul className="chips" aria-label="Chosen genes">
        {genes.map((gene) => (
          <li key={gene.index} data-testid="chosen-gene" data-gene={gene.name}>
            <button type="button" className="chip-name" title={`Colour by ${gene.name}`} onClick={() => colorBy(gene)}>
              {labelOf(all, gene.index, gene.name)}
            </button>
            <button
              type="button"
              className="chip-out"
              aria-label={`Take ${gene.name} out`}
              onClick={() => change({ genes: genes.filter((one) => one !== gene) })}
            >
              ×
            </button>
          </li>
        ))}
      </ul>
      <button type="button" data-testid="clear-genes" onClick={() => change({ genes: [] })}>
        Clear
      </button>
    </>
  );
}
