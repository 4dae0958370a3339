/** What a filter keeps, in a few words. */

import { counted, number } from "../../data/format";
import { type ColumnInfo, type Filter, restricts } from "../../state/filters";

export function titleOf({ by }: Filter): string {
  return by.kind === "cells" ? by.name : by.of.key;
}

/** As a person would say it: "3 of 10 groups", "1.5 or more", "all but 24 selected cells". */
export function keptWords(filter: Filter, info: ColumnInfo | undefined): string {
  const { by } = filter;
  if (by.kind === "cells") return by.inside ? "only these" : "all but these";
  if (!restricts(filter)) return "all values";
  if (by.kind === "category") return groupWords(by.hidden, info);
  const { min, max, missing } = by;
  const some = info?.kind !== "continuous" || info.summary.missing > 0;
  const tail = missing && some ? " or missing" : "";
  if (min === null && max === null) return "with a value";
  if (max === null) return `${number(min ?? 0)} or more${tail}`;
  if (min === null) return `up to ${number(max)}${tail}`;
  return `${number(min)} to ${number(max)}${tail}`;
}

function groupWords(hidden: Uint8Array, info: ColumnInfo | undefined): string {
  const field = info?.kind === "category" ? info.field : null;
  const total = hidden.length - 1 + (field && field.n_missing > 0 ? 1 : 0);
  const codes = Array.from({ length: total }, (_, code) => code);
  const kept = codes.filter((code) => !hidden[code]);
  const nameOf = (code: number) => field?.categories[code] ?? "missing";
  if (field && kept.length === 1) return nameOf(kept[0] as number);
  if (field && total - kept.length === 1) return `not ${nameOf(codes.find((code) => hidden[code]) as number)}`;
  return `${kept.length} of ${counted(total, "group")}`;
}
