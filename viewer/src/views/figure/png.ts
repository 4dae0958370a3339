/** What a PNG says of itself: how large it is on paper, and where it comes from. Source: PNG specification, third edition. */

const SIGNATURE = 8;
const INCH_M = 0.0254;

let table: Uint32Array | null = null;

function crcTable(): Uint32Array {
  if (table) return table;
  table = new Uint32Array(256);
  for (let n = 0; n < 256; n += 1) {
    let c = n;
    for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    table[n] = c >>> 0;
  }
  return table;
}

export function crc32(bytes: Uint8Array): number {
  const known = crcTable();
  let c = 0xffffffff;
  for (const byte of bytes) c = (known[(c ^ byte) & 0xff] as number) ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

function chunk(type: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(12 + data.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i += 1) out[4 + i] = type.charCodeAt(i);
  out.set(data, 8);
  view.setUint32(8 + data.length, crc32(out.subarray(4, 8 + data.length)));
  return out;
}

function resolution(dpi: number): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(9);
  const perMetre = Math.round(dpi / INCH_M);
  const view = new DataView(data.buffer);
  view.setUint32(0, perMetre);
  view.setUint32(4, perMetre);
  data[8] = 1;
  return chunk("pHYs", data);
}

/** International text: keyword, not compressed, no language, UTF-8. */
function text(keyword: string, words: string): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const [key, value] = [encoder.encode(keyword), encoder.encode(words)];
  const data = new Uint8Array(key.length + 5 + value.length);
  data.set(key);
  data.set(value, key.length + 5);
  return chunk("iTXt", data);
}

/** The same picture with its resolution and texts behind its header. */
export function labelled(png: Uint8Array, dpi: number, texts: Record<string, string>): Uint8Array<ArrayBuffer> {
  const header = SIGNATURE + 12 + new DataView(png.buffer, png.byteOffset).getUint32(SIGNATURE);
  const added = [resolution(dpi), ...Object.entries(texts).map(([key, words]) => text(key, words))];
  const out = new Uint8Array(png.length + added.reduce((sum, { length }) => sum + length, 0));
  out.set(png.subarray(0, header));
  let at = header;
  for (const one of added) {
    out.set(one, at);
    at += one.length;
  }
  out.set(png.subarray(header), at);
  return out;
}
