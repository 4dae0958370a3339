import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { sourceOf } from "../api/shares";
import { useRoute } from "../state/route";
import { Share } from "./TopBar";

let scope: string | undefined;
let posted: unknown[] = [];
let copied: string[] = [];

beforeEach(() => {
  [scope, posted, copied] = ["admin", [], []];
  vi.stubGlobal("fetch", async (url: string, options?: RequestInit) => {
    if (url.endsWith("api/session")) return Response.json({ token_needed: true, authenticated: true, scope });
    if (url.endsWith("_cellucid/datasets")) return Response.json({ datasets: [{ id: "lung/mod/rna" }] });
    posted.push(JSON.parse(String(options?.body)));
    return Response.json({ fragment: "#share=s1.x.y", expires_s: 1_800_000_000 });
  });
  vi.stubGlobal("navigator", { ...navigator, clipboard: { writeText: async (text: string) => copied.push(text) } });
  history.replaceState(null, "", "/lab/?image=slide/0");
  useRoute.setState({ route: { page: "image", image: "slide/0" } });
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

describe("a link for a guest", () => {
  it("is made by who may do everything", async () => {
    render(<Share prepare={() => ""} />);
    fireEvent.click(screen.getByTestId("share"));
    fireEvent.click(await screen.findByTestId("guest-link"));
    await waitFor(() => expect(screen.getByTestId("guest-said").textContent).toContain("no other, until"));
    expect(posted).toEqual([{ source: "slide", expires_s: 604800 }]);
    expect(copied.at(-1)).toBe(`${location.origin}/lab/?image=slide/0#share=s1.x.y`);
    fireEvent.click(screen.getByTestId("share"));
    await waitFor(() => expect(screen.queryByTestId("guest-link")).toBeNull());
  });

  it.each(["read", "share", undefined])("is offered to nobody else: %s", async (other) => {
    scope = other;
    render(<Share prepare={() => ""} />);
    fireEvent.click(screen.getByTestId("share"));
    await waitFor(() => expect(copied.length).toBe(1));
    await waitFor(() => expect(screen.getByTestId("share").textContent).toBe("Copied"));
    expect(screen.queryByTestId("guest-link")).toBeNull();
  });

  it("names the source of every page", async () => {
    expect(await sourceOf({ page: "cells", dataset: "a/table/x" })).toBe("a");
    expect(await sourceOf({ page: "cells", dataset: null })).toBe("lung");
    expect(await sourceOf({ page: "network", network: "net" })).toBe("net");
    expect(await sourceOf({ page: "inside", source: "file" })).toBe("file");
    expect(await sourceOf({ page: "home" })).toBeNull();
  });
});
