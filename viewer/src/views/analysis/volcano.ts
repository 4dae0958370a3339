/** Fold changes against significance: where each gene lies, which are significant, which is under the pointer. */

export interface Tested {
  /** log2 of the fold change; NaN where it is not known. */
  change: Float64Array;
  /** log10 of the adjusted P; −∞ where P is 0, NaN where there was nothing to test. */
  log10: Float64Array;
  /** 1 where a gene is in one of the two only: how often "more" that is rests on the number that is put in for nothing. */
  alone: Uint8Array;
}

export interface Cloud {
  x: Float64Array;
  /** −log10 of the adjusted P. */
  y: Float64Array;
  /** Largest |x| and largest y, never 0. */
  reach: number;
  top: number;
  /** P so small that it was rounded to 0: they are drawn on the upper edge. */
  beyond: number;
  /** Genes without a number: not drawn. */
  left: number;
  /** Genes of one side only, drawn on its edge. */
  alone: number;
}

export interface Limits {
  change: number;
  p: number;
}

/** Room above the highest point, for those whose P is 0. */
const ABOVE = 1.06;

const OUT = 1.06;

export function cloudOf({ change, log10, alone }: Tested): Cloud {
  const y = Float64Array.from(log10, (one) => -one);
  const x = Float64Array.from(change);
  let [reach, highest, beyond, left, sided] = [0, 0, 0, 0, 0];
  for (let i = 0; i < change.length; i += 1) {
    if (!Number.isFinite(change[i]) || Number.isNaN(y[i])) left += 1;
    else {
      if (alone[i]) sided += 1;
      else reach = Math.max(reach, Math.abs(change[i] as number));
      if (y[i] === Number.POSITIVE_INFINITY) beyond += 1;
      else highest = Math.max(highest, y[i] as number);
    }
  }
  const top = (highest || 1) * ABOVE;
  for (let i = 0; i < y.length; i += 1) if (y[i] === Number.POSITIVE_INFINITY) y[i] = top;
  const edge = (reach || 1) * (sided > 0 ? OUT : 1);
  for (let i = 0; i < x.length; i += 1) if (alone[i]) x[i] = Math.sign(x[i] as number) * edge;
  return { x, y, reach: edge, top, beyond, left, alone: sided };
}

/** 1 above both limits, −1 below, 0 between. */
export function sideOf(change: number, log10: number, limits: Limits): -1 | 0 | 1 {
  if (!(log10 <= Math.log10(limits.p)) || !(Math.abs(change) >= limits.change)) return 0;
  return change > 0 ? 1 : -1;
}

export interface Sides {
  up: number[];
  down: number[];
}

/** Significant genes, the most so first. */
export function significant({ change, log10 }: Tested, limits: Limits): Sides {
  const sides: Sides = { up: [], down: [] };
  for (let i = 0; i < change.length; i += 1) {
    const side = sideOf(change[i] as number, log10[i] as number, limits);
    if (side === 1) sides.up.push(i);
    else if (side === -1) sides.down.push(i);
  }
  const order = (i: number, j: number) => {
    const [a, b] = [log10[i] as number, log10[j] as number];
    return a === b ? Math.abs(change[j] as number) - Math.abs(change[i] as number) : a - b;
  };
  sides.up.sort(order);
  sides.down.sort(order);
  return sides;
}

/** The gene nearest to a place on the screen, within `most` pixels; −1 for none. */
export function nearestTo(
  cloud: Cloud,
  place: (i: number) => [number, number],
  [x, y]: [number, number],
  most: number,
): number {
  let [best, least] = [-1, most * most];
  for (let i = 0; i < cloud.x.length; i += 1) {
    const [px, py] = place(i);
    const far = (px - x) ** 2 + (py - y) ** 2;
    if (far <= least) [best, least] = [i, far];
  }
  return best;
}
