/** Names of the selected cells: only the blocks that hold some are asked for. */

import { getJson } from "../../api/client";
import { isCellNames } from "../../api/shapes";
import type { CellNames } from "../../api/types";
import { type Bits, members } from "../../data/bits";
import { addressOf } from "../../state/actions";

/** What the server gives in one answer. */
export const BLOCK = 65_536;

export async function namesOf(cells: Bits, signal?: AbortSignal): Promise<string[]> {
  const names: string[] = [];
  let block: CellNames = { start: -1, names: [] };
  for (const cell of members(cells)) {
    const start = Math.floor(cell / BLOCK) * BLOCK;
    if (block.start !== start) {
      block = await getJson<CellNames>(
        addressOf(`cells/names.json?start=${start}&stop=${start + BLOCK}`),
        signal,
        isCellNames,
      );
    }
    names.push(block.names[cell - start] ?? String(cell));
  }
  return names;
}

/** One name a line, for a file of the browser's own. */
export function saveLines(lines: string[], name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/plain" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
