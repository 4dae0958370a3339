import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../api/client";
import { type Model, set, useModel } from "../state/store";
import { CategoryLegend } from "./CategoryLegend";
import { MiddleCut } from "./MiddleCut";
import { Empty, Failure, Notice, Offline, ProgressStrip } from "./States";

vi.mock("../state/actions", async () => {
  const { set } = await import("../state/store");
  return { hide: (hidden: Uint8Array | null) => set({ hidden }), start: () => set({ phase: "loading" }) };
});

const initial = useModel.getState();
beforeEach(() => useModel.setState(initial, true));
afterEach(cleanup);

const identity: Model["identity"] = {
  id: "a",
  name: "pbmc",
  stats: { n_cells: 1000, n_genes: 0 },
  embeddings: { items: [] },
  obs_fields: [],
  expression: { default: null, items: [] },
};

function categories(n: number, missing = 0) {
  const names = Array.from({ length: n }, (_, i) => `group ${i}`);
  const field = {
    index: 0,
    key: "kind",
    kind: "category" as const,
    ordered: false,
    categories: names,
    counts: names.map((_, i) => i + 1),
    n_missing: missing,
    dtype: "uint8" as const,
    missing: 255,
    codes: "",
    colors: null,
  };
  return { kind: "category" as const, key: "field:kind", field, values: new Float32Array(0) };
}

describe("states", () => {
  it("loading says what, and how far where that is known", () => {
    set({ progress: { points: { label: "UMAP", fraction: 0.43 }, color: { label: "CD79A", fraction: null } } });
    render(<ProgressStrip />);
    expect(screen.getByTestId("progress").textContent).toContain("43 %");
    expect(screen.getByLabelText("CD79A").hasAttribute("value")).toBe(false);
  });

  it("failed tells message, hint and code, and retries", () => {
    set({ phase: "error", error: new ApiError("damaged", "The file is damaged", "Copy it again.", 502) });
    render(<Failure />);
    const alert = screen.getByTestId("error");
    expect(alert.dataset.code).toBe("damaged");
    expect(alert.textContent).toMatch(/The file is damaged.*Copy it again/);
    fireEvent.click(screen.getByTestId("retry"));
    expect(useModel.getState().phase).toBe("loading");
  });

  it("a failed wish can be dismissed while the plot stays", () => {
    set({ phase: "ready", error: new ApiError("gene_not_found", "Gene not found", "", 404) });
    render(<Failure />);
    fireEvent.click(screen.getByText("Dismiss"));
    expect(screen.queryByTestId("error")).toBeNull();
    expect(useModel.getState().phase).toBe("ready");
  });

  it("a refused visitor is told about the token", () => {
    set({ phase: "error", error: new ApiError("token_needed", "This server asks for a token", "", 401) });
    render(<Failure />);
    expect(screen.getByTestId("error").textContent).toContain("whole URL");
  });

  it("what is gone is told in words for people, not for programs", () => {
    set({
      phase: "error",
      error: new ApiError("source_not_found", "Source not found: x", "GET /api/sources lists them.", 404),
    });
    render(<Failure />);
    expect(screen.getByTestId("error").textContent).toContain("moved or deleted");
    expect(screen.getByTestId("error").textContent).not.toContain("GET");
  });

  it("offline, empty and notice", () => {
    set({ offline: true, phase: "empty", identity, notice: "There is no gene X" });
    render(
      <>
        <Offline />
        <Empty />
        <Notice />
      </>,
    );
    expect(screen.getByTestId("error").dataset.code).toBe("offline");
    expect(screen.getByTestId("empty").textContent).toContain("1,000 cells");
    fireEvent.click(screen.getByText("Dismiss"));
    expect(screen.queryByTestId("notice")).toBeNull();
  });
});

describe("a name", () => {
  it("stays in one line, whatever is in it", () => {
    const { container } = render(<MiddleCut text={"new\nline\tof many letters.npy"} />);
    expect(container.textContent).toBe("new line of many letters.npy");
  });
});

describe("legend", () => {
  it("hides, isolates and shows all, missing cells included", () => {
    const painted = categories(3, 4);
    set({ painted, identity: { ...identity, stats: { n_cells: 10, n_genes: 0 } } });
    render(<CategoryLegend painted={painted} />);
    expect(screen.getAllByTestId("legend-item")).toHaveLength(4);
    fireEvent.click(screen.getByLabelText("Only group 1"));
    expect(Array.from(useModel.getState().hidden ?? [])).toEqual([1, 0, 1, 1]);
    fireEvent.click(screen.getByText("Show all"));
    fireEvent.click(screen.getByText("Hide all"));
  });

  it("draws only the rows in sight of 70,000", () => {
    const painted = categories(70_000);
    set({ painted });
    render(<CategoryLegend painted={painted} />);
    expect(screen.queryAllByTestId("legend-item").length).toBeLessThan(200);
    fireEvent.change(screen.getByLabelText("Find a group"), { target: { value: "group 69999" } });
    expect(screen.getAllByTestId("legend-item")).toHaveLength(1);
  });
});
