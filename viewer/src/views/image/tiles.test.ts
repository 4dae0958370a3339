import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { sample } from "./sample";
import { Tiles } from "./tiles";

let asked: string[] = [];

/** A pixel's value is its place in the tile, plus the channel times 1,000. */
function pixels(url: string): Uint8Array {
  const query = new URLSearchParams(url.split("?")[1]);
  const level = Number(query.get("level"));
  const size = (full: number, at: number) => Math.min(256, Math.ceil(full / 2 ** level) - at * 256);
  const n = size(1001, Number(query.get("col"))) * size(600, Number(query.get("row")));
  const planes = query.has("c") ? [Number(query.get("c"))] : [0, 1, 2];
  const values = Uint16Array.from(
    { length: n * planes.length },
    (_, i) => (i % n) + 1000 * (planes[Math.floor(i / n)] ?? 0),
  );
  return new Uint8Array(values.buffer);
}

beforeEach(() => {
  asked = [];
  vi.stubGlobal("fetch", (url: string, options?: { signal?: AbortSignal }) => {
    asked.push(url);
    if (options?.signal?.aborted) return Promise.reject(new DOMException("", "AbortError"));
    return Promise.resolve(new Response(pixels(url) as Uint8Array<ArrayBuffer>));
  });
});
afterEach(() => vi.unstubAllGlobals());

const at = (channel: number, z = 0) => ({ plane: { t: 1, z }, channel, project: null });

describe("tiles", () => {
  it("are asked for once, with everything that names them", async () => {
    const tiles = new Tiles(sample({ array_id: "a b/c" }));
    const tile = await tiles.get(0, 3, 2, at(1));
    expect([tile.width, tile.height]).toEqual([1001 - 768, 600 - 512]);
    await tiles.get(0, 3, 2, at(1));
    expect(asked).toEqual(["api/tile/a%20b/c?t=1&z=0&c=1&level=0&col=3&row=2&v=v1"]);
  });

  it("of a projection leave out the axis that is gone, and other axes are chosen by name", async () => {
    const tiles = new Tiles(sample());
    await tiles.get(0, 0, 0, { plane: { p: 3, z: 4 }, channel: null, project: "z" }).catch(() => null);
    expect(asked[0]).toContain("sel=p%3A3&project=z");
    expect(asked[0]).not.toContain("z=4");
  });

  it("of a picture come in one answer", async () => {
    const tiles = new Tiles(sample({ rgb: true }));
    const found = await tiles.getAll(0, 0, 0, [at(0), at(1), at(2)]);
    expect(found.map(({ pixels: own }) => own[5])).toEqual([5, 1005, 2005]);
    await tiles.getAll(0, 0, 0, [at(2)]);
    expect(asked).toHaveLength(1);
  });

  it("are forgotten, the least used first, when memory is used up", async () => {
    const tiles = new Tiles(sample(), undefined, 3 * 256 * 256 * 2);
    for (const z of [0, 1, 2]) await tiles.get(0, 0, 0, at(0, z));
    tiles.kept(0, 0, 0, at(0, 0));
    await tiles.get(0, 0, 0, at(0, 3));
    expect([0, 1, 2, 3].map((z) => tiles.kept(0, 0, 0, at(0, z)) !== null)).toEqual([true, false, true, true]);
    expect(tiles.bytes).toBe(3 * 256 * 256 * 2);
  });

  it("answer what is under a point from the finest there is", async () => {
    const tiles = new Tiles(sample());
    expect(tiles.valueAt(300, 10, at(0))).toBeNull();
    await tiles.get(2, 0, 0, at(0));
    expect(tiles.valueAt(300, 10, at(0))).toEqual({ value: 2 * 251 + 75, place: 2 });
    expect(await tiles.exactAt(300, 10, at(0), new AbortController().signal)).toBe(10 * 256 + 44);
    expect(tiles.valueAt(300, 10, at(0))?.place).toBe(0);
    expect(tiles.pixelAt(1, 1000.9, 599)).toEqual([500, 299]);
  });

  it("that are no longer wanted are no error of theirs", async () => {
    const tiles = new Tiles(sample());
    const own = new AbortController();
    own.abort();
    const error = await tiles.get(0, 0, 0, at(0), own.signal).catch((e: unknown) => e);
    expect((error as DOMException).name).toBe("AbortError");
    expect(tiles.bytes).toBe(0);
  });
});
