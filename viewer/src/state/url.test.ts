import { describe, expect, it } from "vitest";
import { type Linked, readRuns, readUrl, writeRuns, writeUrl } from "./url";

const view: Linked = {
  dataset: "a b",
  embedding: "X_pca",
  dim: 3,
  columns: [4, 0, 2],
  color: "gene:HLA-A/β:1",
  gene: 17,
  expr: "layer:counts & more",
  range: [-1.5, 2e-7],
  cmap: "magma",
  hidden: [0, 1, 2, 9],
  filters: ["hide:0-3,7:a:b & c", "off-range::2.5:0:n genes"],
  fileColors: true,
  views: ["X_pca;2;;field:a%3Bb", "X_umap"],
  at: 1,
  together: false,
  edges: true,
  vectors: { field: "velocity_umap", look: "flow" },
  size: 2.5,
  alpha: 0.4,
  camera: [0.125, -3, 4],
  layout: "both",
  tissue: "V1_Brain, lowres",
  tissueCamera: [120.5, 33, 1.25],
  spot: 15.5,
  pictureAlpha: 0.5,
  spotAlpha: 0,
  selected: [3, 4, 5, 9],
  theme: "dark",
};

describe("a view in the address bar", () => {
  it("survives writing and reading", () => {
    expect(readUrl(`?${writeUrl(view, "")}`)).toEqual(view);
  });

  it("keeps parameters that are not ours", () => {
    const query = writeUrl(view, "?jupyter=true&color=field:old");
    expect(new URLSearchParams(query).get("jupyter")).toBe("true");
    expect(new URLSearchParams(query).getAll("color")).toEqual(["gene:HLA-A/β:1"]);
  });

  it("says nothing of defaults", () => {
    expect(writeUrl(readUrl(""), "")).toBe("");
  });

  it("ignores what makes no sense", () => {
    const odd = readUrl(
      "?dim=x&columns=1,b&range=1&cmap=toString&theme=pink&hidden=a,-1,3-1&camera=NaN&view=x&spot=a&picture=7&selected=-2",
    );
    expect(odd).toEqual(readUrl(""));
  });

  it("writes many hidden groups as runs", () => {
    const all = Array.from({ length: 70_000 }, (_, i) => i).filter((i) => i !== 5);
    expect(writeRuns(all)).toBe("0-4,6-69999");
    expect(readRuns("0-4,6-69999")).toEqual(all);
    expect(readRuns("0-99999999999")).toHaveLength(1_000_000);
  });
});
