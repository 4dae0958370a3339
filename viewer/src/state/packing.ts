/** Sets of cells as text: base64 of the bits, deflated where the browser can. See docs/reference/session.md. */

import { type Bits, bitsFor, size } from "../data/bits";

export interface Packed {
  bits: string;
  encoding: "base64" | "base64+deflate";
  count: number;
}

function bytesOf(cells: Bits, n: number): Uint8Array<ArrayBuffer> {
  // Every machine that runs a browser has the lowest byte first.
  return new Uint8Array(cells.buffer, cells.byteOffset, cells.byteLength).slice(0, Math.ceil(n / 8));
}

const CHUNK = 0x8000;

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(text);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

async function through(
  bytes: Uint8Array<ArrayBuffer>,
  stream: GenericTransformStream,
): Promise<Uint8Array<ArrayBuffer>> {
  const out = new Blob([bytes])
    .stream()
    .pipeThrough(stream as ReadableWritablePair<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>);
  return new Uint8Array(await new Response(out).arrayBuffer());
}

export async function pack(cells: Bits, n: number): Promise<Packed> {
  const bytes = bytesOf(cells, n);
  const count = size(cells);
  if (typeof CompressionStream === "undefined") return { bits: toBase64(bytes), encoding: "base64", count };
  const small = await through(bytes, new CompressionStream("deflate"));
  return { bits: toBase64(small), encoding: "base64+deflate", count };
}

/** A set of n cells from ceil(n / 8) bytes. */
export function fromBytes(bytes: Uint8Array, n: number): Bits {
  const cells = bitsFor(n);
  new Uint8Array(cells.buffer).set(bytes);
  // Bits after the last cell are nobody's.
  if (n % 32 !== 0) cells[cells.length - 1] = (cells[cells.length - 1] as number) & ((1 << (n % 32)) - 1);
  return cells;
}

/** The set again; throws words for a person when it is not one of n cells. */
export async function unpack(packed: unknown, n: number, what: string): Promise<Bits> {
  const { bits, encoding, count } = (packed ?? {}) as Partial<Packed>;
  if (typeof bits !== "string") throw new Error(`${what} has no cells in it`);
  if (encoding !== "base64" && encoding !== "base64+deflate") throw new Error(`${what} is stored in an unknown way`);
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = fromBase64(bits);
    if (encoding === "base64+deflate") bytes = await inflated(bytes, Math.ceil(n / 8));
  } catch {
    throw new Error(`${what} is damaged`);
  }
  if (bytes.length !== Math.ceil(n / 8)) throw new Error(`${what} is of another number of cells`);
  const cells = fromBytes(bytes, n);
  if (count !== undefined && count !== size(cells)) throw new Error(`${what} is damaged`);
  return cells;
}

/** Never more than one byte beyond what is expected: a small file must not fill the memory. */
async function inflated(bytes: Uint8Array<ArrayBuffer>, expected: number): Promise<Uint8Array<ArrayBuffer>> {
  const source = new Blob([bytes]).stream();
  const stream = source.pipeThrough(
    new DecompressionStream("deflate") as ReadableWritablePair<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>,
  );
  const out = new Uint8Array(expected);
  let at = 0;
  const reader = stream.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    if (at + part.value.length > expected) throw new Error("too long");
    out.set(part.value, at);
    at += part.value.length;
  }
  return out.subarray(0, at);
}
