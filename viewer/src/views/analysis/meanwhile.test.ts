/** What arrives after something else was chosen. */

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Genes, Identity } from "../../api/types";
import { set, useModel } from "../../state/store";
import { chooseGroup, findMarkers, followMatrix } from "./actions";
import { now } from "./state";

const LISTS: Record<string, string[]> = { X: ["A", "B", "C"], Y: ["C", "B"], Z: ["B"] };
const genesOf = (expression: string): Genes => ({
  expression,
  names: LISTS[expression] ?? [],
  symbols: null,
  values: "",
});
const identity = {
  stats: { n_cells: 8 },
  expression: { items: Object.keys(LISTS).map((id) => ({ id, genes: id })) },
} as unknown as Identity;

let late: Record<string, (answer: Response) => void>;

beforeEach(() => {
  late = {};
  vi.stubGlobal("fetch", (url: string) => new Promise<Response>((answer) => Object.assign(late, { [url]: answer })));
  set({ ...useModel.getInitialState(), identity, expression: "X", genes: genesOf("X") });
});
afterEach(() => {
  set({ identity: null });
  vi.unstubAllGlobals();
});

const come = (url: string, what: unknown) => late[url]?.(Response.json(what));
const names = () => now().genes.map(({ index, name }) => `${name}${index}`);

async function found(): Promise<void> {
  const looking = findMarkers({ kind: "field", index: 0, key: "k" }, 2);
  await vi.waitFor(() => expect(late["analysis/markers"]).toBeDefined());
  set({ expression: "Y" });
  come("analysis/markers", { job: "m", results: [{ genes: [2, 0], names: ["C", "A"] }] });
  await vi.waitFor(() => expect(late.Y).toBeDefined());
  come("Y", genesOf("Y"));
  await looking;
}

it("markers of a matrix are numbered as in the one that was chosen meanwhile", async () => {
  vi.stubGlobal("fetch", (url: string) =>
    url.startsWith("fields/")
      ? Promise.resolve(
          Response.json({
            ...{ index: 0, key: "k", kind: "category", categories: ["a"], counts: [8] },
            ...{ n_missing: 0, dtype: "uint8", codes: "codes" },
          }),
        )
      : new Promise<Response>((answer) => Object.assign(late, { [url]: answer })),
  );
  await found();
  expect(names()).toEqual(["C0"]);
});

it("a matrix that comes after a later choice is not followed", async () => {
  const { change } = await import("./state");
  change({ genes: [{ index: 1, name: "B" }] });
  set({ expression: "Y" });
  const first = followMatrix();
  set({ expression: "Z" });
  const second = followMatrix();
  come("Z", genesOf("Z"));
  await second;
  expect(names()).toEqual(["B0"]);
  come("Y", genesOf("Y"));
  await first;
  expect(names()).toEqual(["B0"]);
});

it("cells of a data set that was left are not chosen in the next", async () => {
  const group = { where: { kind: "field", code: 0, field: { dtype: "uint8", codes: "codes" } } };
  const choosing = chooseGroup(group as never, []);
  set({ identity: { ...identity } });
  late.codes?.(new Response(new Uint8Array(8)));
  await choosing;
  expect(useModel.getState().selection).toBeNull();
});
