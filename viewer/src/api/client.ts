/** Fetching from the server that served the page; every failure becomes one `ApiError`. */

import { refusalIn } from "./refusal";
import { anything, type Is } from "./shape";

export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly hint: string,
    readonly status: number,
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** The server cannot be reached, rather than refuses. */
  get offline(): boolean {
    return this.code === "offline";
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** What browsers say when a part of the page does not come. */
export const NO_PART = /dynamically imported module|Importing a module|preload/i;
const PART_HINT =
  "The server does not answer, or it was updated since this tab was opened. Try again, or reload the page.";

export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (NO_PART.test(message)) {
    return new ApiError("page_missing", "A part of this page could not be loaded", PART_HINT, 0);
  }
  return new ApiError("unexpected", message, "Reload the page; if it happens again, report it.", 0);
}

async function refusal(response: Response): Promise<ApiError> {
  const fallback = new ApiError("http_error", `The server answered ${response.status}`, "Try again.", response.status);
  try {
    const told = refusalIn(await response.json());
    if (!told) return fallback;
    const { code = fallback.code, message = fallback.message, hint = fallback.hint } = told;
    return new ApiError(code, message, hint, response.status);
  } catch {
    return fallback;
  }
}

type OnLocked = () => void;
let onLocked: OnLocked = () => undefined;

/** Whom to tell that the server no longer takes this page's cookie. */
export function whenLocked(tell: OnLocked): void {
  onLocked = tell;
}

/** Whether this page is a copy on a plain web host, with files instead of a server. */
export function isCopy(): boolean {
  return document.documentElement.dataset.copy !== undefined;
}

const early = new Map<string, Promise<Response>>();

/** Asks already now for what will be wanted from this address next; call the answer to forget it. */
export function askAhead(url: string): () => void {
  const asked = fetch(url, { credentials: "same-origin" });
  asked.catch(() => undefined);
  early.set(url, asked);
  return () => {
    if (early.get(url) === asked) early.delete(url);
  };
}

/** An answer that is no refusal; its body is the caller's. `how` says what is sent, where anything is. */
export async function getResponse(url: string, signal?: AbortSignal, how: RequestInit = {}): Promise<Response> {
  if (!isCopy()) return ask(url, signal, how);
  const copy = await import("./copy");
  const file = copy.fileOf(url, how.method);
  if (file === null) throw copy.noServer();
  return copy.inflated(await ask(file, signal, how));
}

async function ask(url: string, signal: AbortSignal | undefined, how: RequestInit): Promise<Response> {
  const asked = early.get(url);
  early.delete(url);
  let response: Response;
  try {
    response = await (asked ?? fetch(url, { ...how, ...(signal ? { signal } : {}), credentials: "same-origin" }));
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(
      "offline",
      "The server does not answer",
      "Is it still running? This page reconnects by itself.",
      0,
    );
  }
  if (response.ok) return response;
  if (response.status === 401) onLocked();
  throw await refusal(response);
}

/** Sends JSON and reads nothing but whether it was taken. */
export async function post(url: string, body: unknown): Promise<void> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      credentials: "same-origin",
    });
  } catch {
    throw new ApiError("offline", "The server does not answer", "Is it still running? Try again.", 0);
  }
  if (!response.ok) throw await refusal(response);
}

/** A JSON document that looks as it has to; `is` tells. */
export async function getJson<T>(url: string, signal?: AbortSignal, is: Is = anything): Promise<T> {
  return (await getAnswer<T>(url, signal, is)).body;
}

/** What was read of an answer, where it looks as it has to. */
export function believed<T>(body: unknown, is: Is, status: number): T {
  if (!is(body)) throw badAnswer(status);
  return body as T;
}

/** The JSON of an answer, where it looks as it has to. */
export async function bodyOf<T>(response: Response, is: Is): Promise<T> {
  try {
    return believed<T>(await response.json(), is, response.status);
  } catch (error) {
    if (isAbort(error) || error instanceof ApiError) throw error;
    throw badAnswer(response.status);
  }
}

export function badAnswer(status = 0): ApiError {
  return new ApiError("bad_answer", "The server's answer could not be read", "Reload the page.", status);
}

/** A JSON document together with its headers. */
export async function getAnswer<T>(
  url: string,
  signal?: AbortSignal,
  is: Is = anything,
): Promise<{ body: T; headers: Headers }> {
  const response = await getResponse(url, signal);
  try {
    const whole: unknown = await response.json();
    const body = isCopy() ? (await import("./copy")).partOf(url, whole) : whole;
    return { body: believed<T>(body, is, response.status), headers: response.headers };
  } catch (error) {
    if (isAbort(error) || error instanceof ApiError) throw error;
    throw badAnswer(response.status);
  }
}

/** `bytes` is the whole body's, of which the first `received` have come. */
export type OnProgress = (received: number, total: number, bytes: Uint8Array<ArrayBuffer>) => void;

/** A binary body of exactly `expected` bytes. */
export async function getBytes(
  url: string,
  expected: number,
  signal?: AbortSignal,
  onProgress?: OnProgress,
): Promise<ArrayBuffer> {
  const response = await getResponse(url, signal);
  const bytes = room(expected);
  let received = 0;
  try {
    const reader = response.body?.getReader();
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      if (received + part.value.length > expected) throw wrongLength(url, received + part.value.length, expected);
      bytes.set(part.value, received);
      received += part.value.length;
      onProgress?.(received, expected, bytes);
    }
  } catch (error) {
    if (isAbort(error) || error instanceof ApiError) throw error;
    throw new ApiError("offline", "The connection broke off", "Is the server still running? Retry.", 0);
  }
  if (received !== expected) throw wrongLength(url, received, expected);
  return bytes.buffer;
}

function room(bytes: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(bytes);
  } catch {
    const hint = "Open it on a machine with more memory, or a part of it.";
    throw new ApiError("too_large", `No array of ${bytes.toLocaleString("en")} bytes fits into this browser`, hint, 0);
  }
}

function wrongLength(url: string, received: number, expected: number): ApiError {
  const name = url.split("?")[0] ?? url;
  return new ApiError(
    "wrong_length",
    `${name} has ${received.toLocaleString("en")} bytes, not ${expected.toLocaleString("en")}`,
    "The data may have changed; reload the page.",
    0,
  );
}
