/** Sets of cells: bit i of word i / 32 is cell i. */

export type Bits = Uint32Array<ArrayBuffer>;

export function bitsFor(n: number): Bits {
  return new Uint32Array(Math.ceil(n / 32));
}

export function has(bits: Bits, i: number): boolean {
  return (((bits[i >>> 5] as number) >>> (i & 31)) & 1) === 1;
}

export function put(bits: Bits, i: number): void {
  bits[i >>> 5] = (bits[i >>> 5] as number) | (1 << (i & 31));
}

export function drop(bits: Bits, i: number): void {
  bits[i >>> 5] = (bits[i >>> 5] as number) & ~(1 << (i & 31));
}

export function size(bits: Bits): number {
  let sum = 0;
  for (let word of bits) {
    word -= (word >>> 1) & 0x55555555;
    word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
    sum += Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return sum;
}

/** The members, in order; at most `most` of them. */
export function members(bits: Bits, most = Number.POSITIVE_INFINITY): number[] {
  const found: number[] = [];
  for (let word = 0; word < bits.length && found.length < most; word += 1) {
    for (let rest = bits[word] as number; rest !== 0 && found.length < most; rest = (rest & (rest - 1)) >>> 0) {
      found.push(word * 32 + 31 - Math.clz32(rest & -rest));
    }
  }
  return found;
}

function joined(a: Bits, b: Bits, join: (a: number, b: number) => number): Bits {
  const out = a.slice();
  for (let word = 0; word < out.length; word += 1) out[word] = join(a[word] as number, b[word] ?? 0);
  return out;
}

/** Cells of either set. */
export function union(a: Bits, b: Bits): Bits {
  return joined(a, b, (x, y) => x | y);
}

/** Cells of both sets. */
export function intersection(a: Bits, b: Bits): Bits {
  return joined(a, b, (x, y) => x & y);
}

/** Cells of the first set that are not in the second. */
export function difference(a: Bits, b: Bits): Bits {
  return joined(a, b, (x, y) => x & ~y);
}

/** All other cells of n. */
export function complement(bits: Bits, n: number): Bits {
  const out = bitsFor(n);
  for (let word = 0; word < out.length; word += 1) out[word] = ~(bits[word] ?? 0);
  if (n % 32 !== 0) out[out.length - 1] = (out[out.length - 1] as number) & ((1 << (n % 32)) - 1);
  return out;
}
