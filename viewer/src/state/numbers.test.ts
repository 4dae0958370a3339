/** Numbers of many cells, shown while they come. */

import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Identity } from "../api/types";
import { MISSING, type Summary, summarise } from "../data/points";
import type { Task } from "../data/worker";
import { fetchNumbers, MANY } from "./arrival";
import { type Painted, set } from "./store";

const N = MANY;
const PIECE = 50_000;

const ran = vi.hoisted(() => [] as unknown[]);
vi.mock("./crew", () => ({
  addressOf: (url: string) => `data/${url}`,
  crewOf: () => ({
    run: async (task: { bytes: ArrayBuffer }) => {
      ran.push(task);
      return { summary: summarise(new Float32Array(task.bytes)), values: new Float32Array(task.bytes) };
    },
  }),
}));

const numbers = Float32Array.from({ length: N }, (_, i) => (i % 1000 === 7 ? Number.NaN : i));
let asked = "";
let clock = 0;
let pieceMs = 0;

/** A body in pieces, each of which takes `pieceMs`. */
function slowly(): ReadableStream<Uint8Array> {
  const bytes = new Uint8Array(numbers.slice().buffer);
  let at = 0;
  return new ReadableStream({
    pull(stream) {
      clock += pieceMs;
      stream.enqueue(bytes.slice(at, at + PIECE * 4));
      at += PIECE * 4;
      if (at >= bytes.length) stream.close();
    },
  });
}

beforeEach(() => {
  ran.length = 0;
  vi.stubGlobal("fetch", async (url: string) => {
    asked = url;
    return new Response(slowly());
  });
  vi.spyOn(performance, "now").mockImplementation(() => clock);
  set({ identity: { stats: { n_cells: N, n_genes: 0 }, orders: ["drawn"] } as unknown as Identity });
});

const named = { key: "gene:Q", title: "Q", column: "gene:X:1" };
type Numbers = Extract<Painted, { kind: "continuous" }>;

async function fetched(url = "genes/1.values.f32?expression=X") {
  const shown: { arrived: number | undefined; column: string | undefined; summary: Summary; first: number[] }[] = [];
  const shares: number[] = [];
  const all = (await fetchNumbers(
    url,
    named,
    new AbortController().signal,
    (now) => {
      const { arrived, column, summary, values } = now as Numbers;
      shown.push({ arrived, column, summary, first: [...values.slice(6, 9)] });
    },
    (share) => shares.push(share),
  )) as Numbers;
  return { all, shown, shares };
}

describe("numbers of many cells", () => {
  it("are shown while they come, and are complete at last", async () => {
    pieceMs = 100;
    const { all, shown, shares } = await fetched();
    expect(asked).toBe("data/genes/1.values.f32?expression=X&order=drawn");
    expect(shown.map(({ arrived }) => arrived)).toEqual([100_000]);
    expect(shown[0]?.summary).toMatchObject({ min: 0, max: 99_999, missing: 100 });
    expect(shown[0]?.first).toEqual([6, Math.fround(MISSING), 8]);
    // The worker has them at last, and filters can go by them.
    expect(shown[0]?.column).toBeUndefined();
    expect(all.arrived).toBeUndefined();
    expect(all.column).toBe(named.column);
    expect(all.summary).toMatchObject({ min: 0, max: N - 1, missing: N / 1000 });
    expect(all.values.every((v, i) => v === (i % 1000 === 7 ? Math.fround(MISSING) : i))).toBe(true);
    expect(shares.at(-1)).toBe(1);
    expect(ran).toHaveLength(1);
    expect(ran[0] as Task).toMatchObject({ kind: "column", drawn: true, column: named.column, categories: null });
  });

  it("that come quickly are shown once", async () => {
    pieceMs = 1;
    const { all, shown } = await fetched("obs/depth.values.f32");
    expect(asked).toBe("data/obs/depth.values.f32?order=drawn");
    expect(shown).toEqual([]);
    expect(all.summary.missing).toBe(N / 1000);
    expect(all.values[N - 1]).toBe(N - 1);
  });

  it("come in the file's order from a server that knows no other", async () => {
    set({ identity: { stats: { n_cells: N, n_genes: 0 } } as unknown as Identity });
    pieceMs = 100;
    const { shown } = await fetched();
    expect(asked).toBe("data/genes/1.values.f32?expression=X");
    expect(shown).toEqual([]);
    expect(ran[0] as Task).toMatchObject({ kind: "values" });
  });
});
