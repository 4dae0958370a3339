import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Identity } from "../api/types";
import { columnOf } from "./filters";
import { saveParts } from "./parts";
import { dropScore, keepScore, loadScores, savedScore, scoreBytes, scoreFrom } from "./scores";
import { get, set, useModel } from "./store";

const IDENTITY = {
  stats: { n_cells: 2, n_genes: 3 },
  expression: { default: "X", items: [{ id: "X", label: "X", n_genes: 3, genes: "genes.json" }] },
} as unknown as Identity;
const RECIPE = { key: "T", expression: "X", method: "mean", genes: [{ index: 1, name: "CD3D" }] } as const;

let asked: [string, unknown][];

beforeEach(() => {
  asked = [];
  set({ ...useModel.getInitialState(), identity: IDENTITY });
  vi.stubGlobal("fetch", async (url: string, how?: RequestInit) => {
    asked.push([url, how?.body ? JSON.parse(String(how.body)) : null]);
    if (url === "genes.json") return Response.json({ expression: "X", names: ["LYZ", "CD79A", "CD3D"], values: "" });
    if (url === "analysis/score") return Response.json({ job: "a", values: "analysis/jobs/a/values.f32" });
    return new Response(Float32Array.of(1, 2).buffer);
  });
});
afterEach(() => vi.unstubAllGlobals());

describe("scores of gene sets", () => {
  it("are computed by the server from their recipe", async () => {
    const score = keepScore({ ...RECIPE, genes: [...RECIPE.genes] });
    const bytes = await scoreBytes(score, 2, new AbortController().signal);
    expect([...new Float32Array(bytes)]).toEqual([1, 2]);
    expect(asked).toEqual([
      ["analysis/score", { genes: [1], method: "mean", expression: "X" }],
      ["analysis/jobs/a/values.f32", null],
    ]);
  });

  it("replace one of the same name, whose values are other ones", () => {
    const first = keepScore({ ...RECIPE, genes: [...RECIPE.genes] });
    const second = keepScore({ ...RECIPE, genes: [...RECIPE.genes], method: "zmean" });
    expect(get().scores).toEqual([second]);
    expect(columnOf(first)).not.toBe(columnOf(second));
    dropScore(second);
    expect(get().scores).toEqual([]);
    expect(saveParts().scores).toBeUndefined();
  });

  it("come back from a session, with the numbers that their genes have now", async () => {
    const score = keepScore({ ...RECIPE, genes: [...RECIPE.genes, { index: 9, name: "GONE" }] });
    const saved = JSON.parse(JSON.stringify(saveParts().scores));
    expect(saved).toEqual([JSON.parse(JSON.stringify(savedScore(score)))]);
    set({ scores: [] });
    await loadScores(saved);
    expect(get().scores).toEqual([{ ...score, genes: [{ index: 2, name: "CD3D" }] }]);
  });

  it("take nothing else from a session", async () => {
    for (const bad of [null, 3, {}, { name: "T" }, { ...savedScore(keepScore({ ...RECIPE, genes: [] })) }]) {
      expect(scoreFrom(bad)).toBeNull();
    }
    await loadScores("nonsense");
    expect(get().scores).toEqual([]);
    await loadScores([{ name: "T", method: "mean", expression: "another", genes: [{ index: 0, name: "LYZ" }] }]);
    expect(get().scores).toEqual([]);
  });
});
