/** What every line of the listing is told. */

import type { Source } from "../../api/catalog";
import type { Line, Spot } from "./layout";
import type { Home } from "./live";

export interface Place {
  top: number;
  height: number;
  /** As counted by a screen reader: from 1, the table's head included. */
  number: number;
}

export interface LineProps extends Place {
  line: Extract<Line, { kind: "sources" | "arrays" }>;
  pages: Home["pages"];
  opened: Home["opened"];
  active: Home["active"];
  choose: (spot: Spot) => void;
}

export interface DetailProps extends Place {
  source: Source;
}

export function spotsOf(line: LineProps["line"]): Spot[] {
  return Array.from({ length: line.to - line.from }, (_, i) =>
    line.kind === "sources" ? { index: line.from + i, part: null } : { index: line.index, part: line.from + i },
  );
}

export function itemId({ index, part }: Spot): string {
  return part === null ? `source-${index}` : `source-${index}-${part}`;
}

export function placed({ top, height }: Place): React.CSSProperties {
  return { transform: `translateY(${top}px)`, height };
}
