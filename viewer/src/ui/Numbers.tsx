/** Parts for ranges of numbers: a histogram, two handles, two fields. */

import * as Slider from "@radix-ui/react-slider";
import { useRef } from "react";
import { number } from "../data/format";
import { BINS } from "../data/points";
import { NumberField } from "./NumberField";

const STEPS = 500;

interface HistogramProps {
  title: string;
  /** Of all cells. */
  bins: Uint32Array;
  /** Of the cells that pass the other filters; null for all. */
  shown: Uint32Array | null;
  min: number;
  max: number;
  low: number;
  high: number;
}

/** Heights by square root: the zeros of a gene must not hide its expression. */
export function Histogram({ title, bins, shown, min, max, low, high }: HistogramProps) {
  const tallest = Math.sqrt(bins.reduce((a, b) => Math.max(a, b), 1));
  const width = (max - min) / BINS;
  const inside = (bin: number) => width === 0 || (min + (bin + 1) * width >= low && min + bin * width <= high);
  const heightOf = (n: number) => (n > 0 ? Math.max(0.8, (Math.sqrt(n) / tallest) * 40) : 0);
  const live = shown !== null && Array.from(bins.keys()).some((bin) => shown[bin] !== bins[bin]);
  return (
    <svg
      className="histogram"
      data-testid="histogram"
      viewBox={`0 0 ${BINS} 40`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`Histogram of ${title} from ${number(min)} to ${number(max)}, heights by square root${
        live ? ", of the cells that pass the other filters" : ""
      }`}
    >
      {Array.from(bins.keys()).map((bin) => {
        const all = heightOf(bins[bin] ?? 0);
        const own = live ? heightOf(shown[bin] ?? 0) : all;
        return (
          <g key={bin}>
            {live ? <rect x={bin} y={40 - all} width={0.9} height={all} className="all" /> : null}
            <rect x={bin} y={40 - own} width={0.9} height={own} className={inside(bin) ? "in" : "out"} />
          </g>
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
  /** What the range is of, for the names of its parts. */
  of: string;
  ids: readonly [string, string];
  /** `during` is the same for all changes of one drag. */
  choose: (low: number, high: number, during: string | null) => void;
  reset: () => void;
}

let drags = 0;

export function Range({ min, max, low, high, of, ids, choose, reset }: RangeProps) {
  const drag = useRef<string | null>(null);
  const clamp = (v: number) => Math.min(max, Math.max(min, v));
  const take = (a: number, b: number, during: string | null = null) =>
    a <= b ? choose(clamp(a), clamp(b), during) : choose(clamp(b), clamp(a), during);
  return (
    <>
      <Slider.Root
        className="slider"
        min={min}
        max={max}
        step={(max - min) / STEPS}
        value={[low, high]}
        onValueChange={([a, b]) => {
          drag.current ??= `drag ${drags++}`;
          take(a ?? min, b ?? max, drag.current);
        }}
        onValueCommit={() => {
          drag.current = null;
        }}
      >
        <Slider.Track className="slider-track">
          <Slider.Range className="slider-range" />
        </Slider.Track>
        <Slider.Thumb className="slider-thumb" aria-label={`Start of ${of}`} aria-valuetext={number(low)} />
        <Slider.Thumb className="slider-thumb" aria-label={`End of ${of}`} aria-valuetext={number(high)} />
      </Slider.Root>
      <div className="range-inputs">
        <NumberField id={ids[0]} label="From" value={low} digits={4} onCommit={(v) => take(v, high)} />
        <NumberField id={ids[1]} label="to" value={high} digits={4} onCommit={(v) => take(low, v)} />
        <button type="button" onClick={reset}>
          Reset
        </button>
      </div>
    </>
  );
}
