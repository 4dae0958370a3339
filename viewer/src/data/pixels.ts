/** Pixels as the server sends them, as a person reads them, and as the GPU takes them. */

export type Native =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

export type GpuPixels = Uint8Array | Uint16Array | Uint32Array | Int8Array | Int16Array | Int32Array | Float32Array;

/** Viv's names of what a texture can hold. */
export type GpuType = "Uint8" | "Uint16" | "Uint32" | "Int8" | "Int16" | "Int32" | "Float32";

interface Dtype {
  bytes: number;
  gpu: GpuType;
  view: (buffer: ArrayBuffer) => Native;
}

/** Half floats have no array of their own in every browser, so their bits are kept; `valueAt` reads them. */
const DTYPES: Record<string, Dtype> = {
  bool: { bytes: 1, gpu: "Uint8", view: (b) => new Uint8Array(b) },
  uint8: { bytes: 1, gpu: "Uint8", view: (b) => new Uint8Array(b) },
  uint16: { bytes: 2, gpu: "Uint16", view: (b) => new Uint16Array(b) },
  uint32: { bytes: 4, gpu: "Uint32", view: (b) => new Uint32Array(b) },
  uint64: { bytes: 8, gpu: "Float32", view: (b) => new BigUint64Array(b) },
  int8: { bytes: 1, gpu: "Int8", view: (b) => new Int8Array(b) },
  int16: { bytes: 2, gpu: "Int16", view: (b) => new Int16Array(b) },
  int32: { bytes: 4, gpu: "Int32", view: (b) => new Int32Array(b) },
  int64: { bytes: 8, gpu: "Float32", view: (b) => new BigInt64Array(b) },
  float16: { bytes: 2, gpu: "Float32", view: (b) => new Uint16Array(b) },
  float32: { bytes: 4, gpu: "Float32", view: (b) => new Float32Array(b) },
  float64: { bytes: 8, gpu: "Float32", view: (b) => new Float64Array(b) },
};

/** Whether pixels of this kind can be drawn; complex numbers and records cannot. */
export function drawable(dtype: string): boolean {
  return Object.hasOwn(DTYPES, dtype);
}

function known(dtype: string): Dtype {
  const found = Object.hasOwn(DTYPES, dtype) ? DTYPES[dtype] : undefined;
  if (!found) throw new Error(`Pixels of type ${dtype} cannot be drawn`);
  return found;
}

export const bytesOf = (dtype: string): number => known(dtype).bytes;
export const gpuType = (dtype: string): GpuType => known(dtype).gpu;
export const nativeView = (buffer: ArrayBuffer, dtype: string): Native => known(dtype).view(buffer);

/** IEEE 754 binary16, given its bits. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** One pixel's value as the file holds it. */
export function valueAt(pixels: Native, index: number, dtype: string): number | bigint {
  const value = pixels[index] as number | bigint;
  return dtype === "float16" ? fromHalf(Number(value)) : value;
}

/** What a texture takes; the same array where nothing needs to change. */
export function toGpu(pixels: Native, dtype: string): GpuPixels {
  if (dtype === "float16") return Float32Array.from(pixels as Uint16Array, fromHalf);
  if (pixels instanceof BigInt64Array || pixels instanceof BigUint64Array) {
    const out = new Float32Array(pixels.length);
    for (let i = 0; i < out.length; i += 1) out[i] = Number(pixels[i]);
    return out;
  }
  return pixels instanceof Float64Array ? new Float32Array(pixels) : pixels;
}

/** Label ids; what does not fit 32 bits keeps its lowest 32. */
export function toIds(pixels: Native): Uint32Array {
  if (pixels instanceof Uint32Array) return pixels;
  if (pixels instanceof BigInt64Array || pixels instanceof BigUint64Array) {
    const out = new Uint32Array(pixels.length);
    for (let i = 0; i < out.length; i += 1) out[i] = Number(BigInt.asUintN(32, pixels[i] as bigint));
    return out;
  }
  return Uint32Array.from(pixels);
}

/** The window over which a channel of this type can spread; null where only the pixels can tell. */
export function typeRange(dtype: string): [number, number] | null {
  if (dtype === "bool") return [0, 1];
  const found = /^(u?)int(8|16|32)$/.exec(dtype);
  if (!found) return null;
  const bits = Number(found[2]);
  return found[1] ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
}
