import { cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../../api/client";
import { useRoute } from "../../state/route";
import { Axes } from "./Axes";
import { Channels, outline } from "./Channels";
import { filtered, Metadata } from "./Metadata";
import { defaultSettings, defaultShown, firstPlane } from "./model";
import { ImagePanel } from "./Panel";
import { fieldsByWell } from "./Plate";
import { Readout } from "./Readout";
import { Words, Work } from "./States";
import { sample } from "./sample";
import { blankImage, getImage, setImage } from "./state";

beforeEach(() => {
  vi.stubGlobal("fetch", () => new Promise(() => {}));
  blankImage("cells");
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

function opened(info = sample()): void {
  const settings = defaultSettings(info).map((s) => ({ ...s, window: [0, 100] as [number, number] }));
  const shown = defaultShown(info);
  setImage({ phase: "ready", info, arrayId: info.array_id, plane: firstPlane(info), settings, shown });
}

describe("states", () => {
  it("loading says what, and how far where that is known", () => {
    setImage({ progress: { volume: { label: "Volume 1 of 2", fraction: 0.43 } } });
    render(
      <>
        <Words />
        <Work />
      </>,
    );
    expect(screen.getByText("Opening the image…")).toBeTruthy();
    expect(screen.getByTestId("progress").textContent).toContain("43 %");
  });

  it("failed tells message, hint and code, and leads home", () => {
    setImage({ phase: "error", error: new ApiError("damaged", "The file is damaged", "Copy it again.", 502) });
    render(<Words />);
    const alert = screen.getByTestId("error");
    expect(alert.dataset.code).toBe("damaged");
    expect(alert.textContent).toMatch(/The file is damaged.*Copy it again/);
    expect(within(alert).getByText("All sources").getAttribute("href")).toContain("page=home");
  });

  it("an image that is not there is told in words for people, not for programs", () => {
    const error = new ApiError("source_not_found", "Source not found: x", "GET /api/sources lists them.", 404);
    setImage({ phase: "error", error });
    render(<Words />);
    expect(screen.getByTestId("error").textContent).toContain("moved or deleted");
    expect(screen.getByTestId("error").textContent).not.toContain("GET");
  });

  it("an array of an HDF5 file that is no picture leads into the file", async () => {
    const source = {
      source_id: "run",
      name: "run.h5",
      source_url: "file:///run.h5",
      source_type: "hdf5",
      kind: "images",
      status: "ready",
      version: "1",
      size_bytes: 10,
      modified: 1,
      indexed_at: 0,
      error: null,
      tensors: [],
    };
    vi.stubGlobal("fetch", async () => new Response(JSON.stringify(source)));
    blankImage("run/g/trace");
    setImage({ phase: "error", error: new ApiError("not_a_picture", "It is no picture", "", 0) });
    render(<Words />);
    expect((await screen.findByTestId("look-inside")).getAttribute("href")).toContain("inside=run");
  });

  it("a failed wish can be dismissed while the image stays", () => {
    opened();
    setImage({ error: new ApiError("unreadable", "No", "", 500) });
    render(<Words />);
    fireEvent.click(screen.getByText("Dismiss"));
    expect(screen.queryByTestId("error")).toBeNull();
  });

  it("a refused visitor is told about the token", () => {
    setImage({ phase: "error", error: new ApiError("token_needed", "This server asks for a token", "", 401) });
    render(<Words />);
    expect(screen.getByTestId("error").textContent).toContain("whole URL");
  });

  it("offline and empty", () => {
    opened(sample({ shape: [0, 3, 5, 600, 1001] }));
    setImage({ offline: true, phase: "empty" });
    render(<Words />);
    expect(screen.getByTestId("error").dataset.code).toBe("offline");
    expect(screen.getByTestId("empty").textContent).toContain("t 0");
  });

  it("a volume that is flat or too large says so, and what to do instead", () => {
    opened();
    setImage({ mode: "volume", volume: { kind: "too_large", voxels: 1e9 } });
    render(<Words />);
    expect(screen.getByTestId("no-volume").textContent).toContain("1,000,000,000 voxels");
    fireEvent.click(screen.getByText("Maximum over z"));
    expect(getImage().mode).toBe("max");
  });
});

describe("channels", () => {
  it("are hidden, coloured and stretched", () => {
    opened();
    render(<Channels />);
    const second = within(screen.getAllByTestId("channel")[1] as HTMLElement);
    fireEvent.click(second.getByTestId("channel-visible"));
    fireEvent.change(second.getByTestId("channel-color"), { target: { value: "#ff8800" } });
    const to = second.getByTestId("window-to");
    fireEvent.change(to, { target: { value: "55" } });
    fireEvent.keyDown(to, { key: "Enter" });
    const gamma = second.getByTestId("gamma");
    fireEvent.change(gamma, { target: { value: "99" } });
    fireEvent.blur(gamma);
    expect(getImage().settings[1]).toEqual({ color: "#ff8800", window: [0, 55], gamma: 10, visible: false });
  });

  it("a window without width, or of words, is not taken", () => {
    opened();
    render(<Channels />);
    const to = screen.getAllByTestId("window-to")[0] as HTMLElement;
    for (const value of ["0", "-5", "", "abc"]) {
      fireEvent.change(to, { target: { value } });
      fireEvent.blur(to);
    }
    expect(getImage().settings[0]?.window).toEqual([0, 100]);
  });

  it("of any number are found by name; the seventh has to wait", () => {
    const channels = Array.from({ length: 40 }, (_, index) => ({
      index,
      label: `marker ${index}`,
      color: "#ffffff",
      active: true,
      window: null,
    }));
    opened(sample({ channels, shape: [1, 40, 1, 600, 1001] }));
    render(<Channels />);
    expect(screen.getAllByTestId("channel")).toHaveLength(6);
    fireEvent.change(screen.getByLabelText("Filter channels"), { target: { value: "r 39" } });
    const last = screen.getByLabelText<HTMLInputElement>("marker 39");
    expect(last.disabled).toBe(true);
  });

  it("histograms are drawn where their values lie", () => {
    const statistics = { histogram: { lo: 10, hi: 20, counts: [4, 1] } } as never;
    expect(outline(statistics, [0, 20])).toBe(
      "M128.00 40L128.00 0.00L192.00 0.00L192.00 20.00L256.00 20.00L256.00 40Z",
    );
    expect(outline({ histogram: { lo: null, hi: null, counts: [] } } as never, [0, 1])).toBe("");
  });

  it("has no gaps between whole numbers", () => {
    const of = (counts: number[]) => ({ histogram: { lo: 0, hi: 2, counts } }) as never;
    // 0, 1 and 2 in four bins, the third of which is what 1 falls into.
    expect(outline(of([4, 0, 4, 4]), [0, 2])).toBe(outline(of([4, 4, 4]), [0, 2]));
    expect(outline(of([4, 4, 4, 4]), [0, 2])).toContain("L64.00 0.00");
  });
});

describe("axes", () => {
  it("move by their sliders, and say where they are", () => {
    opened();
    render(<Axes />);
    expect(screen.getByTestId("axis-z").textContent).toContain("3 / 5 · 4 µm");
    fireEvent.keyDown(screen.getByTestId("slider-t"), { key: "ArrowRight" });
    expect(getImage().plane.t).toBe(1);
    expect(screen.getByTestId("axis-t").textContent).toContain("2 / 4 · 30 s");
  });

  it("play when the plane before is drawn, and only then", () => {
    vi.useFakeTimers();
    opened();
    render(<Axes />);
    fireEvent.click(screen.getByTestId("play-t"));
    vi.advanceTimersByTime(1000);
    expect(getImage().plane.t).toBe(0);
    setImage({ painted: { key: "cells|plane|t0,z2|0+1+2|", level: 0, tiles: 1 } });
    vi.advanceTimersByTime(1000);
    expect(getImage().plane.t).toBe(1);
    fireEvent.click(screen.getByTestId("play-t"));
    expect(getImage().playing).toBeNull();
    vi.useRealTimers();
  });

  it("of depth rest while it is projected", () => {
    opened();
    setImage({ mode: "max" });
    render(<Axes />);
    expect(screen.getByTestId<HTMLButtonElement>("play-z").disabled).toBe(true);
    expect(screen.getByTestId("axis-z").textContent).toContain("all planes at once");
  });
});

describe("which image", () => {
  it("scenes are chosen by name, and what is set goes along", () => {
    const siblings = ["overview", "detail"].map((name) => ({ array_id: `cells/${name}`, name }));
    opened(sample({ siblings, array_id: "cells/overview" }));
    setImage({ mode: "max" });
    render(<ImagePanel onPicture={() => {}} />);
    expect(screen.getByTestId("share-here").textContent).toBe("Share");
    fireEvent.change(screen.getByTestId("scene-select"), { target: { value: "cells/detail" } });
    expect(useRoute.getState().route).toEqual({ page: "image", image: "cells/detail" });
    expect(new URLSearchParams(location.search).get("mode")).toBe("max");
  });

  it("a plate shows its wells; a well its fields", () => {
    const plate = {
      rows: [{ name: "A" }, { name: "B" }],
      columns: [{ name: "1" }, { name: "2" }],
      wells: [
        { path: "A/1", rowIndex: 0, columnIndex: 0 },
        { path: "B/2", rowIndex: 1, columnIndex: 1 },
      ],
    };
    const siblings = ["A/1/0", "A/1/1", "B/2/0"].map((name) => ({ array_id: `cells/${name}`, name }));
    const info = sample({ plate, siblings, array_id: "cells/A/1/1" });
    expect([...fieldsByWell(info, plate)].map(([path, own]) => [path, own.length])).toEqual([
      ["A/1", 2],
      ["B/2", 1],
    ]);
    opened(info);
    render(<ImagePanel onPicture={() => {}} />);
    const wells = screen.getAllByTestId("well");
    expect(wells.map((w) => [w.dataset.well, w.getAttribute("aria-pressed")])).toEqual([
      ["A1", "true"],
      ["B2", "false"],
    ]);
    fireEvent.click(wells[1] as HTMLElement);
    expect(useRoute.getState().route).toEqual({ page: "image", image: "cells/B/2/0" });
  });

  it("a flat image offers no projection and says why", () => {
    opened(sample({ shape: [4, 3, 1, 600, 1001] }));
    render(<ImagePanel onPicture={() => {}} />);
    expect(screen.getByTestId<HTMLButtonElement>("mode-max").disabled).toBe(true);
    expect(screen.getByText(/One plane in z/)).toBeTruthy();
  });
});

describe("metadata", () => {
  const tree = { Image: { Name: "cells", Pixels: { SizeX: 10 } }, list: [1, 2] };

  it("is searched by names and by values", () => {
    expect(filtered("", tree, "sizex")).toEqual({ Image: { Pixels: { SizeX: 10 } } });
    expect(filtered("", tree, "cells")).toEqual({ Image: { Name: "cells" } });
    expect(filtered("", tree, "image")).toEqual({ Image: tree.Image });
    expect(filtered("", tree, "nothing")).toBeUndefined();
  });

  it("is shown as a tree, and says when nothing is found", () => {
    opened();
    setImage({ metadata: tree });
    render(<Metadata />);
    expect(screen.queryByText("SizeX")).toBeNull();
    fireEvent.change(screen.getByTestId("metadata-filter"), { target: { value: "sizex" } });
    expect(screen.getByText("SizeX")).toBeTruthy();
    expect(screen.queryByText("list")).toBeNull();
    fireEvent.change(screen.getByTestId("metadata-filter"), { target: { value: "zzz" } });
    expect(screen.getByText(/Nothing here holds/)).toBeTruthy();
  });
});

describe("read-out", () => {
  it("tells place, position, values and object", () => {
    opened();
    setImage({
      labels: { id: "l", opacity: 1, outlines: false },
      hover: { column: 10, row: 4, x: 0, y: 0, values: { 0: 77, 2: 2n ** 60n }, exact: true, label: 5 },
    });
    render(<Readout />);
    const text = screen.getByTestId("readout").textContent ?? "";
    expect(text).toContain("x 10 · y 4");
    expect(text).toContain("5 µm, 2 µm");
    expect(text).toContain("77");
    expect(text).toContain("1,152,921,504,606,846,976");
    expect(text).toContain("object 5");
  });

  it("says when a value is only near", () => {
    opened();
    setImage({ hover: { column: 0, row: 0, x: 0, y: 0, values: { 0: 77 }, exact: false, label: null } });
    render(<Readout />);
    expect(screen.getByTestId("value").textContent).toContain("≈ 77");
  });
});
