/** Tables as files, and tables sorted. */

export type Value = string | number | boolean | null;

/** What a spreadsheet takes for a formula, which may send or start something; `-1` and `+` are names. */
const FORMULA = /^(?:[=@\t\r]|[+-].*[(!|])/s;

/** As RFC 4180 asks; numbers with all their digits, nothing where there is no number; a `'` before formulas. */
export function toCsv(heads: readonly string[], rows: Iterable<readonly Value[]>): string {
  const lines = [heads.map(cell).join(",")];
  for (const row of rows) lines.push(row.map(cell).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

function cell(value: Value): string {
  if (value === null || (typeof value === "number" && Number.isNaN(value))) return "";
  const text = typeof value === "string" && FORMULA.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Numbers of rows in order of a key; those without one come last, whichever way. */
export function sortedBy(n: number, key: (row: number) => string | number | null, down: boolean): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  const keys = Array.from(order, key);
  const sign = down ? -1 : 1;
  const nothing = (value: string | number | null | undefined) =>
    value === null || value === undefined || Number.isNaN(value);
  return order.sort((i, j) => {
    const [a, b] = [keys[i], keys[j]];
    if (nothing(a) || nothing(b)) return Number(nothing(a)) - Number(nothing(b)) || i - j;
    if (typeof a === "string" || typeof b === "string") return sign * String(a).localeCompare(String(b), "en") || i - j;
    return sign * (Number(a) - Number(b)) || i - j;
  });
}

/** A name that every file system takes. */
export function fileName(...parts: string[]): string {
  const clean = parts.join(" ").replace(/[^\p{L}\p{N}.+-]+/gu, "-");
  return clean.replace(/^[-.]+|[-.]+$/g, "").slice(0, 100) || "table";
}
