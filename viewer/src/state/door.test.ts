import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { decide, hasNoCatalog } from "./door";

const tensors = (...ids: string[]) =>
  ids.map((array_id) => ({ array_id, name: array_id, dim_labels: [], shape: [], dtype: "uint8" }));
const source = (id: string, kind: string, changes: object = {}) => ({
  source_id: id,
  name: id,
  source_url: `file:///${id}`,
  source_type: "npy",
  kind,
  status: "ready",
  tensors: null,
  ...changes,
});

let offered: object[] = [];
/** How often the server answers that it still scans, or has not opened the file yet. */
let busy = 0;

beforeEach(() => {
  vi.useFakeTimers();
  busy = 0;
  vi.stubGlobal("fetch", async (url: string) => {
    if (url === "api/catalog") {
      busy -= 1;
      return Response.json({
        revision: 1,
        sources: offered.length,
        by_kind: {},
        failed: 0,
        scanning: busy >= 0,
        roots: [],
      });
    }
    if (url.startsWith("api/sources?")) {
      const shown = busy >= 0 ? [] : offered;
      return Response.json(shown.slice(0, 2), { headers: { "X-Total-Sources": String(shown.length) } });
    }
    return Response.json({ ...offered[0], tensors: tensors("late/a", "late/b") });
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function door(sources: object[]) {
  offered = sources;
  const route = decide(new AbortController().signal);
  await vi.advanceTimersByTimeAsync(10_000);
  return route;
}

describe("a link that names no page", () => {
  it("opens the only cells, the only image, the first of its images", async () => {
    expect(await door([source("a", "cells")])).toEqual({ page: "cells", dataset: null });
    expect(await door([source("a", "images", { tensors: tensors("a") })])).toEqual({ page: "image", image: "a" });
    const scenes = source("a", "images", { tensors: tensors("a/0", "a/1") });
    expect(await door([scenes])).toEqual({ page: "image", image: "a/0" });
  });

  it("leads home where there are several, none, a failed one, or arrays to choose from", async () => {
    const home = { page: "home" };
    expect(await door([])).toEqual(home);
    expect(await door([source("a", "cells"), source("b", "cells")])).toEqual(home);
    expect(await door([source("a", "images", { status: "failed" })])).toEqual(home);
    expect(await door([source("a", "arrays", { tensors: tensors("a/x", "a/y") })])).toEqual(home);
    expect(await door([source("a", "arrays", { tensors: tensors("a") })])).toEqual({ page: "image", image: "a" });
  });

  it("waits a moment for a server that has just started", async () => {
    busy = 3;
    expect(await door([source("a", "cells")])).toEqual({ page: "cells", dataset: null });
    expect(await door([source("a", "images")])).toEqual({ page: "image", image: "late/a" });
    busy = 1_000;
    expect(await door([source("a", "cells")])).toEqual({ page: "home" });
  });

  it("opens the cells of a server that has no catalog", async () => {
    vi.stubGlobal("fetch", async () => new Response("{}", { status: 404 }));
    const error = await decide(new AbortController().signal).catch((e: unknown) => e);
    expect(hasNoCatalog(error)).toBe(true);
    expect(hasNoCatalog(new Error("no"))).toBe(false);
  });
});
