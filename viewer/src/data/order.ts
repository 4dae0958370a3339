/**
 * The order in which cells are drawn: place p holds cell (p * step) mod n.
 *
 * With a step near n / golden ratio, every prefix is an even sample of the file, so a part of the cells stands for all of
 * them, and no group lies on top only because it comes last in the file. Nothing has to be stored.
 */

const GOLDEN = 0.6180339887498949;

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

export function stepOf(n: number): number {
  if (n < 3) return 1;
  let step = Math.max(1, Math.round(n * GOLDEN));
  while (gcd(step, n) !== 1) step += 1;
  return step % n || 1;
}

/** Moves every cell's `width` numbers to the cell's place. */
export function permute(values: ArrayLike<number>, n: number, width: number, out: Float32Array): Float32Array {
  const step = stepOf(n);
  for (let place = 0, cell = 0; place < n; place += 1) {
    for (let k = 0; k < width; k += 1) out[place * width + k] = values[cell * width + k] as number;
    cell += step;
    if (cell >= n) cell -= n;
  }
  return out;
}

/** The cell that is drawn at a place. Exact up to 90 million cells (place * step < 2^53). */
export function cellAt(place: number, n: number): number {
  return (place * stepOf(n)) % n;
}

/** How many steps make one: the step's inverse modulo n. */
function backStep(n: number): number {
  let [a, b, x, y] = [stepOf(n), n, 1, 0];
  while (b !== 0) {
    const q = Math.floor(a / b);
    [a, b, x, y] = [b, a - q * b, y, x - q * y];
  }
  return ((x % n) + n) % n;
}

/** The place at which a cell is drawn. */
export function placeOf(cell: number, n: number): number {
  return n < 2 ? 0 : (cell * backStep(n)) % n;
}
