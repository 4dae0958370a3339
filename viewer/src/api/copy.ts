/**
 * A copy of a data set on a plain web host: files, and nobody who answers questions (`coverslip prepare --static`).
 *
 * The files are called as the server's answers are; what a query asks for has a name of its own, and what is told of
 * each cell is kept in blocks. Arrays are gzip files, which a host may have inflated on the way.
 */

import { ApiError } from "./client";

/** Cells told of in one file. */
export const CELLS_AT_ONCE = 4096;
const CELL = /(^|\/)cells\/(\d+)\.json$/;
const NAMES = /(^|\/)cells\/names\.json\?start=(\d+)&stop=\d+$/;
const ASKS = /(^|\/)(api|analysis)\/|(^|\/)gene_index\.json/;

/** The file that holds an answer; null where only a server knows it. */
export function fileOf(url: string, method = "GET"): string | null {
  if (method !== "GET") return null;
  if (url === "_cellucid/health") return "_cellucid/datasets";
  const names = NAMES.exec(url);
  if (names) return url.replace(NAMES, `${names[1]}cells/names-${names[2]}.json`);
  const cell = CELL.exec(url);
  if (cell) return url.replace(CELL, `${cell[1]}cells/at-${Number(cell[2]) - (Number(cell[2]) % CELLS_AT_ONCE)}.json`);
  return ASKS.test(url) || url.includes("?") ? null : url;
}

/** The part of a file that was asked for. */
export function partOf(url: string, body: unknown): unknown {
  const cell = CELL.exec(url);
  return cell && Array.isArray(body) ? (body as unknown[])[Number(cell[2]) % CELLS_AT_ONCE] : body;
}

export function noServer(): ApiError {
  const hint = "This page is a copy of files; open the data with `coverslip serve` for this.";
  return new ApiError("no_server", "There is no coverslip server behind this page", hint, 0);
}

/** The answer with its body inflated, where the host gives it as the gzip file that it is. */
export async function inflated(response: Response): Promise<Response> {
  const reader = response.body?.getReader();
  if (!reader) return response;
  const first = await reader.read();
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(out) {
      if (first.value) out.enqueue(first.value);
      if (first.done) out.close();
    },
    async pull(out) {
      const { done, value } = await reader.read();
      if (done) out.close();
      else out.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
  const [a, b, c] = first.value ?? [];
  const packed = a === 0x1f && b === 0x8b && c === 8;
  const headers = { "Content-Type": response.headers.get("Content-Type") ?? "" };
  return new Response(packed ? body.pipeThrough(new DecompressionStream("gzip")) : body, { headers });
}
