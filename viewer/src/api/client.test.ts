import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiError, askAhead, getBytes, getJson, isAbort } from "./client";

function answer(response: Response | Error): void {
  vi.stubGlobal("fetch", () => (response instanceof Error ? Promise.reject(response) : Promise.resolve(response)));
}

async function failure(work: Promise<unknown>): Promise<ApiError> {
  const error = await work.then(
    () => null,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
}

afterEach(() => vi.unstubAllGlobals());

describe("fetching", () => {
  it("tells the server's own error", async () => {
    const body = { error: { code: "damaged", message: "X is damaged", hint: "Copy it again." } };
    answer(new Response(JSON.stringify(body), { status: 502 }));
    const error = await failure(getJson("x"));
    expect([error.code, error.message, error.hint, error.status]).toEqual([
      "damaged",
      "X is damaged",
      "Copy it again.",
      502,
    ]);
  });

  it("makes an error of a page that is no JSON", async () => {
    answer(new Response("<html>proxy says no", { status: 504 }));
    expect((await failure(getJson("x"))).code).toBe("http_error");
  });

  it("knows a server that is gone", async () => {
    answer(new TypeError("Failed to fetch"));
    expect((await failure(getJson("x"))).offline).toBe(true);
  });

  it("uses what was asked ahead once, unless it was forgotten", async () => {
    let asked = 0;
    vi.stubGlobal("fetch", async () => Response.json(++asked));
    askAhead("x");
    expect([await getJson("x"), await getJson("x"), asked]).toEqual([1, 2, 2]);
    askAhead("x")();
    expect([await getJson("x"), asked]).toEqual([4, 4]);
    answer(new TypeError("Failed to fetch"));
    askAhead("x");
    expect((await failure(getJson("x"))).offline).toBe(true);
  });

  it("lets an abort through as an abort", async () => {
    answer(new DOMException("stop", "AbortError"));
    const error = await getJson("x").catch((e: unknown) => e);
    expect(isAbort(error)).toBe(true);
  });

  it("returns exactly the bytes, and tells how far it is", async () => {
    answer(new Response(new Uint8Array([1, 2, 3, 4])));
    const seen: number[] = [];
    const bytes = await getBytes("x", 4, undefined, (received) => seen.push(received));
    expect(Array.from(new Uint8Array(bytes))).toEqual([1, 2, 3, 4]);
    expect(seen.at(-1)).toBe(4);
  });

  it.each([3, 5])("refuses %i bytes where 4 were promised", async (n) => {
    answer(new Response(new Uint8Array(n)));
    expect((await failure(getBytes("points.bin?x=1", 4))).code).toBe("wrong_length");
  });
});
