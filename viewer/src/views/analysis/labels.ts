/** Names beside points: the most important first, each where nothing lies yet, or not at all. */

export interface Anchor {
  x: number;
  y: number;
  text: string;
}

export interface Label extends Anchor {
  /** Left end and baseline's middle of the text. */
  left: number;
  middle: number;
  width: number;
  /** Far enough away that a line must lead to its point. */
  led: boolean;
}

interface Box {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export interface Room {
  width: number;
  height: number;
  lineHeight: number;
  textWidth: (text: string) => number;
}

const GAP = 5;

function meets(a: Box, b: Box): boolean {
  return a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1;
}

/** Left ends and middles to try, the best first: beside the point, then around it, then further up and down. */
function* places({ x, y }: Anchor, width: number, line: number): Generator<[number, number, boolean]> {
  for (const away of [0, 1, 2]) {
    const lift = away * line * 1.1;
    yield [x + GAP, y - lift, away > 0];
    yield [x - GAP - width, y - lift, away > 0];
    yield [x - width / 2, y - lift - GAP - line / 2, away > 0];
    yield [x - width / 2, y + lift + GAP + line / 2, away > 0];
    if (away === 0) continue;
    yield [x + GAP, y + lift, true];
    yield [x - GAP - width, y + lift, true];
  }
}

export function placeLabels(anchors: readonly Anchor[], room: Room): Label[] {
  const taken: Box[] = anchors.map(({ x, y }) => ({ x0: x - 2, y0: y - 2, x1: x + 2, y1: y + 2 }));
  const labels: Label[] = [];
  for (const anchor of anchors) {
    const width = room.textWidth(anchor.text);
    for (const [left, middle, led] of places(anchor, width, room.lineHeight)) {
      const box = { x0: left, y0: middle - room.lineHeight / 2, x1: left + width, y1: middle + room.lineHeight / 2 };
      if (box.x0 < 0 || box.y0 < 0 || box.x1 > room.width || box.y1 > room.height) continue;
      if (taken.some((other) => meets(box, other))) continue;
      taken.push(box);
      labels.push({ ...anchor, left, middle, width, led });
      break;
    }
  }
  return labels;
}
