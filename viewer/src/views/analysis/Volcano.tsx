/** Fold change against significance of every gene. */

import { scaleLinear } from "d3-scale";
import { type PointerEvent, useMemo, useRef, useState } from "react";
import { count, shorten } from "../../data/format";
import { type Tip, textWidth } from "./Figure";
import { placeLabels } from "./labels";
import { cloudOf, type Limits, nearestTo, sideOf, significant, type Tested } from "./volcano";

interface VolcanoProps {
  tested: Tested;
  names: string[];
  limits: Limits;
  /** What a positive change means, and a negative one. */
  ends: [string, string];
  width: number;
  height: number;
  chosen: number | null;
  words: (gene: number) => string[];
  onTip: (tip: Tip | null) => void;
  onGene: (gene: number) => void;
}

const [LEFT, RIGHT, TOP, BOTTOM] = [44, 10, 16, 40];
/** Widths in pixels, of what stands between the two ends, and of a letter of them. */
const AXIS = 130;
const LETTER = 6.5;
/** Letters that an arrow, and the space around it, take. */
const ARROW = 3;
const NEAR = 12;
const MOST_LABELS = 12;

export function Volcano(props: VolcanoProps) {
  const { tested, names, limits, ends, width, height, chosen, words, onTip, onGene } = props;
  const [over, setOver] = useState(-1);
  const cloud = useMemo(() => cloudOf(tested), [tested]);
  const [x, y] = useMemo(
    () => [
      scaleLinear([-cloud.reach, cloud.reach], [LEFT, width - RIGHT]).nice(),
      scaleLinear([0, cloud.top], [height - BOTTOM, TOP]),
    ],
    [cloud, width, height],
  );
  const place = (i: number): [number, number] => [x(cloud.x[i] as number), y(cloud.y[i] as number)];
  const frame = useRef(0);
  function follow(event: PointerEvent<SVGSVGElement>): void {
    const box = event.currentTarget.getBoundingClientRect();
    const at: [number, number] = [event.clientX - box.left, event.clientY - box.top];
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(() => {
      const found = nearestTo(cloud, place, at, NEAR);
      setOver(found);
      const [px, py] = found < 0 ? [0, 0] : place(found);
      onTip(found < 0 ? null : { x: Math.min(px + 10, width - 150), y: py + 10, lines: words(found) });
    });
  }
  function forget(): void {
    cancelAnimationFrame(frame.current);
    setOver(-1);
    onTip(null);
  }
  const sides = useMemo(() => significant(tested, limits), [tested, limits]);
  const label =
    `Volcano plot of ${count(names.length)} genes: ${count(sides.up.length)} higher in ${ends[0]}, ` +
    `${count(sides.down.length)} higher in ${ends[1]}. The table beside it has every gene.`;
  // Beside the axis' own words, with an arrow.
  const room = Math.floor((width - LEFT - RIGHT - AXIS) / 2 / LETTER) - ARROW;
  const endOf = (name: string) => shorten(name, Math.max(4, room));
  const marks = [over, chosen ?? -1].filter((i, k, all) => i >= 0 && all.indexOf(i) === k);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the table beside it has every gene for the keyboard.
    <svg
      className={over >= 0 ? "volcano at-gene" : "volcano"}
      width={width}
      height={height}
      role="img"
      aria-label={label}
      data-testid="volcano"
      data-points={names.length - cloud.left}
      data-up={sides.up.length}
      data-down={sides.down.length}
      onPointerMove={follow}
      onPointerLeave={forget}
      onClick={() => over >= 0 && onGene(over)}
    >
      <Axes x={x} y={y} width={width} height={height} />
      <Thresholds x={x} y={y} limits={limits} width={width} height={height} />
      <Points tested={tested} place={place} limits={limits} />
      {marks.map((i) => {
        const [px, py] = place(i);
        return <circle key={i} data-page-only className="ring-mark" cx={px} cy={py} r={5} />;
      })}
      <Labels genes={labelled(sides.up, sides.down)} names={names} place={place} width={width} height={height} />
      <text className="end" x={LEFT + 2} y={height - 6}>
        {`← ${endOf(ends[1])}`}
      </text>
      <text className="end" x={width - RIGHT} y={height - 6} textAnchor="end">
        {`${endOf(ends[0])} →`}
      </text>
    </svg>
  );
}

function labelled(up: number[], down: number[]): number[] {
  const most = MOST_LABELS / 2;
  return up
    .slice(0, Math.max(most, MOST_LABELS - down.length))
    .concat(down.slice(0, Math.max(most, MOST_LABELS - up.length)));
}

type Scale = ReturnType<typeof scaleLinear<number, number>>;

interface Ground {
  x: Scale;
  y: Scale;
  width: number;
  height: number;
}

function Axes({ x, y, width, height }: Ground) {
  const floor = height - BOTTOM;
  return (
    <>
      {y.ticks(5).map((tick) => (
        <g key={tick}>
          <line className="rule" x1={LEFT} x2={width - RIGHT} y1={y(tick)} y2={y(tick)} />
          <text x={LEFT - 6} y={y(tick)} textAnchor="end" dominantBaseline="central">
            {tick}
          </text>
        </g>
      ))}
      {x.ticks(6).map((tick) => (
        <text key={tick} x={x(tick)} y={floor + 14} textAnchor="middle">
          {tick}
        </text>
      ))}
      <text x={(LEFT + width - RIGHT) / 2} y={height - 6} textAnchor="middle">
        log2 fold change
      </text>
      <text transform={`translate(11 ${(TOP + floor) / 2}) rotate(-90)`} textAnchor="middle">
        −log10 adjusted P
      </text>
    </>
  );
}

function Thresholds({ x, y, limits, width, height }: Ground & { limits: Limits }) {
  const level = y(-Math.log10(limits.p));
  const inside = (at: number) => at > LEFT && at < width - RIGHT;
  return (
    <g className="limits">
      {limits.p > 0 && limits.p < 1 && level > TOP ? <line x1={LEFT} x2={width - RIGHT} y1={level} y2={level} /> : null}
      {(limits.change > 0 ? [-limits.change, limits.change] : [])
        .map((at) => x(at))
        .filter(inside)
        .map((at) => (
          <line key={at} x1={at} x2={at} y1={TOP} y2={height - BOTTOM} />
        ))}
    </g>
  );
}

interface PointsProps {
  tested: Tested;
  place: (i: number) => [number, number];
  limits: Limits;
}

/** Three paths of lines without length, which round ends make dots: 30,000 elements would take seconds. */
function Points({ tested, place, limits }: PointsProps) {
  const paths: Record<number, string[]> = { [-1]: [], 0: [], 1: [] };
  for (let i = 0; i < tested.change.length; i += 1) {
    const [px, py] = place(i);
    if (!Number.isFinite(px) || !Number.isFinite(py)) continue;
    const side = sideOf(tested.change[i] as number, tested.log10[i] as number, limits);
    paths[side]?.push(`M${px.toFixed(1)},${py.toFixed(1)}h0`);
  }
  return (
    <>
      <path className="dots-none" d={paths[0]?.join("")} />
      <path className="dots-down" d={paths[-1]?.join("")} />
      <path className="dots-up" d={paths[1]?.join("")} />
    </>
  );
}

interface LabelsProps {
  genes: number[];
  names: string[];
  place: (i: number) => [number, number];
  width: number;
  height: number;
}

function Labels({ genes, names, place, width, height }: LabelsProps) {
  const anchors = genes.map((i) => {
    const [x, y] = place(i);
    return { x: x - LEFT, y: y - TOP, text: names[i] ?? "" };
  });
  const room = {
    width: width - LEFT - RIGHT,
    height: height - TOP - BOTTOM,
    lineHeight: 12,
    textWidth: (text: string) => textWidth(text, 11),
  };
  return (
    <g className="gene-labels" transform={`translate(${LEFT} ${TOP})`}>
      {placeLabels(anchors, room).map(({ text, x, y, left, middle, width: wide, led }) => (
        <g key={`${text} ${x}`}>
          {led ? <line x1={x} y1={y} x2={left > x ? left : Math.min(left + wide, x)} y2={middle} /> : null}
          <text x={left} y={middle} dominantBaseline="central">
            {text}
          </text>
        </g>
      ))}
    </g>
  );
}

/** For the caption under the chart. */
export function volcanoWords({ beyond, left, alone }: { beyond: number; left: number; alone: number }): string {
  const parts: string[] = [];
  if (beyond > 0) parts.push(`${count(beyond)} with a P of 0 lie on the upper edge`);
  if (alone > 0) parts.push(`${count(alone)} that only one side expresses lie at its edge`);
  if (left > 0) parts.push(`${count(left)} without a fold change or a P are not drawn`);
  return parts.length > 0 ? `${parts.join("; ")}.` : "";
}
