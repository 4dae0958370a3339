/** What groups are made of: a bar for each group, parted by category. */

import { useMemo } from "react";
import { count, number, shorten } from "../../data/format";
import { type Tip, textWidth } from "./Figure";
import { pressable, stepFocus } from "./GridChart";

interface BarsProps {
  label: string;
  groups: { name: string; color: string }[];
  parts: { name: string; color: string }[];
  /** Groups × parts. */
  counts: number[][];
  /** Shares of each group, rather than numbers of cells. */
  shares: boolean;
  width: number;
  onTip: (tip: Tip | null) => void;
  onGroup: (group: number) => void;
}

const STEP = 24;
const LONGEST = 28;
const TOP = 8;
const KEY_STEP = 18;
const KEY_LONGEST = 24;
const SUMS = 64;
const BESIDE_FROM = 520;
const TICKS = [0, 0.25, 0.5, 0.75, 1];

export function Bars({ label, groups, parts, counts, shares, width, onTip, onGroup }: BarsProps) {
  const sums = useMemo(() => counts.map((row) => row.reduce((a, b) => a + b, 0)), [counts]);
  const left = Math.max(40, ...groups.map((g) => textWidth(shorten(g.name, LONGEST)))) + 16;
  const keys = Math.max(...parts.map((part) => textWidth(shorten(part.name, KEY_LONGEST))), 20) + 32;
  // On a phone they stand below.
  const beside = width >= BESIDE_FROM;
  const room = Math.max(120, width - left - SUMS - (beside ? keys : 0));
  const most = Math.max(1, ...sums);
  const scaleOf = (group: number) => room / (shares ? Math.max(1, sums[group] ?? 0) : most);
  const floor = TOP + groups.length * STEP;
  return (
    <svg
      className="bars-chart"
      width={left + room + SUMS + (beside ? keys : 0)}
      height={beside ? Math.max(floor + 22, TOP + parts.length * KEY_STEP) : floor + 30 + parts.length * KEY_STEP}
      role="group"
      aria-label={label}
      onPointerLeave={() => onTip(null)}
      onKeyDown={stepFocus}
    >
      {groups.map(({ name }, i) => {
        let x = left;
        const y = TOP + i * STEP;
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: two groups can have one name.
          <g key={i} data-testid="bar">
            <text
              x={left - 8}
              y={y + STEP / 2}
              textAnchor="end"
              dominantBaseline="central"
              {...pressable(() => onGroup(i), `Select ${name}`, i === 0)}
            >
              {shorten(name, LONGEST)}
            </text>
            {parts.map((part, k) => {
              const n = counts[i]?.[k] ?? 0;
              const wide = n * scaleOf(i);
              const at = x;
              x += wide;
              const words = [name, part.name, `${count(n)} cells, ${percent(n / Math.max(1, sums[i] ?? 0))}`];
              return n === 0 ? null : (
                <rect
                  // biome-ignore lint/suspicious/noArrayIndexKey: two parts can have one name.
                  key={k}
                  x={at}
                  y={y + 3}
                  width={wide}
                  height={STEP - 6}
                  style={{ fill: part.color }}
                  onPointerMove={() => onTip({ x: at + wide / 2, y: y + STEP, lines: words })}
                />
              );
            })}
            <text x={(shares ? left + room : x) + 6} y={y + STEP / 2} dominantBaseline="central" className="sum">
              {count(sums[i] ?? 0)}
            </text>
          </g>
        );
      })}
      {parts.map((part, k) => (
        <g
          // biome-ignore lint/suspicious/noArrayIndexKey: two parts can have one name.
          key={k}
          transform={
            beside
              ? `translate(${left + room + SUMS} ${TOP + k * KEY_STEP})`
              : `translate(16 ${floor + 28 + k * KEY_STEP})`
          }
        >
          <title>{part.name}</title>
          <rect width={10} height={10} y={3} rx={2} style={{ fill: part.color }} />
          <text x={16} y={8} dominantBaseline="central">
            {shorten(part.name, KEY_LONGEST)}
          </text>
        </g>
      ))}
      {(beside ? TICKS : [0, 0.5, 1]).map((tick) => (
        <text key={tick} x={left + tick * room} y={floor + 14} textAnchor="middle">
          {shares ? `${tick * 100}%` : number(Math.round(tick * most))}
        </text>
      ))}
    </svg>
  );
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`;
}
