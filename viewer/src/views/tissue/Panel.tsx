/** "What to show" of the tissue: which picture, how large cells are on it, how much of each is seen. */

import { number } from "../../data/format";
import { set, useModel } from "../../state/store";
import { chosenTissue, spotSize } from "./model";
import { useTissue } from "./state";

const SLIDER_STEPS = 80;
const LARGEST = 4;

export default function TissuePanel() {
  const { identity, tissue: name, pictureAlpha, spotAlpha } = useModel();
  const tissues = identity?.tissue ?? [];
  const chosen = chosenTissue(tissues, name);
  if (!chosen) return null;
  return (
    <section className="group" data-testid="tissue-panel">
      <h2>Tissue</h2>
      {tissues.length > 1 ? (
        <label className="row">
          <span>Picture</span>
          <select
            data-testid="tissue-select"
            value={chosen.name}
            onChange={(e) => set({ tissue: e.target.value, tissueCamera: null, spot: null, hover: null })}
          >
            {tissues.map((one) => (
              <option key={one.array_id} value={one.name}>
                {one.name}
              </option>
            ))}
          </select>
        </label>
      ) : (
        <p className="note">{chosen.name}</p>
      )}
      <SpotSize />
      <p className="note">Opacity</p>
      <Opacity id="picture-opacity" label="Picture" value={pictureAlpha} change={(v) => set({ pictureAlpha: v })} />
      <Opacity id="points-opacity" label="Cells" value={spotAlpha} change={(v) => set({ spotAlpha: v })} />
    </section>
  );
}

function SpotSize() {
  const { tissue, info, positions } = useTissue();
  const chosen = useModel((s) => s.spot);
  if (!tissue || !info) return null;
  const own = spotSize(tissue, info, (positions?.length ?? 0) / 3);
  const most = Math.max(own * LARGEST, chosen ?? 0);
  const value = chosen ?? own;
  return (
    <label className="row">
      <span>Size</span>
      <input
        type="range"
        data-testid="spot-size"
        min={most / SLIDER_STEPS}
        max={most}
        step={most / SLIDER_STEPS}
        value={value}
        aria-valuetext={`${number(value)} pixels of the picture`}
        onChange={(e) => set({ spot: Number(Number(e.target.value).toPrecision(4)) })}
      />
      <output title="Pixels of the picture">{Number(value.toPrecision(3))} px</output>
    </label>
  );
}

interface OpacityProps {
  id: string;
  label: string;
  value: number;
  change: (value: number) => void;
}

function Opacity({ id, label, value, change }: OpacityProps) {
  return (
    <label className="row">
      <span>{label}</span>
      <input
        type="range"
        data-testid={id}
        min={0}
        max={1}
        step={0.05}
        value={value}
        aria-label={`Opacity of ${label === "Cells" ? "cells on the tissue" : "the picture"}`}
        onChange={(e) => change(Number(e.target.value))}
      />
      <output>{Math.round(value * 100)} %</output>
    </label>
  );
}
