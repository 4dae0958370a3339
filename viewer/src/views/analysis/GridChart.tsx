/** Genes across, groups down: a dot plot where sizes are given, else a heat map. */

import { type KeyboardEvent, type PointerEvent, useMemo, useState } from "react";
import { number, shorten } from "../../data/format";
import type { ColorMap } from "../../gpu/lut";
import { type Tip, textWidth } from "./Figure";
import { colorAt, type Grid } from "./scales";

export interface GridGroup {
  name: string;
  color: string;
}

export interface GridProps {
  label: string;
  genes: string[];
  groups: GridGroup[];
  /** Genes × groups, as colours. */
  values: Grid;
  domain: [number, number];
  map: ColorMap;
  /** What the colours mean. */
  unit: string;
  /** Genes × groups, 0 to 1: areas of dots. Null for a heat map. */
  shares: Grid | null;
  words: (gene: number, group: number) => string[];
  onTip: (tip: Tip | null) => void;
  onGene: (gene: number) => void;
  onGroup: (group: number) => void;
}

const STEP = 22;
const LONGEST = 30;
const TURN = 60;
const PAD = 8;
const BAR = 84;
const SIZES = "Cells expressing (%)";

interface Sides {
  left: number;
  top: number;
  width: number;
  height: number;
  /** Where the legend begins. */
  legend: number;
}

function sidesOf(genes: string[], groups: GridGroup[], titles: string[]): Sides {
  const longest = (names: string[]) => Math.max(24, ...names.map((name) => textWidth(shorten(name, LONGEST))));
  const rise = longest(genes) * Math.sin((TURN * Math.PI) / 180);
  const lean = longest(genes.slice(-3)) * Math.cos((TURN * Math.PI) / 180);
  const left = longest(groups.map((g) => g.name)) + 26 + PAD;
  const top = rise + 18;
  const legend = left + genes.length * STEP + Math.max(lean, 16) + 16;
  const width = Math.ceil(legend + Math.max(BAR + 2 * PAD, ...titles.map((title) => textWidth(title))) + PAD);
  return { left, top, width, legend, height: Math.max(top + groups.length * STEP + PAD, top + 116) };
}

export function GridChart(props: GridProps) {
  const { label, genes, groups, onTip } = props;
  const { unit } = props;
  const dots = props.shares !== null;
  const sides = useMemo(() => sidesOf(genes, groups, dots ? [unit, SIZES] : [unit]), [genes, groups, unit, dots]);
  const [at, setAt] = useState<[number, number] | null>(null);
  function follow(event: PointerEvent<SVGSVGElement>): void {
    const box = event.currentTarget.getBoundingClientRect();
    const gene = Math.floor((event.clientX - box.left - sides.left) / STEP);
    const group = Math.floor((event.clientY - box.top - sides.top) / STEP);
    const inside = gene >= 0 && group >= 0 && gene < genes.length && group < groups.length;
    setAt(inside ? [gene, group] : null);
    onTip(
      inside
        ? {
            x: sides.left + (gene + 1) * STEP + 6,
            y: sides.top + group * STEP,
            lines: props.words(gene, group),
          }
        : null,
    );
  }
  function forget(): void {
    setAt(null);
    onTip(null);
  }
  return (
    <svg
      className="grid-chart"
      width={sides.width}
      height={sides.height}
      role="group"
      aria-label={label}
      onPointerMove={follow}
      onPointerLeave={forget}
      onKeyDown={stepFocus}
    >
      <GeneNames {...props} sides={sides} />
      <GroupNames {...props} sides={sides} />
      <Marks {...props} sides={sides} />
      {at ? (
        <rect
          data-page-only
          className="cursor"
          x={sides.left + at[0] * STEP}
          y={sides.top + at[1] * STEP}
          width={STEP}
          height={STEP}
        />
      ) : null}
      <Legend {...props} sides={sides} />
    </svg>
  );
}

/** Arrows go from name to name; the tabulator leaves the chart. */
export function stepFocus(event: KeyboardEvent<SVGSVGElement>): void {
  const steps: Record<string, number> = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  const step = steps[event.key];
  if (step === undefined) return;
  const names = [...event.currentTarget.querySelectorAll<SVGElement>("[role=button]")];
  const now = names.indexOf(document.activeElement as unknown as SVGElement);
  if (now < 0) return;
  event.preventDefault();
  names[(now + step + names.length) % names.length]?.focus();
}

/** A name in the chart that does something. */
export function pressable(act: () => void, label: string, first: boolean) {
  return {
    role: "button",
    tabIndex: first ? 0 : -1,
    "aria-label": label,
    className: "pressable",
    onClick: act,
    onKeyDown: (event: KeyboardEvent) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      act();
    },
  };
}

type Part = GridProps & { sides: Sides };

function GeneNames({ genes, sides, onGene }: Part) {
  return genes.map((name, i) => {
    const x = sides.left + (i + 0.5) * STEP;
    return (
      <text
        // biome-ignore lint/suspicious/noArrayIndexKey: two genes can have one name.
        key={i}
        data-testid="grid-gene"
        data-gene={name}
        transform={`translate(${x + 4} ${sides.top - 6}) rotate(-${TURN})`}
        {...pressable(() => onGene(i), `Colour by ${name}`, i === 0)}
      >
        <title>{`Colour by ${name}`}</title>
        {shorten(name, LONGEST)}
      </text>
    );
  });
}

function GroupNames({ groups, sides, onGroup }: Part) {
  return groups.map(({ name, color }, i) => {
    const y = sides.top + (i + 0.5) * STEP;
    return (
      // biome-ignore lint/suspicious/noArrayIndexKey: two groups can have one name.
      <g key={i} data-testid="grid-group" {...pressable(() => onGroup(i), `Select ${name}`, false)}>
        <title>{`Select ${name}`}</title>
        <rect x={sides.left - 18} y={y - 5} width={10} height={10} rx={2} style={{ fill: color }} />
        <text x={sides.left - 24} y={y} dominantBaseline="central" textAnchor="end">
          {shorten(name, LONGEST)}
        </text>
      </g>
    );
  });
}

function Marks({ genes, groups, values, shares, domain, map, sides }: Part) {
  return (
    <g className={shares ? "dots" : "tiles"}>
      {genes.map((_, i) =>
        groups.map((__, k) => {
          const value = values[i]?.[k] ?? null;
          const [x, y] = [sides.left + i * STEP, sides.top + k * STEP];
          const key = `${i}-${k}`;
          const fill = colorAt(value, domain, map);
          if (!shares)
            return <rect key={key} x={x + 0.5} y={y + 0.5} width={STEP - 1} height={STEP - 1} style={{ fill }} />;
          const r = radius(shares[i]?.[k] ?? 0);
          return <circle key={key} cx={x + STEP / 2} cy={y + STEP / 2} r={r} style={{ fill }} />;
        }),
      )}
    </g>
  );
}

/** Areas are proportional to shares. */
function radius(share: number): number {
  return Math.sqrt(Math.max(0, share)) * (STEP / 2 - 1);
}

const COLOR_STEPS = 24;

function Legend({ shares, domain, map, unit, sides }: Part) {
  const x = sides.legend;
  const y = sides.top;
  const [low, high] = domain;
  return (
    <g className="chart-legend">
      <text x={x} y={y - 6}>
        {unit}
      </text>
      {Array.from({ length: COLOR_STEPS }, (_, i) => (
        <rect
          // biome-ignore lint/suspicious/noArrayIndexKey: steps of a scale.
          key={i}
          x={x + (i * BAR) / COLOR_STEPS}
          y={y}
          width={BAR / COLOR_STEPS + 0.5}
          height={10}
          style={{ fill: colorAt(low + ((high - low) * (i + 0.5)) / COLOR_STEPS, domain, map) }}
        />
      ))}
      <text x={x} y={y + 24}>
        {number(low)}
      </text>
      <text x={x + BAR} y={y + 24} textAnchor="end">
        {number(high)}
      </text>
      {shares ? <SizeKey x={x} y={y + 48} /> : null}
    </g>
  );
}

function SizeKey({ x, y }: { x: number; y: number }) {
  return (
    <>
      <text x={x} y={y}>
        {SIZES}
      </text>
      {[0.2, 0.4, 0.6, 0.8, 1].map((share, i) => (
        <g key={share}>
          <circle className="sample" cx={x + 8 + i * 20} cy={y + 18} r={radius(share)} />
          <text x={x + 8 + i * 20} y={y + 42} textAnchor="middle">
            {share * 100}
          </text>
        </g>
      ))}
    </>
  );
}
