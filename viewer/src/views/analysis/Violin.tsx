/** One gene or field by group: the distribution as an outline, quartiles and median inside. */

import { scaleLinear } from "d3-scale";
import { area, curveCatmullRom } from "d3-shape";
import { type PointerEvent, useMemo } from "react";
import { count, number, shorten } from "../../data/format";
import { type Tip, textWidth } from "./Figure";
import { pressable, stepFocus } from "./GridChart";
import { outlineOf, type Spread } from "./spread";

export interface ViolinGroup {
  name: string;
  color: string;
  spread: Spread;
}

interface ViolinProps {
  label: string;
  unit: string;
  groups: ViolinGroup[];
  width: number;
  /** Of the whole chart. */
  height: number;
  onTip: (tip: Tip | null) => void;
  onGroup: (group: number) => void;
}

const LEAST_HEIGHT = 110;
const LEAST_STEP = 34;
const MOST_STEP = 110;
const [LEFT, TOP] = [52, 12];
const LONGEST = 18;
const TURN = 40;

export function Violin({ label, unit, groups, width, height, onTip, onGroup }: ViolinProps) {
  const longest = Math.max(...groups.map((g) => textWidth(shorten(g.name, LONGEST))), 20);
  const lean = longest * Math.cos((TURN * Math.PI) / 180);
  const foot = longest * Math.sin((TURN * Math.PI) / 180) + 30;
  const left = Math.max(LEFT, lean - LEAST_STEP / 2);
  const step = Math.max(LEAST_STEP, Math.min(MOST_STEP, (width - left - 16) / Math.max(1, groups.length)));
  const floor = TOP + Math.max(LEAST_HEIGHT, height - foot - TOP);
  const y = useMemo(() => {
    const ends = groups.flatMap(({ spread }) => (spread.n > 0 ? [spread.min, spread.max] : []));
    const [low, high] = [Math.min(0, ...ends), Math.max(...ends, 0)];
    return scaleLinear([low, high > low ? high : low + 1], [floor, TOP]).nice();
  }, [groups, floor]);
  function follow(event: PointerEvent<SVGSVGElement>): void {
    const at = Math.floor((event.clientX - event.currentTarget.getBoundingClientRect().left - left) / step);
    const group = groups[at];
    onTip(group ? { x: left + (at + 1) * step + 4, y: TOP, lines: wordsOf(group) } : null);
  }
  return (
    <svg
      className="violin-chart"
      width={left + groups.length * step + 16}
      height={floor + foot}
      role="group"
      aria-label={label}
      onPointerMove={follow}
      onPointerLeave={() => onTip(null)}
      onKeyDown={stepFocus}
    >
      {y.ticks(5).map((tick) => (
        <g key={tick}>
          <line className="rule" x1={left} x2={left + groups.length * step} y1={y(tick)} y2={y(tick)} />
          <text x={left - 6} y={y(tick)} textAnchor="end" dominantBaseline="central">
            {number(tick)}
          </text>
        </g>
      ))}
      <text transform={`translate(12 ${(TOP + floor) / 2}) rotate(-90)`} textAnchor="middle">
        {shorten(unit, LONGEST)}
      </text>
      {groups.map((group, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: two groups can have one name.
        <g key={i} data-testid="violin-group" data-median={group.spread.median}>
          <Shape group={group} middle={left + (i + 0.5) * step} half={step * 0.44} y={y} />
          <text
            transform={`translate(${left + (i + 0.5) * step + 4} ${floor + 16}) rotate(-${TURN})`}
            textAnchor="end"
            {...pressable(() => onGroup(i), `Select ${group.name}`, i === 0)}
          >
            {shorten(group.name, LONGEST)}
          </text>
        </g>
      ))}
    </svg>
  );
}

interface ShapeProps {
  group: ViolinGroup;
  middle: number;
  half: number;
  y: (value: number) => number;
}

function Shape({ group: { spread, color }, middle, half, y }: ShapeProps) {
  const outline = useMemo(() => outlineOf(spread), [spread]);
  if (spread.n === 0) return null;
  const shape = area<[number, number]>()
    .y(([value]) => y(value))
    .x0(([, share]) => middle - share * half)
    .x1(([, share]) => middle + share * half)
    .curve(curveCatmullRom);
  return (
    <>
      <path className="violin" d={shape(outline) ?? ""} style={{ fill: color, stroke: color }} />
      <line className="whisker" x1={middle} x2={middle} y1={y(spread.low)} y2={y(spread.high)} />
      <rect
        className="box"
        x={middle - 4}
        width={8}
        y={y(spread.q75)}
        height={Math.max(1, y(spread.q25) - y(spread.q75))}
      />
      <circle className="median" cx={middle} cy={y(spread.median)} r={3} />
    </>
  );
}

function wordsOf({ name, spread }: ViolinGroup): string[] {
  const { n, median, q25, q75, min, max, mean } = spread;
  if (n === 0) return [name, "no cell with a value"];
  return [
    name,
    `${count(n)} cells`,
    `median ${number(median)}, mean ${number(mean)}`,
    `quartiles ${number(q25)} to ${number(q75)}`,
    `range ${number(min)} to ${number(max)}`,
  ];
}
