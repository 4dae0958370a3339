import { beforeEach, describe, expect, it, vi } from "vitest";

const asked: { kind: string; ground?: string }[] = [];
vi.mock("../data/crew", () => ({
  Crew: class {
    async run(task: { kind: string }) {
      asked.push(task);
      return null;
    }
  },
}));

const { crewOf } = await import("./crew");
const { useModel } = await import("./store");
const views = await import("./views");
const { readView, writeView } = await import("./viewlink");

const embedding = (id: string) => ({ id, label: id, width: 2, dimensions: [2], default: true, axes: [], files: {} });
const geometry = (id: string) => ({
  positions: new Float32Array(6),
  n: 2,
  arrived: 2,
  nowhere: 0,
  embedding: embedding(id),
  dim: 2,
  columns: [0, 1],
});
const field = (key: string) => ({ kind: "field" as const, index: 0, key });
const now = () => useModel.getState();
const colors = () => views.viewsNow(now()).map(({ color }) => (color.kind === "none" ? "" : color.key));

beforeEach(() => {
  useModel.setState(useModel.getInitialState(), true);
  useModel.setState({ phase: "ready", geometry: geometry("umap"), color: field("a"), camera: [1, 2, 3] });
  asked.length = 0;
  crewOf();
});

describe("several views", () => {
  it("begin as copies, and each keeps its own when the focus moves", () => {
    const second = views.duplicate() as string;
    expect(now().focused).toBe(second);
    useModel.setState({ color: field("b"), cmap: "magma" });
    views.focus("1");
    expect(colors()).toEqual(["a", "b"]);
    expect([now().cmap, views.ownOf(now(), second).cmap]).toEqual(["viridis", "magma"]);
    views.focusNext(1);
    expect(now().color).toEqual(field("b"));
  });

  it("are changed wherever they are kept, so that what arrives late reaches the view that asked", () => {
    const second = views.duplicate() as string;
    views.setOwn("1", { color: field("late") });
    views.setOwn("gone", { color: field("lost") });
    expect(colors()).toEqual(["late", "a"]);
    views.setOwn(second, { color: field("front") });
    expect(now().color).toEqual(field("front"));
  });

  it("are at most six, which is said", async () => {
    const { addView } = await import("../views/grid/actions");
    while (views.duplicate() !== null);
    addView();
    expect(now().views.length).toBe(views.MOST_VIEWS);
    expect(now().notice).toContain("6 views are the most");
  });

  it("are at most six and at least one", () => {
    for (let i = 0; i < 9; i += 1) views.duplicate();
    expect(now().views.length).toBe(views.MOST_VIEWS);
    for (const { id } of now().views) views.close(id);
    expect(now().views.length).toBe(1);
    expect(now().focused).toBe(now().views[0]?.id);
    expect(now().geometry?.embedding.id).toBe("umap");
  });

  it("move together where they lay the cells out alike, unless that is off", () => {
    const second = views.duplicate() as string;
    const third = views.duplicate({ geometry: geometry("pca") }) as string;
    views.moveCamera("1", [9, 9, 9]);
    const cameras = () => ["1", second, third].map((id) => views.ownOf(now(), id).camera?.[0]);
    expect(cameras()).toEqual([9, 9, 1]);
    useModel.setState({ together: false });
    views.moveCamera("1", [5, 5, 5]);
    expect(cameras()).toEqual([5, 9, 1]);
  });

  it("let the worker forget a layout that no view shows any more", () => {
    views.duplicate({ geometry: geometry("pca") });
    views.duplicate();
    const [, second, third] = now().views.map(({ id }) => id);
    views.close(second ?? "");
    expect(asked).toEqual([]);
    views.close(third ?? "");
    expect(asked).toEqual([{ kind: "leave", ground: "pca|0,1" }]);
  });

  it("are laid out anew around the one that has the focus", () => {
    expect(views.layViews(3, 2).length).toBe(3);
    expect(now().views.map(({ id }) => id === now().focused)).toEqual([false, false, true, false]);
    expect(views.layViews(9, 0).length).toBe(views.MOST_VIEWS - 1);
  });
});

describe("a view in a link", () => {
  const view = {
    embedding: "X_a;b",
    dim: 3,
    columns: [0, 2, 1],
    color: "field:50 %; odd",
    gene: null,
    range: [0.5, 2] as [number, number],
    cmap: "magma" as const,
    fileColors: true,
    camera: [0.25, -1, 2, 0.5, 30, 40],
  };

  it("comes back as it was, and is short where there is little to say", () => {
    expect(readView(writeView(view))).toEqual(view);
    const little = { ...readView(""), embedding: "X_umap", color: "gene:CD3D" };
    expect(writeView(little)).toBe("X_umap;;;gene:CD3D");
    expect(readView(writeView(little))).toEqual(little);
  });

  it("is whatever can be read of nonsense", () => {
    expect(readView("%;x;1,b;;;1;nope;2;a")).toEqual(readView(""));
  });
});
