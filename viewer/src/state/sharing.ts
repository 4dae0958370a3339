/** What a link to the view does not hold. */

import { count, counted } from "../data/format";
import { writeAddress } from "./actions";
import { linkedFilters } from "./filterlink";
import { get, MOST_LINKED, type Model } from "./store";

function joined(words: string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** A sentence on what is in session files only; empty when the link holds everything. */
export function leftOut({ groups, filters, identity, selection, scores }: Model): string {
  const { left } = linkedFilters(filters, identity);
  const words: string[] = [];
  if (groups.length > 0) words.push(counted(groups.length, "group"));
  if (scores.length > 0) words.push(counted(scores.length, "score"));
  if (left > 0) words.push(counted(left, "filter"));
  if (selection && selection.count > MOST_LINKED) words.push(`the selection of ${count(selection.count)} cells`);
  if (words.length === 0) return "";
  const one = words.length === 1 && groups.length + left + scores.length <= 1;
  return `${joined(words)} ${one ? "is" : "are"} only in the session file. Save it (S) to pass ${one ? "it" : "them"} on.`;
}

/** Brings the address up to date, and says what a link to it does not hold. */
export function shareNow(): string {
  writeAddress();
  return leftOut(get());
}
