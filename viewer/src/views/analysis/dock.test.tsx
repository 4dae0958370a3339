import { act, cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Genes, Identity } from "../../api/types";
import { bitsFor, put } from "../../data/bits";
import { toPlaces } from "../../data/sets";
import { get, set, useModel } from "../../state/store";
import { toBase64 } from "./api";
import { cellsOfOperand, withinOf } from "./groupings";
import { cancel, change, now, useAnalysis } from "./state";

const painted = vi.hoisted(() => vi.fn());
vi.mock("../../state/actions", async (whole) => ({ ...(await whole<object>()), paint: painted }));
const { default: Dock } = await import("./Dock");

const N = 40;
const FIELD = {
  index: 0,
  key: "cluster",
  kind: "category",
  ordered: false,
  categories: ["B", "T", "never"],
  counts: [30, 10, 0],
  n_missing: 0,
  dtype: "uint8",
  missing: 255,
  codes: "fields/0.codes.u8",
  colors: null,
};
const GENES: Genes = {
  expression: "X",
  names: ["CD79A", "CD3D", "LYZ"],
  symbols: null,
  values: "genes/{index}.values.f32",
};
const IDENTITY = {
  id: "mini",
  name: "mini",
  stats: { n_cells: N, n_genes: 3 },
  embeddings: { items: [] },
  obs_fields: [{ key: "cluster", kind: "category", n_categories: 3, index: 0, info: "fields/0.json" }],
  expression: { default: "X", items: [{ id: "X", label: "X", n_genes: 3, genes: "genes.json" }] },
} as unknown as Identity;
const GROUPS = [
  { name: "B", n_cells: 30, code: 0 },
  { name: "T", n_cells: 10, code: 1 },
];

let asked: { what: string; body: Record<string, unknown> }[];
let answers: Record<string, unknown>;

function respond(url: string, how?: RequestInit): Response {
  if (how?.method === "POST") {
    const what = url.split("analysis/")[1] ?? "";
    asked.push({ what, body: JSON.parse(String(how.body)) });
    const answer = answers[what];
    return answer instanceof Response ? answer.clone() : Response.json(answer);
  }
  if (how?.method === "DELETE") {
    asked.push({ what: `delete ${url}`, body: {} });
    return Response.json({});
  }
  if (url.includes("fields/0.json")) return Response.json(FIELD);
  if (url.includes("genes.json")) return Response.json(GENES);
  if (url.includes("values.f32")) return new Response(new Float32Array(N).fill(0.5).buffer);
  return Response.json(answers[url] ?? {});
}

beforeEach(() => {
  asked = [];
  answers = {};
  vi.stubGlobal("fetch", async (url: string, how?: RequestInit) => respond(url, how));
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe() {}
      unobserve() {}
      disconnect() {}
    },
  );
  Object.defineProperty(HTMLElement.prototype, "clientWidth", { configurable: true, get: () => 900 });
  set({
    ...useModel.getInitialState(),
    phase: "ready",
    identity: IDENTITY,
    expression: "X",
    genes: GENES,
    analysis: true,
  });
  painted.mockReset();
});
afterEach(() => {
  cleanup();
  set({ identity: null });
  vi.unstubAllGlobals();
});

const SUMMARY = {
  job: "f00d",
  groups: GROUPS,
  rows: [
    { gene: 0, name: "CD79A", n: [30, 10], mean: [2, 0.5], fraction: [1, 0.25], n_expressing: [30, 2] },
    { gene: 1, name: "CD3D", n: [30, 10], mean: [0, null], fraction: [0, null], n_expressing: [0, 0] },
  ],
};

describe("genes by group", () => {
  it("says what to do while no gene is chosen, and takes a pasted list", async () => {
    answers.summary = SUMMARY;
    render(<Dock />);
    expect(screen.getByTestId("no-genes").textContent).toContain("Add one");
    fireEvent.paste(screen.getByTestId("gene-add"), { clipboardData: { getData: () => "CD79A\nCD3D\nNOPE" } });
    expect(screen.getByTestId("gene-add-said").textContent).toBe("Not among the genes: NOPE.");
    await waitFor(() => expect(screen.getAllByTestId("grid-gene").length).toBe(2));
    expect(asked[0]).toEqual({ what: "summary", body: { groups: { field: 0 }, genes: [0, 1], expression: "X" } });
    const radii = [...document.querySelectorAll(".dots circle")].map((dot) => Number(dot.getAttribute("r")));
    // Areas are shares: a quarter of the cells is half the radius.
    expect(radii).toEqual([10, 5, 0, 0]);
    const [first, second] = screen.getAllByTestId("grid-gene") as [HTMLElement, HTMLElement];
    first.focus();
    fireEvent.keyDown(first, { key: "ArrowRight" });
    expect(document.activeElement).toBe(second);
    fireEvent.keyDown(second, { key: "Enter" });
    expect(painted).toHaveBeenCalledWith({ kind: "gene", index: 1, key: "CD3D", expression: "X" });
  });

  it("keeps the groups when a gene colours the plot", async () => {
    const obs_fields = [{ key: "many", kind: "category", n_categories: 3, index: 7 }, ...IDENTITY.obs_fields];
    set({ identity: { ...IDENTITY, obs_fields } as Identity, color: { kind: "field", index: 0, key: "cluster" } });
    render(<Dock />);
    expect((screen.getByTestId("grouping") as HTMLSelectElement).value).toBe("field:0");
    act(() => set({ color: { kind: "gene", index: 1, key: "CD3D", expression: "X" } }));
    expect((screen.getByTestId("grouping") as HTMLSelectElement).value).toBe("field:0");
  });

  it("has its numbers as a table", async () => {
    answers.summary = SUMMARY;
    change({ genes: [{ index: 0, name: "CD79A" }] });
    render(<Dock />);
    await waitFor(() => expect(screen.getAllByTestId("grid-gene").length).toBe(2));
    const details = document.querySelector<HTMLDetailsElement>(".as-table") as HTMLDetailsElement;
    details.open = true;
    fireEvent(details, new Event("toggle"));
    const rows = within(details).getAllByRole("row");
    expect(rows.map((row) => row.textContent)).toEqual([
      "genegroupcellsmeanfractionexpressing",
      "CD79AB302130",
      "CD79AT100.50.252",
      "CD3DB30000",
      "CD3DT10––0",
    ]);
  });

  it("takes the markers of the groups", async () => {
    answers.summary = SUMMARY;
    answers.markers = {
      job: "m",
      results: [
        { genes: [2, 0], names: ["LYZ", "CD79A"] },
        { genes: [0], names: ["CD79A"] },
      ],
    };
    render(<Dock />);
    fireEvent.click(screen.getByTestId("markers"));
    await waitFor(() => expect(now().genes.map((gene) => gene.name)).toEqual(["LYZ", "CD79A"]));
    expect(asked[0]?.body).toMatchObject({ groups: { field: 0 }, top: 5, expression: "X" });
  });

  it("says that files without a server cannot be asked", async () => {
    answers.summary = new Response("Not found", { status: 405 });
    change({ genes: [{ index: 0, name: "CD79A" }] });
    render(<Dock />);
    await waitFor(() => expect(screen.getByTestId("work-summary").dataset.code).toBe("no_server"));
    expect(screen.queryByTestId("again-summary")).toBeNull();
  });
});

const COMPARED = {
  job: "f00d",
  expression: "X",
  results: [
    {
      name: "B",
      n_cells: 30,
      reference: "rest",
      n_reference: 10,
      genes: [0, 2, 1],
      names: ["CD79A", "LYZ", "CD3D"],
      scores: [9, 0.1, -4],
      logfoldchanges: [3, 0.1, -2],
      pvals: [0, 0.9, 1e-5],
      pvals_adj: [0, 0.9, 3e-5],
      log10_pvals_adj: [-400, -0.05, -4.5],
      means: [2, 1, 0],
      means_reference: [0.1, 1, 2],
      fractions: [1, 0.5, 0],
      fractions_reference: [0.05, 0.5, 0.8],
    },
  ],
};

async function chooseB(): Promise<void> {
  fireEvent.change(screen.getByTestId("operand-a"), { target: { value: "field:0" } });
  await waitFor(() => expect(screen.getByTestId("operand-a-category")).toBeTruthy());
}

describe("comparing groups", () => {
  beforeEach(() => change({ tab: "compare" }));

  it("asks for A against the rest, and shows every gene", async () => {
    answers.differential = COMPARED;
    render(<Dock />);
    expect(screen.getByTestId("compare").hasAttribute("disabled")).toBe(true);
    await chooseB();
    fireEvent.click(screen.getByTestId("compare"));
    const volcano = await screen.findByTestId("volcano");
    expect(asked.at(-1)?.body).toEqual({
      group: { kind: "category", field: 0, codes: [0] },
      reference: { kind: "rest" },
      name: "B",
      reference_name: "rest",
      expression: "X",
      method: "wilcoxon",
    });
    expect(volcano.dataset).toMatchObject({ points: "3", up: "1", down: "1" });
    expect(screen.getByTestId("gene-table").dataset.rows).toBe("3");
    expect(screen.getByTestId("de-csv").getAttribute("href")).toBe("analysis/jobs/f00d/result.csv");
    fireEvent.change(screen.getByTestId("limit-change"), { target: { value: "2.5" } });
    fireEvent.keyDown(screen.getByTestId("limit-change"), { key: "Enter" });
    expect(screen.getByTestId("volcano").dataset).toMatchObject({ up: "1", down: "0" });
    fireEvent.change(screen.getByTestId("gene-table-search"), { target: { value: "cd" } });
    expect(screen.getByTestId("gene-table").dataset.rows).toBe("2");
  });

  it("can be called off, and says so", async () => {
    const job = {
      job: "f00d",
      state: "running",
      progress: 0.1,
      message: "Ranks",
      result: "analysis/jobs/f00d/result.json",
    };
    answers.differential = Response.json(job, { status: 202 });
    answers["analysis/jobs/f00d"] = job;
    render(<Dock />);
    await chooseB();
    fireEvent.click(screen.getByTestId("compare"));
    fireEvent.click(await screen.findByTestId("cancel-compare"));
    expect(screen.getByTestId("work-compare").dataset.state).toBe("cancelled");
    await waitFor(() => expect(asked.at(-1)?.what).toBe("delete analysis/jobs/f00d"));
  });

  it("tells an error with its code, and tries again", async () => {
    const error = { code: "small_group", message: "B has 1 cell", hint: "Choose a group of two cells or more." };
    answers.differential = Response.json({ error }, { status: 400 });
    render(<Dock />);
    await chooseB();
    fireEvent.click(screen.getByTestId("compare"));
    const again = await screen.findByTestId("again-compare");
    expect(screen.getByTestId("work-compare").textContent).toContain("Choose a group of two cells or more.");
    answers.differential = COMPARED;
    fireEvent.click(again);
    expect(await screen.findByTestId("volcano")).toBeTruthy();
  });

  it("asks again when the server is back", async () => {
    vi.stubGlobal("fetch", async (url: string, how?: RequestInit) => {
      if (how?.method === "POST" && get().offline) throw new TypeError("Failed to fetch");
      return respond(url, how);
    });
    answers.differential = COMPARED;
    render(<Dock />);
    await chooseB();
    act(() => set({ offline: true }));
    fireEvent.click(screen.getByTestId("compare"));
    await waitFor(() => expect(screen.getByTestId("work-compare").dataset.code).toBe("offline"));
    act(() => set({ offline: false }));
    expect(await screen.findByTestId("volcano")).toBeTruthy();
  });

  it("leaves no answer of another data set behind", async () => {
    answers.differential = COMPARED;
    render(<Dock />);
    await chooseB();
    fireEvent.click(screen.getByTestId("compare"));
    await screen.findByTestId("volcano");
    set({ identity: { ...IDENTITY, id: "other" } });
    expect(now().compared).toBeNull();
    expect(useAnalysis.getState().a).toBeNull();
  });
});

describe("sets of cells", () => {
  it("are sent as the server counts bits", () => {
    const bits = bitsFor(N);
    for (const cell of [0, 9, 39]) put(bits, cell);
    expect([...atob(toBase64(bits, N))].map((c) => c.charCodeAt(0))).toEqual([1, 2, 0, 0, 128]);
  });

  it("are those that are selected, or pass the filters", () => {
    const cells = bitsFor(N);
    for (const cell of [1, 2, 33]) put(cells, cell);
    const places = toPlaces(cells, N);
    set({ selection: { cells, places, count: 3 }, passing: places, passingCount: 3 });
    const sent = { kind: "cells", bits: toBase64(cells, N) };
    expect(cellsOfOperand({ kind: "selection" })).toEqual(sent);
    expect(withinOf(get())).toEqual(sent);
    set({ selection: null, passing: null });
    expect(() => cellsOfOperand({ kind: "selection" })).toThrow("No cell is selected");
    expect(withinOf(get())).toBeNull();
  });
});

it("cancelling what does not run does nothing", () => {
  cancel("compare");
  expect(now().work.compare.state).toBe("idle");
});
