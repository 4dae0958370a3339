/** How many cells in each bin or category pass the filters of other fields, kept true while something shows it. */

import { useEffect } from "react";
import { watch } from "../state/filters";
import { useModel } from "../state/store";

/** Null while there is no filter, and until it is known. */
export function useCounts(column: string | undefined): Uint32Array | null {
  const some = useModel((s) => s.filters.length > 0);
  const counts = useModel((s) => (column === undefined ? undefined : s.counts[column]));
  useEffect(() => (some && column !== undefined ? watch(column) : undefined), [some, column]);
  return some ? (counts ?? null) : null;
}
