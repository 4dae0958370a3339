import { beforeEach, describe, expect, it, vi } from "vitest";
import { amendUrl, followHistory, hrefOf, linkTo, navigate, readRoute, settle, useRoute } from "./route";

beforeEach(() => history.replaceState(null, "", "/proxy/8080/"));

describe("the page a link names", () => {
  it.each([
    ["", { page: "door" }],
    ["?theme=dark", { page: "door" }],
    ["?jupyter=true", { page: "door" }],
    ["?page=home", { page: "home" }],
    ["?page=home&kind=images", { page: "home" }],
    ["?dataset=pbmc", { page: "cells", dataset: "pbmc" }],
    ["?dataset=pbmc&color=gene:CD79A", { page: "cells", dataset: "pbmc" }],
    ["?color=gene:CD79A", { page: "cells", dataset: null }],
    ["?camera=1,2,3&theme=dark", { page: "cells", dataset: null }],
    ["?image=plate/A/1/0", { page: "image", image: "plate/A/1/0" }],
    ["?image=a%2Fb&color=x&dataset=c", { page: "image", image: "a/b" }],
    ["?image=&page=home", { page: "home" }],
    ["?dataset=", { page: "door" }],
  ])("%s", (search, route) => expect(readRoute(search)).toEqual(route));
});

describe("links", () => {
  it("are relative, keep the theme and nothing of the page before", () => {
    expect(hrefOf({ page: "home" }, "?dataset=a&color=x&theme=dark")).toBe("?page=home&theme=dark");
    expect(hrefOf({ page: "cells", dataset: "a b&c" }, "")).toBe("?dataset=a+b%26c");
  });

  it("bring every id back as it was", () => {
    for (const id of ["plate.zarr/A/1/0", "100%25 µm", "a?b#c&d=e+f", "ümlaut / 50%"]) {
      expect(readRoute(hrefOf({ page: "image", image: id }, ""))).toEqual({ page: "image", image: id });
    }
  });

  it("leave clicks for a new tab to the browser", () => {
    const event = { button: 0, metaKey: false, ctrlKey: true, shiftKey: false, altKey: false, preventDefault: vi.fn() };
    const link = linkTo({ page: "home" });
    link.onClick(event as unknown as React.MouseEvent);
    expect(event.preventDefault).not.toHaveBeenCalled();
    link.onClick({ ...event, ctrlKey: false } as unknown as React.MouseEvent);
    expect(event.preventDefault).toHaveBeenCalled();
    expect(useRoute.getState().route).toEqual({ page: "home" });
  });
});

describe("moving", () => {
  it("adds to the history, and follows Back", () => {
    const stop = followHistory();
    const before = history.length;
    navigate({ page: "image", image: "a/0" });
    expect(history.length).toBe(before + 1);
    expect(location.pathname + location.search).toBe("/proxy/8080/?image=a/0");
    history.replaceState(null, "", "?page=home");
    dispatchEvent(new PopStateEvent("popstate"));
    expect(useRoute.getState().route).toEqual({ page: "home" });
    stop();
  });

  it("opens a page anew when its link is followed twice", () => {
    navigate({ page: "home" });
    const { visit } = useRoute.getState();
    navigate({ page: "home" });
    expect(useRoute.getState().visit).toBe(visit + 1);
  });

  it("behind the door adds nothing, and keeps what else the link says", () => {
    history.replaceState(null, "", "?jupyter=true");
    const before = history.length;
    settle({ page: "home" });
    expect(history.length).toBe(before);
    expect(location.search).toBe("?jupyter=true&page=home");
  });

  it("amends a link without adding to the history", () => {
    history.replaceState(null, "", "?page=home&kind=images");
    amendUrl({ kind: null, search: "a b", sort: "" });
    expect(location.search).toBe("?page=home&search=a+b");
  });
});
