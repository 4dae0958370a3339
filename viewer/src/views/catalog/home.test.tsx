import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Source } from "../../api/catalog";
import { useRoute } from "../../state/route";
import { useKeys } from "../../ui/keys";
import HomePage from "./HomePage";
import { useHome } from "./live";

const WIDTH = 1200;
const HEIGHT = 700;

let offered: Source[] = [];
let revision = 0;
let scanning = false;
let down = false;
let noPictures = false;
let refusal: { status: number; code: string } | null = null;
let asked: string[] = [];

function source(i: number, changes: Partial<Source> = {}): Source {
  const id = `s${String(i).padStart(5, "0")}`;
  return {
    source_id: id,
    name: `${id}.tif`,
    source_url: `file:///lab/${id}.tif`,
    source_type: "tiff",
    kind: "images",
    status: "ready",
    version: "1",
    size_bytes: 1000 + i,
    modified: i,
    indexed_at: 0,
    error: null,
    tensors: [{ array_id: id, name: id, dim_labels: ["y", "x"], shape: [4, 5], chunk_shape: [4, 5], dtype: "uint8" }],
    ...changes,
  };
}

function offer(sources: Source[]): void {
  offered = [...sources].sort((a, b) => (a.name < b.name ? -1 : 1));
  revision += 1;
}

function answer(url: string): Response {
  if (refusal) return new Response(JSON.stringify({ error: { ...refusal, message: "No", hint: "Do." } }), refusal);
  if (url === "api/catalog") {
    const by_kind = Object.fromEntries(["cells", "images", "arrays"].map((k) => [k, count((s) => s.kind === k)]));
    const failed = count((s) => s.status === "failed");
    const roots = ["lab"];
    return Response.json({ revision, sources: offered.length, by_kind, failed, scanning, roots });
  }
  // The blob of a real answer takes a turn of the clock, which stands still here.
  if (url.startsWith("api/thumbnail")) return { ok: true, blob: async () => new Blob(["p"]) } as Response;
  const query = new URLSearchParams(url.split("?")[1]);
  const text = query.get("search") ?? "";
  const found = offered.filter(
    (s) =>
      s.name.includes(text) &&
      (query.get("kind") ?? s.kind) === s.kind &&
      (query.get("status") ?? s.status) === s.status,
  );
  if (query.get("sort")?.startsWith("-")) found.reverse();
  const [from, limit] = [Number(query.get("offset")), Number(query.get("limit"))];
  return Response.json(found.slice(from, from + limit), { headers: { "X-Total-Sources": String(found.length) } });
}

const count = (test: (source: Source) => boolean) => offered.filter(test).length;

function Page() {
  useKeys();
  return <HomePage />;
}

async function pass(ms: number): Promise<void> {
  await act(() => vi.advanceTimersByTimeAsync(ms));
}

async function open(search = "?page=home"): Promise<void> {
  history.replaceState(null, "", `/${search}`);
  render(<Page />);
  await pass(300);
}

const names = () => screen.queryAllByTestId("source").map((row) => row.dataset.id);
const listing = () => screen.getByTestId("listing");
const press = (key: string) => fireEvent.keyDown(listing(), { key });
const active = () => listing().getAttribute("aria-activedescendant");

beforeEach(() => {
  vi.useFakeTimers();
  useHome.setState(useHome.getInitialState(), true);
  [revision, scanning, down, noPictures, refusal, asked] = [0, false, false, false, null, []];
  vi.stubGlobal("fetch", (url: string, options?: { signal?: AbortSignal }) => {
    asked.push(url);
    return new Promise<Response>((resolve, reject) => {
      options?.signal?.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
      const gone = down || (noPictures && url.startsWith("api/thumbnail"));
      setTimeout(() => (gone ? reject(new TypeError("Failed to fetch")) : resolve(answer(url))), 20);
    });
  });
  vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(WIDTH);
  vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(HEIGHT);
  vi.spyOn(HTMLElement.prototype, "offsetWidth", "get").mockReturnValue(WIDTH);
  vi.spyOn(HTMLElement.prototype, "offsetHeight", "get").mockReturnValue(HEIGHT);
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe("listing", () => {
  it("draws only what is in sight of 10,000, and fetches only its page", async () => {
    offer(Array.from({ length: 10_000 }, (_, i) => source(i)));
    await open("?page=home&view=table");
    expect(screen.getByTestId("counts").textContent).toContain("10,000 sources");
    expect(listing().getAttribute("aria-rowcount")).toBe("10001");
    expect(names().length).toBeGreaterThan(15);
    expect(names().length).toBeLessThan(60);
    expect(asked.filter((url) => url.startsWith("api/sources")).every((url) => url.includes("offset=0"))).toBe(true);
    press("ArrowDown");
    press("End");
    await pass(300);
    expect(useHome.getState().active).toMatchObject({ index: 9999 });
    expect(useHome.getState().pages.size).toBeLessThan(5);
  });

  it("searches while typing, keeps it in the link, and says when nothing matches", async () => {
    offer([source(1), source(2), source(12)]);
    await open();
    fireEvent.change(screen.getByTestId("search"), { target: { value: "2" } });
    await pass(400);
    expect(names()).toEqual(["s00002", "s00012"]);
    expect(location.search).toBe("?page=home&search=2");
    expect(screen.getByTestId("counts").textContent).toContain("2 match");
    fireEvent.change(screen.getByTestId("search"), { target: { value: "none such" } });
    await pass(400);
    expect(screen.getByTestId("empty").textContent).toContain("none such");
    fireEvent.click(screen.getByTestId("clear"));
    await pass(400);
    expect(names()).toHaveLength(3);
    expect(location.search).toBe("?page=home");
    expect((screen.getByTestId("search") as HTMLInputElement).value).toBe("");
  });

  it("filters and sorts by what the link says", async () => {
    offer([source(1), source(2, { kind: "cells", tensors: null }), source(3), source(4, { status: "live" })]);
    await open("?page=home&kind=images&status=ready&sort=-name&view=table");
    expect(names()).toEqual(["s00003", "s00001"]);
    fireEvent.click(screen.getByTestId("sort-name"));
    await pass(300);
    expect(names()).toEqual(["s00001", "s00003"]);
    fireEvent.click(screen.getByTestId("as-cards"));
    await pass(300);
    expect(listing().dataset.look).toBe("cards");
    expect(new URLSearchParams(location.search).get("view")).toBeNull();
  });

  it("tells why a file failed, and what to do", async () => {
    const error = { code: "damaged", message: "It ends too early", hint: "Copy it again." };
    offer([source(1, { status: "failed", error, tensors: null })]);
    await open("?page=home&view=table");
    expect(screen.getByTestId("source").textContent).toContain("It ends too early. Copy it again.");
    fireEvent.click(screen.getByTestId("source"));
    expect(screen.getByTestId("failure").dataset.code).toBe("damaged");
    fireEvent.click(screen.getByText("1 could not be read"));
    await pass(300);
    expect(new URLSearchParams(location.search).get("status")).toBe("failed");
  });

  it("lists the arrays of a file, and opens one with the keyboard alone", async () => {
    const part = (name: string) => ({
      array_id: `s00002/${name}`,
      name,
      dim_labels: ["y", "x"],
      shape: [4, 5],
      chunk_shape: [4, 5],
      dtype: "uint8",
    });
    offer([source(1), source(2, { kind: "arrays", tensors: [part("a/b"), part("c")] })]);
    await open("?page=home&view=table");
    press("ArrowDown");
    press("ArrowDown");
    press("ArrowRight");
    expect(screen.getAllByTestId("array").map((row) => row.dataset.id)).toEqual(["s00002/a/b", "s00002/c"]);
    press("ArrowDown");
    expect(active()).toBe("source-1-0");
    press("ArrowLeft");
    expect(active()).toBe("source-1");
    press("ArrowDown");
    press("Enter");
    expect(useRoute.getState().route).toEqual({ page: "image", image: "s00002/a/b" });
    expect(location.search).toBe("?image=s00002/a/b");
  });
});

describe("living", () => {
  it("shows what comes and goes, and keeps the keyboard on the same source", async () => {
    offer([source(2), source(4)]);
    await open("?page=home&view=table");
    press("ArrowDown");
    press("ArrowDown");
    expect(active()).toBe("source-1");
    offer([source(1), source(2), source(3), source(4)]);
    await pass(2500);
    expect(names()).toEqual(["s00001", "s00002", "s00003", "s00004"]);
    expect(active()).toBe("source-3");
    offer([source(1)]);
    await pass(2500);
    expect(names()).toEqual(["s00001"]);
    expect(active()).toBe("source-0");
  });

  it("fetches nothing but the small answer while nothing changes", async () => {
    offer([source(1)]);
    await open();
    await pass(4000);
    asked = [];
    await pass(10_000);
    expect(new Set(asked)).toEqual(new Set(["api/catalog"]));
    expect(asked.length).toBeLessThanOrEqual(5);
  });

  it("asks seldom while nobody looks, and at once when somebody does again", async () => {
    offer([source(1)]);
    await open();
    await pass(4000);
    const visible = vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    await pass(2500);
    asked = [];
    await pass(20_000);
    expect(asked.length).toBeLessThanOrEqual(1);
    asked = [];
    visible.mockReturnValue("visible");
    document.dispatchEvent(new Event("visibilitychange"));
    await pass(100);
    expect(asked).toContain("api/catalog");
  });

  it("outlives its server, and answers the question asked meanwhile", async () => {
    offer([source(1), source(2)]);
    await open();
    down = true;
    await pass(3000);
    expect(screen.getByTestId("error").dataset.code).toBe("offline");
    expect(names()).toHaveLength(2);
    fireEvent.change(screen.getByTestId("search"), { target: { value: "00002" } });
    await pass(500);
    down = false;
    await pass(4000);
    expect(screen.queryByTestId("error")).toBeNull();
    expect(names()).toEqual(["s00002"]);
  });

  it("has the pictures, too, that could not be had while its server was away", async () => {
    const pictures = () => screen.getAllByTestId("thumbnail").map((one) => one.dataset.state);
    offer([source(1, { version: "away" }), source(2, { version: "away" })]);
    vi.spyOn(URL, "createObjectURL").mockReturnValue("blob:here");
    noPictures = true;
    await open();
    await pass(500);
    expect(pictures()).toEqual(["failed", "failed"]);
    down = true;
    await pass(3000);
    expect(screen.getByTestId("error").dataset.code).toBe("offline");
    [down, noPictures] = [false, false];
    await pass(4000);
    await pass(300); // React draws at the end of a pass
    expect(pictures()).toEqual(["there", "there"]);
  });

  it("says that it still looks for files, and what to do when there are none", async () => {
    scanning = true;
    offer([]);
    await open();
    expect(screen.getByTestId("empty").textContent).toContain("still looking");
    offer([source(1)]);
    await pass(2500);
    expect(screen.getByTestId("counts").textContent).toContain("1 found, still looking…");
    scanning = false;
    offer([]);
    await pass(2500);
    expect(screen.getByTestId("empty").textContent).toMatch(/Nothing found here.*lab.*h5ad/);
  });

  it("says of what is not read yet that it waits, in the table", async () => {
    offer([source(1, { status: "pending", tensors: null }), source(2)]);
    await open();
    expect(screen.queryAllByTestId("status")).toEqual([]);
    fireEvent.click(screen.getByTestId("as-table"));
    await pass(300);
    expect(screen.getAllByTestId("status").map((one) => one.textContent)).toEqual(["Waiting", "Ready"]);
    fireEvent.change(screen.getByTestId("status-select"), { target: { value: "pending" } });
    await pass(300);
    expect(names()).toEqual(["s00001"]);
  });

  it("tells a refusal with its code, and asks again on demand", async () => {
    refusal = { status: 401, code: "token_needed" };
    await open();
    expect(screen.getByTestId("error").dataset.code).toBe("token_needed");
    refusal = null;
    offer([source(1)]);
    fireEvent.click(screen.getByTestId("retry"));
    await pass(2500);
    expect(names()).toEqual(["s00001"]);
  });
});

describe("keys", () => {
  it("bring the search, and from there the list", async () => {
    offer([source(1), source(2)]);
    await open();
    fireEvent.keyDown(document.body, { key: "/" });
    expect(document.activeElement).toBe(screen.getByTestId("search"));
    fireEvent.keyDown(screen.getByTestId("search"), { key: "ArrowDown" });
    expect(document.activeElement).toBe(listing());
  });

  it("walk over cards in both directions", async () => {
    offer(Array.from({ length: 30 }, (_, i) => source(i)));
    await open();
    const columns = Number(listing().getAttribute("aria-colcount"));
    expect(columns).toBeGreaterThan(3);
    for (const key of ["ArrowDown", "ArrowRight", "ArrowDown"]) press(key);
    expect(active()).toBe(`source-${columns + 1}`);
  });
});
