/** Sources, and the arrays of those that are opened up, as lines on the screen; only the lines in sight are drawn. */

import type { Source } from "../../api/catalog";
import { partsOf } from "./model";

export type Line =
  /** Sources number `from` to `to`, the latter not included. */
  | { kind: "sources"; from: number; to: number }
  | { kind: "heading"; index: number; source: Source }
  | { kind: "arrays"; index: number; source: Source; from: number; to: number }
  | { kind: "failure"; index: number; source: Source };

/** Where a person is: a source, by its number, or one of its arrays. */
export interface Spot {
  index: number;
  part: number | null;
}

/** A source that is opened up: the lines that follow those of the sources beside it. */
interface Opening {
  index: number;
  source: Source;
  /** The line of its sources, if nothing were opened up. */
  row: number;
  /** Lines of all openings before this one. */
  before: number;
  lines: number;
}

export interface Shape {
  /** Sources in a line. */
  columns: number;
  /** Whether the arrays of a source stand under a line with its name. */
  headings: boolean;
}

export class Layout {
  readonly length: number;
  private readonly rows: number;
  private readonly openings: Opening[] = [];
  /** Lines asked for before, so that each stays the same object and is drawn once. */
  private readonly seen = new Map<number, Line>();

  constructor(
    private readonly total: number,
    opened: readonly { index: number; source: Source }[],
    private readonly shape: Shape,
  ) {
    this.rows = Math.ceil(total / shape.columns);
    let before = 0;
    for (const { index, source } of [...opened].sort((a, b) => a.index - b.index)) {
      const lines = this.linesOf(source);
      this.openings.push({ index, source, row: Math.floor(index / shape.columns), before, lines });
      before += lines;
    }
    this.length = this.rows + before;
  }

  private linesOf(source: Source): number {
    if (source.status === "failed") return 1;
    const lines = Math.ceil(partsOf(source).length / this.shape.columns);
    return lines === 0 ? 0 : lines + (this.shape.headings ? 1 : 0);
  }

  /** The line at a place from the top. */
  at(line: number): Line {
    const found = this.seen.get(line) ?? this.find(line);
    this.seen.set(line, found);
    return found;
  }

  private find(line: number): Line {
    const { columns } = this.shape;
    let row = line;
    for (const opening of this.openings) {
      const start = opening.row + 1 + opening.before;
      if (line < start) break;
      if (line < start + opening.lines) return this.within(opening, line - start);
      row = line - opening.before - opening.lines;
    }
    return { kind: "sources", from: row * columns, to: Math.min(this.total, (row + 1) * columns) };
  }

  private within({ index, source }: Opening, line: number): Line {
    if (source.status === "failed") return { kind: "failure", index, source };
    const { headings, columns } = this.shape;
    const number = line - (headings ? 1 : 0);
    if (number < 0) return { kind: "heading", index, source };
    const from = number * columns;
    return { kind: "arrays", index, source, from, to: Math.min(partsOf(source).length, from + columns) };
  }

  /** The line that holds a spot. */
  lineOf({ index, part }: Spot): number {
    const { columns, headings } = this.shape;
    const row = Math.floor(index / columns);
    const own = this.openings.find((o) => o.index === index);
    if (part !== null && own) return own.row + 1 + own.before + (headings ? 1 : 0) + Math.floor(part / columns);
    const above = this.openings.filter((o) => o.row < row);
    return row + above.reduce((sum, o) => sum + o.lines, 0);
  }

  /** The spots of a line, from left to right. */
  spots(line: number): Spot[] {
    const found = this.at(line);
    if (found.kind === "sources") return range(found.from, found.to).map((index) => ({ index, part: null }));
    if (found.kind === "arrays") return range(found.from, found.to).map((part) => ({ index: found.index, part }));
    return [];
  }

  /** The spot some lines further down (up when negative), in the same column where there is one. */
  below(spot: Spot, by: number): Spot {
    const line = this.lineOf(spot);
    const column = Math.max(
      0,
      this.spots(line).findIndex((s) => same(s, spot)),
    );
    const step = Math.sign(by);
    let [to, found] = [line, spot];
    for (let left = Math.abs(by); left > 0; ) {
      to += step;
      if (to < 0 || to >= this.length) break;
      const spots = this.spots(to);
      if (spots.length === 0) continue;
      found = spots[Math.min(column, spots.length - 1)] ?? found;
      left -= 1;
    }
    return found;
  }

  /** The next spot in reading order, or the one before. */
  beside(spot: Spot, by: 1 | -1): Spot {
    let line = this.lineOf(spot);
    let spots = this.spots(line);
    const next = spots.findIndex((s) => same(s, spot)) + by;
    if (spots[next]) return spots[next];
    do {
      line += by;
      if (line < 0 || line >= this.length) return spot;
      spots = this.spots(line);
    } while (spots.length === 0);
    return (by === 1 ? spots[0] : spots.at(-1)) ?? spot;
  }
}

/** Where a key leads; null for keys that lead nowhere. */
export function move(
  key: string,
  now: Spot,
  layout: Layout,
  screen: number,
  sideways: boolean,
  total: number,
): Spot | null {
  if (key === "ArrowDown") return layout.below(now, 1);
  if (key === "ArrowUp") return layout.below(now, -1);
  if (key === "PageDown") return layout.below(now, screen);
  if (key === "PageUp") return layout.below(now, -screen);
  if (key === "Home") return { index: 0, part: null };
  if (key === "End") return { index: total - 1, part: null };
  if (sideways && key === "ArrowRight") return layout.beside(now, 1);
  if (sideways && key === "ArrowLeft") return layout.beside(now, -1);
  return null;
}

export function same(a: Spot | null, b: Spot | null): boolean {
  return a?.index === b?.index && a?.part === b?.part;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
}
