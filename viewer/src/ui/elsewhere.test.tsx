import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Identity } from "../api/types";
import { set, useModel } from "../state/store";
import { GeneSearch } from "./GeneSearch";

const matrix = (id: string, n_genes: number) => ({ id, label: id, n_genes, genes: `genes.json?expression=${id}` });
const identity = {
  stats: { n_cells: 4, n_genes: 2 },
  expression: { default: "X", items: [matrix("X", 2), matrix("raw", 3)] },
} as unknown as Identity;
const lists: Record<string, string[]> = { X: ["CD8A", "MS4A10"], raw: ["CD8A", "MS4A10", "MS4A1"] };
const asked: string[] = [];

beforeEach(() => {
  asked.length = 0;
  vi.stubGlobal("fetch", async (url: string) => {
    asked.push(url);
    const expression = new URLSearchParams(url.split("?")[1]).get("expression") ?? "";
    return Response.json({ expression, names: lists[expression], symbols: null, values: "genes/{index}" });
  });
  // Another object each time: lists are kept for as long as what describes them.
  set({ ...useModel.getInitialState(), identity: structuredClone(identity), expression: "X" });
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const chosen: unknown[] = [];
async function type(text: string): Promise<string> {
  const { container } = render(<GeneSearch choose={(gene) => void chosen.push(gene)} />);
  fireEvent.focus(screen.getByTestId("gene-search"));
  await waitFor(() => expect(useModel.getState().genes).not.toBeNull());
  fireEvent.change(screen.getByTestId("gene-search"), { target: { value: text } });
  await waitFor(() => expect(container.querySelector(".note")?.textContent).not.toBe(""));
  return container.querySelector(".note")?.textContent ?? "";
}

describe("a gene that the matrix lacks", () => {
  it("is told of before anything is typed: how many more there are, and where", () => {
    const { container } = render(<GeneSearch />);
    expect(container.querySelector("label")?.textContent).toBe("Gene 2 to choose from, 3 in raw");
  });

  it("is taken from the matrix that has it", async () => {
    await type("ms4a1x");
    await waitFor(() => expect(document.body.textContent).toContain("raw has none either"));
    expect(screen.queryByTestId("gene-search-elsewhere")).toBeNull();
    cleanup();
    lists.X = ["CD8A"];
    set({ genes: null });
    await type("ms4a1");
    fireEvent.click(await screen.findByTestId("gene-search-elsewhere"));
    expect(chosen).toEqual([{ kind: "gene", index: 2, key: "MS4A1", expression: "raw" }]);
    expect(asked.filter((url) => url.includes("raw"))).toHaveLength(1);
  });

  it("is not looked for while the own matrix may have it", async () => {
    lists.X = ["CD8A", "MS4A10"];
    expect(await type("MS4A1")).toBe("1 gene");
    expect(asked.filter((url) => url.includes("raw"))).toEqual([]);
  });
});
