import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Identity } from "../api/types";
import { bitsFor, members, put } from "../data/bits";

vi.mock("./crew", () => ({
  addressOf: (path: string) => path,
  crewIsThere: () => false,
  crewOf: () => ({ run: async () => new Uint8Array() }),
}));

import { begin, packed } from "./notebook";
import { get, set, useModel } from "./store";

function setOf(n: number, ...cells: number[]) {
  const bits = bitsFor(n);
  for (const cell of cells) put(bits, cell);
  return bits;
}

test("few cells of many go as numbers, many as bits", () => {
  const few = packed(setOf(1000, 3, 999), 2, 1000);
  expect(few.form).toBe("numbers");
  expect([...new Uint32Array(few.body.slice().buffer)]).toEqual([3, 999]);
  const all = packed(setOf(9, 0, 8), 2, 9);
  expect([all.form, ...all.body]).toEqual(["bits", 1, 1]);
  expect(packed(null, 0, 9)).toEqual({ form: "numbers", body: new Uint8Array() });
});

const IDENTITY = {
  id: "x",
  stats: { n_cells: 9 },
  obs_fields: [],
  expression: { items: [], default: null },
} as unknown as Identity;

let told: [string, unknown][] = [];

beforeEach(() => {
  told = [];
  set({ ...useModel.getInitialState(), phase: "ready", identity: IDENTITY });
});
afterEach(() => vi.unstubAllGlobals());

test("commands are done in their order; what cannot be done is told; the end ends it", async () => {
  const commands = [
    { number: 1, do: "highlight", cells: true, n: 9, name: "few", color: "#d55e00" },
    { number: 2, do: "highlight", cells: true, n: 9, name: "more", color: null },
    { number: 3, do: "highlight", cells: true, n: 8, name: "other", color: null },
    { number: 4, do: "color", cells: false, key: "NOPE" },
    { number: 5, do: "clear", cells: false, name: "more" },
  ];
  const answers = [
    { last: 5, commands, ended: false },
    { last: 5, commands: [], ended: true },
  ];
  vi.stubGlobal("fetch", async (url: string, how?: RequestInit) => {
    if (how?.method === "PUT") {
      const body = typeof how.body === "string" ? JSON.parse(how.body) : null;
      told.push([url.replace("api/dialogue/events/", ""), body]);
      return new Response(null, { status: 204 });
    }
    if (url.startsWith("api/dialogue/cells/")) return new Response(new Uint8Array([0b10000001, 1]));
    return Response.json(answers.shift());
  });
  begin();
  await vi.waitFor(() => expect(get().notice).toContain("ended"));
  expect(get().groups.map(({ id, name, color, count }) => [id, name, color, count])).toEqual([
    ["notebook few", "few", "#d55e00", 3],
  ]);
  expect(members(get().groups[0]?.cells ?? bitsFor(0))).toEqual([0, 7, 8]);
  const problems = told.filter(([kind]) => kind === "problem").map(([, body]) => (body as { message: string }).message);
  expect(problems).toEqual([expect.stringContaining("8 cells"), expect.stringContaining("NOPE")]);
  expect(told.map(([kind]) => kind)).toContain("ready");
  expect(told[0]?.[0]).toBe("selection?form=numbers&n=9");
});
