/** A number's legend: histogram, colour map, and the range that the map spans. */

import * as Slider from "@radix-ui/react-slider";
import { useState } from "react";
import { count as countText, number, shorten } from "../data/format";
import { BINS } from "../data/points";
import { COLOR_MAPS, type ColorMap, gradient } from "../gpu/lut";
import { type Painted, set, useModel } from "../state/store";

type Numbers = Extract<Painted, { kind: "continuous" }>;
const STEPS = 500;

export default function NumberLegend({ painted }: { painted: Numbers }) {
  const { range, cmap } = useModel();
  const { min, max, missing } = painted.summary;
  const some = max >= min;
  const [low, high] = range ?? [min, max];
  return (
    <section className="group legend" data-testid="legend" data-kind="continuous">
      <h2 title={painted.title}>{shorten(painted.title, 28)}</h2>
      {some ? (
        <>
          <Histogram painted={painted} low={low} high={high} />
          <div className="gradient" style={{ background: gradient(cmap) }} aria-hidden="true" />
          {max > min ? <Range min={min} max={max} low={low} high={high} /> : null}
          <p className="ends">
            <span>{number(min)}</span>
            <span>{max > min ? number(max) : "the same in all cells"}</span>
          </p>
        </>
      ) : (
        <p className="note">No cell has a value here.</p>
      )}
      <label className="row">
        <span>Colours</span>
        <select data-testid="colormap-select" value={cmap} onChange={(e) => set({ cmap: e.target.value as ColorMap })}>
          {Object.entries(COLOR_MAPS).map(([id, { label }]) => (
            <option key={id} value={id}>
              {label}
            </option>
          ))}
        </select>
      </label>
      {missing > 0 ? (
        <p className="missing">
          <span className="swatch grey" aria-hidden="true" /> missing{" "}
          <span className="count">{countText(missing)}</span>
        </p>
      ) : null}
    </section>
  );
}

/** Heights by square root: the zeros of a gene must not hide its expression. */
function Histogram({ painted, low, high }: { painted: Numbers; low: number; high: number }) {
  const { bins, min, max } = painted.summary;
  const tallest = Math.sqrt(bins.reduce((a, b) => Math.max(a, b), 1));
  const width = (max - min) / BINS;
  const inside = (bin: number) => width === 0 || (min + (bin + 1) * width >= low && min + bin * width <= high);
  return (
    <svg
      className="histogram"
      data-testid="histogram"
      viewBox={`0 0 ${BINS} 40`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`Histogram of ${painted.title} from ${number(min)} to ${number(max)}, heights by square root`}
    >
      {Array.from(bins.keys()).map((bin) => {
        const n = bins[bin] ?? 0;
        const height = n > 0 ? Math.max(0.8, (Math.sqrt(n) / tallest) * 40) : 0;
        return (
          <rect key={bin} x={bin} y={40 - height} width={0.9} height={height} className={inside(bin) ? "in" : "out"} />
        );
      })}
    </svg>
  );
}

interface RangeProps {
  min: number;
  max: number;
  low: number;
  high: number;
}

function Range({ min, max, low, high }: RangeProps) {
  const clamp = (v: number) => Math.min(max, Math.max(min, v));
  const choose = (a: number, b: number) => {
    const [from, to] = a <= b ? [clamp(a), clamp(b)] : [clamp(b), clamp(a)];
    set({ range: from === min && to === max ? null : [from, to] });
  };
  return (
    <>
      <Slider.Root
        className="slider"
        min={min}
        max={max}
        step={(max - min) / STEPS}
        value={[low, high]}
        onValueChange={([a, b]) => choose(a ?? min, b ?? max)}
      >
        <Slider.Track className="slider-track">
          <Slider.Range className="slider-range" />
        </Slider.Track>
        <Slider.Thumb className="slider-thumb" aria-label="Start of the colours" aria-valuetext={number(low)} />
        <Slider.Thumb className="slider-thumb" aria-label="End of the colours" aria-valuetext={number(high)} />
      </Slider.Root>
      <div className="range-inputs">
        <NumberInput id="range-min" label="From" value={low} onCommit={(v) => choose(v, high)} />
        <NumberInput id="range-max" label="to" value={high} onCommit={(v) => choose(low, v)} />
        <button type="button" onClick={() => set({ range: null })}>
          Reset
        </button>
      </div>
    </>
  );
}

/** Takes effect on Enter or when left, so that half-typed numbers do nothing. */
function NumberInput(props: { id: string; label: string; value: number; onCommit: (value: number) => void }) {
  const { id, label, value, onCommit } = props;
  const [draft, setDraft] = useState<string | null>(null);
  function commit(): void {
    const typed = draft === null || draft.trim() === "" ? Number.NaN : Number(draft);
    if (Number.isFinite(typed)) onCommit(typed);
    setDraft(null);
  }
  return (
    <label>
      <span>{label}</span>
      <input
        data-testid={id}
        inputMode="decimal"
        value={draft ?? Number(value.toPrecision(4)).toString()}
        onChange={(e) => setDraft(e.target.value)}
        onBlur={commit}
        onKeyDown={(e) => {
          if (e.key === "Enter") commit();
          if (e.key === "Escape") setDraft(null);
        }}
      />
    </label>
  );
}
