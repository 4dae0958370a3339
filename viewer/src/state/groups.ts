/** Named groups of cells that a person has kept: any number, drawn over the colours while they are shown. */

import type { Bits } from "../data/bits";

export interface Group {
  id: string;
  name: string;
  /** `#rrggbb` */
  color: string;
  /** By the cell's number. Never changed in place. */
  cells: Bits;
  count: number;
  shown: boolean;
}

/** Which group's colour each cell is drawn in. */
export interface Marks {
  /** By place: 0 for none, else one more than the number in `colors`. */
  codes: Uint8Array<ArrayBuffer>;
  colors: string[];
}
