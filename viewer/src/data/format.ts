/** Numbers and names as people read them. */

export function count(n: number): string {
  return n.toLocaleString("en-US");
}

export function counted(n: number, one: string): string {
  return `${count(n)} ${one}${n === 1 ? "" : "s"}`;
}

/** Four significant digits; whole numbers whole. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return count(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2);
  return Number(value.toPrecision(4)).toString();
}

/** Shortened in the middle, where names of one series are alike least often at the ends. */
export function shorten(name: string, longest: number): string {
  const signs = name.length <= longest ? [] : [...name];
  if (signs.length <= longest) return name;
  const tail = Math.floor((longest - 1) / 3);
  return `${signs.slice(0, longest - 1 - tail).join("")}…${signs.slice(signs.length - tail).join("")}`;
}
