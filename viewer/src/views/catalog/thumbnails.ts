/** Small pictures: a few at a time, from the top, none for what has left the screen. */

import { ApiError, getResponse } from "../../api/client";

/** Fewer than the connections a browser keeps to one server, so that lists never wait for pictures. */
const AT_ONCE = 4;
const HOLD_MS = 150;
/** Pictures kept for scrolling back. */
const KEPT = 400;

interface Wish {
  url: string;
  signal: AbortSignal;
  resolve: (picture: string) => void;
  reject: (error: unknown) => void;
}

const waiting: Wish[] = [];
let running = 0;
/** Object URLs by address, the oldest first. */
const kept = new Map<string, string>();
/** What the server has no picture of. */
const without = new Set<string>();

/** An address for `img`; rejects with the server's `ApiError`, or an abort. */
export function picture(url: string, signal: AbortSignal): Promise<string> {
  const known = kept.get(url);
  if (known !== undefined) {
    kept.delete(url);
    kept.set(url, known);
    return Promise.resolve(known);
  }
  return new Promise((resolve, reject) => {
    const wish = { url, signal, resolve, reject };
    waiting.push(wish);
    signal.addEventListener("abort", () => {
      const at = waiting.indexOf(wish);
      if (at >= 0) waiting.splice(at, 1);
      reject(new DOMException("no longer in sight", "AbortError"));
    });
    next();
  });
}

export function hasNone(url: string): boolean {
  return without.has(url);
}

let held = false;
let release: ReturnType<typeof setTimeout> | undefined;

/** Fetch nothing for a moment: what flies past now is not looked at, and scrolling needs the time. */
export function hold(): void {
  held = true;
  clearTimeout(release);
  release = setTimeout(() => {
    held = false;
    next();
  }, HOLD_MS);
}

function next(): void {
  while (running < AT_ONCE && !held) {
    const wish = waiting.shift();
    if (!wish) return;
    running += 1;
    fetchPicture(wish.url, wish.signal)
      .then(wish.resolve, wish.reject)
      .finally(() => {
        running -= 1;
        next();
      });
  }
}

async function fetchPicture(url: string, signal: AbortSignal): Promise<string> {
  try {
    const response = await getResponse(url, signal);
    return keep(url, URL.createObjectURL(await response.blob()));
  } catch (error) {
    if (error instanceof ApiError && error.code === "no_thumbnail") without.add(url);
    throw error;
  }
}

function keep(url: string, object: string): string {
  kept.set(url, object);
  for (const [oldest, old] of kept) {
    if (kept.size <= KEPT) break;
    kept.delete(oldest);
    URL.revokeObjectURL(old);
  }
  return object;
}
