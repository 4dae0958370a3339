import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiError, getBytes, getJson } from "./client";
import { CELLS_AT_ONCE, fileOf, inflated, partOf } from "./copy";

async function packed(bytes: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

describe("a copy on a plain web host", () => {
  afterEach(() => {
    delete document.documentElement.dataset.copy;
    vi.unstubAllGlobals();
  });

  it("names the file of an answer", () => {
    expect(fileOf("dataset_identity.json")).toBe("dataset_identity.json");
    expect(fileOf("genes/17.values.f32")).toBe("genes/17.values.f32");
    expect(fileOf("cells/names.json?start=65536&stop=131072")).toBe("cells/names-65536.json");
    expect(fileOf(`cells/${CELLS_AT_ONCE + 3}.json`)).toBe(`cells/at-${CELLS_AT_ONCE}.json`);
    expect(fileOf("cells/digest.json")).toBe("cells/digest.json");
    expect(fileOf("_cellucid/health")).toBe("_cellucid/datasets");
  });

  it("knows what only a server knows", () => {
    for (const url of ["api/catalog", "api/sources?limit=2", "analysis/markers", "gene_index.json?expression=X"]) {
      expect(fileOf(url)).toBeNull();
    }
    expect(fileOf("embeddings/0_2d.bin?columns=3,4")).toBeNull();
    expect(fileOf("_cellucid/datasets", "POST")).toBeNull();
  });

  it("takes one cell out of its block", () => {
    expect(partOf(`cells/${CELLS_AT_ONCE + 1}.json`, ["a", "b"])).toBe("b");
    expect(partOf("genes.json", ["a"])).toEqual(["a"]);
  });

  it("inflates gzip files and leaves the rest", async () => {
    const bytes = new Uint8Array(5000).map((_, i) => i % 7);
    for (const body of [await packed(bytes), bytes.buffer]) {
      const found = await (await inflated(new Response(body))).arrayBuffer();
      expect(new Uint8Array(found)).toEqual(bytes);
    }
    expect((await (await inflated(new Response(new Uint8Array(0)))).arrayBuffer()).byteLength).toBe(0);
  });

  it("is asked through the same functions", async () => {
    document.documentElement.dataset.copy = "";
    const body = await packed(new Uint8Array(new Float32Array([1, 2]).buffer));
    const asked: string[] = [];
    vi.stubGlobal("fetch", (url: string) => {
      asked.push(url);
      return Promise.resolve(url.endsWith(".json") ? new Response('[{"name":"c0"}]') : new Response(body));
    });
    expect([...new Float32Array(await getBytes("genes/0.values.f32", 8))]).toEqual([1, 2]);
    expect(await getJson("cells/0.json")).toEqual({ name: "c0" });
    const refused = await getJson("api/catalog").catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ApiError);
    expect((refused as ApiError).code).toBe("no_server");
    expect(asked).toEqual(["genes/0.values.f32", "cells/at-0.json"]);
  });
});
