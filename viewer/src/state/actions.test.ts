import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { summarise } from "../data/points";

vi.mock("../data/crew", () => ({
  Crew: class {
    async run(task: { kind: string; bytes?: ArrayBuffer }) {
      const values = new Float32Array(task.kind === "values" && task.bytes ? task.bytes : new ArrayBuffer(8));
      if (task.kind === "select") return { cells: new Uint8Array(1), places: new Uint8Array(1), count: 1 };
      if (task.kind === "points") return { positions: new Float32Array(6), nowhere: 0 };
      return { values, summary: summarise(values) };
    }
  },
}));

const { chooseExpression, leave, loadGenes, paint, select, start } = await import("./actions");
const { ensure } = await import("./filters");
const { useModel } = await import("./store");

const identity = {
  id: "a",
  name: "a",
  stats: { n_cells: 2, n_genes: 2 },
  embeddings: {
    items: [
      {
        id: "X_umap",
        label: "UMAP",
        width: 2,
        dimensions: [1, 2],
        default: true,
        axes: ["1", "2"],
        files: { "2d": "p" },
      },
    ],
  },
  obs_fields: [
    { key: "many", kind: "category", n_categories: 5000, index: 0, info: "" },
    { key: "kind", kind: "category", n_categories: 3, index: 1, info: "" },
  ],
  expression: {
    default: "X",
    items: [
      { id: "X", label: "X", n_genes: 2, genes: "genes.json" },
      { id: "Y", label: "Y", n_genes: 2, genes: "y.json" },
    ],
  },
};

const kind = {
  index: 1,
  key: "kind",
  kind: "category",
  categories: ["a", "b", "c"],
  counts: [1, 1, 0],
  n_missing: 0,
  dtype: "uint8",
  codes: "codes",
};
const floats = (a: number, b: number) => new Uint8Array(new Float32Array([a, b]).buffer);
const json = (value: unknown) => () => new Response(JSON.stringify(value));

const healthy: Record<string, () => Response> = {
  "_cellucid/datasets": json({ datasets: [{ id: "a", path: "/", name: "a" }] }),
  "_cellucid/health": json({ status: "ok" }),
  "dataset_identity.json": json(identity),
  p: () => new Response(new Uint8Array(16)),
  "fields/1.json": json(kind),
  codes: () => new Response(new Uint8Array([0, 1])),
  "genes.json": json({ expression: "X", names: ["A", "B"], symbols: null, values: "genes/{index}" }),
  "y.json": json({ expression: "Y", names: ["A", "B"], symbols: null, values: "y/{index}" }),
  "fields/2.json": json({ index: 2, key: "size", kind: "continuous", values: "size" }),
  size: () => new Response(floats(5, 6)),
  "genes/0.values.f32?expression=Y": () => new Response(floats(3, 4)),
  "y/0": () => new Response(floats(3, 4)),
  "genes/0": () => new Response(floats(1, 2)),
  "genes/1": () => new Response(floats(7, 9)),
};

let delays: Record<string, number> = {};
let down = false;

beforeEach(() => {
  vi.useFakeTimers();
  useModel.setState(useModel.getInitialState(), true);
  delays = {};
  down = false;
  history.replaceState(null, "", "/");
  vi.stubGlobal("fetch", (url: string, options?: { signal?: AbortSignal }) => {
    return new Promise<Response>((resolve, reject) => {
      const make = healthy[url];
      options?.signal?.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
      setTimeout(() => {
        if (down) reject(new TypeError("Failed to fetch"));
        else resolve(make ? make() : new Response("{}", { status: 404 }));
      }, delays[url] ?? 0);
    });
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function settle<T>(work: Promise<T>): Promise<void> {
  await vi.advanceTimersByTimeAsync(500);
  await work;
}

describe("opening", () => {
  it("ends with points in the colours of the first field that makes a good legend", async () => {
    await settle(start());
    const { phase, painted, geometry } = useModel.getState();
    expect([phase, painted.key, geometry?.embedding.id]).toEqual(["ready", "field:kind", "X_umap"]);
  });

  it("follows a link, and says so when it names what is not there", async () => {
    history.replaceState(null, "", "/?color=gene:B&hidden=1");
    await settle(start());
    expect(useModel.getState().painted.key).toBe("gene:B");
    history.replaceState(null, "", "/?color=gene:NOPE");
    await settle(start());
    expect(useModel.getState().painted.key).toBe("field:kind");
    expect(useModel.getState().notice).toContain("NOPE");
  });

  it("reconnects by itself when the server was not there yet", async () => {
    down = true;
    await settle(start());
    expect(useModel.getState().error?.code).toBe("offline");
    down = false;
    await vi.advanceTimersByTimeAsync(4000);
    expect(useModel.getState().phase).toBe("ready");
    expect(useModel.getState().error).toBeNull();
  });
});

describe("choosing", () => {
  const gene = (index: number, key: string) => paint({ kind: "gene", index, key, expression: "X" });

  it("shows the last choice, however late an earlier one arrives", async () => {
    await settle(start());
    delays = { "genes/0": 300, "genes/1": 10 };
    const both = Promise.all([gene(0, "A"), gene(1, "B")]);
    await settle(both);
    const { painted } = useModel.getState();
    expect(painted.key).toBe("gene:B");
    expect(painted.kind === "continuous" && Array.from(painted.values)).toEqual([7, 9]);
  });

  it("keeps what is drawn, filters included, through an outage", async () => {
    await settle(start());
    useModel.setState({ hidden: Uint8Array.from([0, 1, 0, 0]) });
    down = true;
    await settle(gene(0, "A"));
    expect(useModel.getState().offline).toBe(true);
    expect(useModel.getState().painted.key).toBe("field:kind");
    expect(useModel.getState().hidden).not.toBeNull();
    down = false;
    await vi.advanceTimersByTimeAsync(4000);
    expect(useModel.getState().offline).toBe(false);
    expect(useModel.getState().painted.key).toBe("gene:A");
  });

  it("asks the matrix that a colour is of, whichever is chosen", async () => {
    await settle(start());
    await settle(paint({ kind: "gene", index: 0, key: "A", expression: "Y" }));
    const { painted, expression } = useModel.getState();
    expect([painted.key, expression]).toEqual(["gene:A", "X"]);
    expect(painted.kind === "continuous" && Array.from(painted.values)).toEqual([3, 4]);
  });

  it("shows the last matrix, however late an earlier one arrives", async () => {
    await settle(start());
    await settle(gene(0, "A"));
    delays = { "y.json": 300 };
    await settle(Promise.all([chooseExpression("Y"), chooseExpression("X")]));
    const { painted, expression, color } = useModel.getState();
    expect([painted.key, expression, color.kind === "gene" && color.expression]).toEqual(["gene:A", "X", "X"]);
    expect(painted.kind === "continuous" && Array.from(painted.values)).toEqual([1, 2]);
  });

  it("takes over nothing of a data set that was left", async () => {
    await settle(start());
    useModel.setState({ genes: null });
    delays = { "genes.json": 300, "fields/2.json": 300 };
    const late = [loadGenes(), ensure({ kind: "field", index: 2, key: "size" }).catch((error: Error) => error.name)];
    const chosen = select({ kind: "cells", cells: [0] }, "replace");
    leave();
    expect(await chosen).toBeUndefined();
    await vi.advanceTimersByTimeAsync(500);
    await settle(start());
    expect(await late[1]).toBe("AbortError");
    const { genes, selection, columns } = useModel.getState();
    expect([genes, selection, Object.keys(columns)]).toEqual([null, null, ["field:1"]]);
  });

  it("tells a gene that the server refuses, and stays usable", async () => {
    await settle(start());
    await settle(gene(5, "Z"));
    expect(useModel.getState().error?.code).toBe("http_error");
    await settle(gene(1, "B"));
    expect(useModel.getState().error).toBeNull();
    expect(useModel.getState().painted.key).toBe("gene:B");
  });
});
