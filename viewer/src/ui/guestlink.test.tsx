import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type NotedLink, sourceOf } from "../api/shares";
import { useRoute } from "../state/route";
import { Share } from "./TopBar";

let scope: string | undefined;
let posted: unknown[] = [];
let copied: string[] = [];
let shares: Partial<NotedLink>[] = [];
let refused = false;

beforeEach(() => {
  [scope, posted, copied, shares, refused] = ["admin", [], [], [], false];
  vi.stubGlobal("fetch", async (url: string, options?: RequestInit) => {
    if (url.endsWith("api/session")) return Response.json({ token_needed: true, authenticated: true, scope });
    if (url.endsWith("_cellucid/datasets"))
      return Response.json({ datasets: [{ id: "lung/mod/rna", path: "/", name: "rna" }] });
    if (options?.method === "DELETE") {
      const error = { code: "disk_full", message: "The disk is full", hint: "Free some space." };
      if (refused) return Response.json({ error }, { status: 507 });
      const id = url.split("/").at(-1);
      shares = shares.map((one) => (one.id === id ? { ...one, revoked_s: 1 } : one));
      return Response.json({});
    }
    if (options?.method !== "POST") return Response.json({ shares });
    posted.push(JSON.parse(String(options.body)));
    shares.push({ id: `b${posted.length}`, source: "slide", label: "Ada", expires_s: 1_800_000_000, revoked_s: null });
    return Response.json({ fragment: "#share=s2.x.y", expires_s: 1_800_000_000 });
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
    expect(posted).toEqual([{ source: "slide", expires_s: 604800, label: "" }]);
    expect(copied.at(-1)).toBe(`${location.origin}/lab/?image=slide/0#share=s2.x.y`);
    fireEvent.click(screen.getByTestId("share"));
    await waitFor(() => expect(screen.queryByTestId("guest-link")).toBeNull());
  });

  it("is listed with the others to this source, and taken back", async () => {
    const note = { source: "slide", label: "Bob", expires_s: 1_800_000_000, revoked_s: null };
    shares = [
      { ...note, id: "a1" },
      { ...note, id: "a2", label: "Eve", source: "other" },
      { ...note, id: "a3", label: "Ann", revoked_s: 5 },
    ];
    render(<Share prepare={() => ""} />);
    fireEvent.click(screen.getByTestId("share"));
    expect((await screen.findByTestId("guest-noted")).textContent).toContain("Bob, until");
    fireEvent.change(screen.getByTestId("guest-label"), { target: { value: " Ada " } });
    fireEvent.click(screen.getByTestId("guest-link"));
    await waitFor(() => expect(screen.getAllByTestId("guest-noted").length).toBe(2));
    expect(posted).toEqual([{ source: "slide", expires_s: 604800, label: "Ada" }]);
    const newest = screen.getAllByTestId("guest-back")[0] as HTMLElement;
    expect(newest.getAttribute("aria-label")).toBe("Take back the link Ada");
    fireEvent.click(newest);
    await waitFor(() => expect(screen.getByTestId("guest-noted").textContent).toContain("Bob"));
    expect(screen.getByTestId("guest-ended").textContent).toContain("Taken back");
    expect(document.activeElement?.textContent).toBe("Links to this source");
    refused = true;
    fireEvent.click(screen.getByTestId("guest-back"));
    await waitFor(() => expect(screen.getByTestId("guest-ended").textContent).toContain("Free some space"));
    expect(screen.getByTestId("guest-noted").textContent).toContain("Bob");
  });

  it("is listed at home with what it opens", async () => {
    useRoute.setState({ route: { page: "home" } });
    shares = [{ id: "a1", source: "s", name: "slide.tif", label: "", expires_s: 1_800_000_000, revoked_s: null }];
    render(<Share prepare={() => ""} />);
    fireEvent.click(screen.getByTestId("share"));
    expect((await screen.findByTestId("guest-noted")).textContent).toContain("slide.tif: for nobody named, until");
    fireEvent.click(screen.getByTestId("guest-link"));
    await waitFor(() => expect(screen.getByTestId("guest-said").textContent).toContain("Open what you want"));
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
