import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { followIndex, indexWords } from "./indexing";
import { get, set } from "./store";

const answers: { state: string; share: number }[] = [];
const asked: string[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  answers.length = 0;
  asked.length = 0;
  set({ color: { kind: "gene", index: 0, key: "CD3E", expression: "layer:a b" } });
  vi.stubGlobal("fetch", async (url: string) => {
    asked.push(String(url));
    const told = answers.shift() ?? { state: "ready", share: 1 };
    return new Response(JSON.stringify({ expression: "X", message: null, ...told }));
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  set({ color: { kind: "none" } });
});

test("tells the share until the index is ready, then nothing", async () => {
  answers.push({ state: "waiting", share: 0 }, { state: "building", share: 0.43 });
  const done = followIndex((rest) => `/d/${rest}`, "layer:a b");
  await vi.advanceTimersByTimeAsync(500);
  expect(get().indexing).toBe(0);
  await vi.advanceTimersByTimeAsync(1000);
  expect(get().indexing).toBe(0.43);
  expect(indexWords(0.43)).toBe("gene index 43 %");
  await vi.advanceTimersByTimeAsync(1000);
  await done;
  expect(get().indexing).toBeNull();
  expect(asked).toHaveLength(3);
  expect(asked[0]).toContain("gene_index.json?expression=layer%3Aa%20b");
});

test("asks no more once something else is shown", async () => {
  answers.push(...Array.from({ length: 9 }, () => ({ state: "building", share: 0.1 })));
  const done = followIndex((rest) => `/d/${rest}`, "X");
  await vi.advanceTimersByTimeAsync(500);
  set({ color: { kind: "none" } });
  await vi.advanceTimersByTimeAsync(1000);
  await done;
  expect(asked).toHaveLength(1);
  expect(get().indexing).toBeNull();
});

test("a server that does not answer is no error", async () => {
  vi.stubGlobal("fetch", async () => {
    throw new TypeError("no network");
  });
  await followIndex((rest) => `/d/${rest}`, "X");
  expect(get().indexing).toBeNull();
});
