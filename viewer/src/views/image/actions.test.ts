import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { sample } from "./sample";

const {
  autoContrast,
  changeChannel,
  chooseLabels,
  chooseMode,
  choosePlace,
  leaveImage,
  loadVolume,
  mainAxis,
  openImage,
} = await import("./actions");
const { pointAt, resetChannels, stepPlace, toggleShown } = await import("./actions");
const { getImage, setImage, wantedKey } = await import("./state");

const many = Array.from({ length: 9 }, (_, index) => ({
  index,
  label: `marker ${index}`,
  color: "#00ff00",
  active: index !== 1,
  window: null,
}));

let info = sample();
let down = false;
let asked: string[] = [];
let delays: Record<string, number> = {};
let refusal: [string, number, string] | null = null;

const json = (value: unknown) => new Response(JSON.stringify(value));

function figures(url: string) {
  const channel = Number(new URLSearchParams(url.split("?")[1]).get("c"));
  const z = Number(new URLSearchParams(url.split("?")[1]).get("z"));
  const histogram = { lo: 0, hi: 9, counts: Array(256).fill(1) };
  const percentiles = { "1": 100 * channel + z, "99.9": 100 * channel + 50 + z };
  return { channels: [{ index: channel, min: 0, max: 1000, mean: 1, std: 1, percentiles, histogram, level: 0 }] };
}

function answer(url: string): Response {
  if (refusal && url.includes(refusal[0])) {
    return new Response(JSON.stringify({ error: { code: refusal[2], message: "No", hint: "" } }), {
      status: refusal[1],
    });
  }
  if (url.startsWith("api/tile_info/cells/labels")) {
    return json(sample({ array_id: "cells/labels/nuclei", dim_labels: ["y", "x"], shape: [300, 500], is_label: true }));
  }
  if (url.startsWith("api/tile_info/")) return json(info);
  if (url.startsWith("api/statistics/")) return json(figures(url));
  if (url.startsWith("api/sources/")) return json({ name: "cells.tif" });
  return json({ status: "ok" });
}

beforeEach(() => {
  vi.useFakeTimers();
  info = sample();
  down = false;
  asked = [];
  delays = {};
  refusal = null;
  history.replaceState(null, "", "/?image=cells");
  vi.stubGlobal("fetch", (url: string, options?: { signal?: AbortSignal }) => {
    asked.push(url);
    return new Promise<Response>((resolve, reject) => {
      options?.signal?.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
      const wait = Object.entries(delays).find(([part]) => url.includes(part))?.[1] ?? 0;
      setTimeout(() => (down ? reject(new TypeError("Failed to fetch")) : resolve(answer(url))), wait);
    });
  });
});

afterEach(() => {
  leaveImage();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function settle(work?: Promise<unknown>): Promise<void> {
  await vi.advanceTimersByTimeAsync(800);
  await work;
}

describe("opening", () => {
  it("shows the active channels in windows found from the pixels", async () => {
    info = sample({ channels: many, shape: [1, 9, 1, 600, 1001] });
    await settle(openImage("cells"));
    const { phase, shown, settings, source, statistics } = getImage();
    expect([phase, source]).toEqual(["ready", "cells.tif"]);
    expect(shown).toEqual([0, 2, 3, 4, 5, 6]);
    expect(settings[2]?.window).toEqual([200, 250]);
    expect(settings[1]?.window).toBeNull();
    expect(Object.keys(statistics)).toEqual(["0", "2", "3", "4", "5", "6"]);
  });

  it("follows a link as far as the image has what it names", async () => {
    history.replaceState(null, "", "/?image=cells&t=99&z=0&channels=2:ff8000:5:9:2:0,77:ffffff&mode=max&fps=2");
    await settle(openImage("cells"));
    const { plane, shown, settings, mode, fps, notice } = getImage();
    expect([plane, shown, mode, fps]).toEqual([{ t: 3, z: 0 }, [2], "max", 2]);
    expect(settings[2]).toEqual({ color: "#ff8000", window: [5, 9], gamma: 2, visible: false });
    expect(notice).toContain("not in this image");
    expect(asked.some((url) => url.includes("statistics"))).toBe(false);
  });

  it.each([
    [sample({ dtype: "complex64" }), "not_drawable"],
    [sample({ picture: false, dim_labels: ["a"], shape: [7], levels: [] }), "not_a_picture"],
  ])("says why an array cannot be drawn", async (own, code) => {
    info = own;
    await settle(openImage("cells"));
    expect([getImage().phase, getImage().error?.code]).toEqual(["error", code]);
  });

  it("of an image without pixels is empty, not broken", async () => {
    info = sample({ shape: [0, 3, 5, 600, 1001] });
    await settle(openImage("cells"));
    expect(getImage().phase).toBe("empty");
  });

  it("tells the server's own error, and works when tried again", async () => {
    refusal = ["tile_info", 502, "damaged"];
    await settle(openImage("cells"));
    expect([getImage().phase, getImage().error?.code]).toEqual(["error", "damaged"]);
    refusal = null;
    const { retry } = await import("./actions");
    retry();
    await settle();
    expect(getImage().phase).toBe("ready");
  });

  it("reconnects by itself when the server was not there yet", async () => {
    down = true;
    await settle(openImage("cells"));
    expect(getImage().error?.code).toBe("offline");
    down = false;
    await vi.advanceTimersByTimeAsync(4000);
    expect([getImage().phase, getImage().error]).toEqual(["ready", null]);
  });

  it("of a label image shows its objects rather than its numbers", async () => {
    info = sample({ is_label: true, array_id: "cells/labels/nuclei", dim_labels: ["y", "x"], shape: [300, 500] });
    await settle(openImage("cells/labels/nuclei"));
    expect(getImage().shown).toEqual([]);
    expect(getImage().labels).toMatchObject({ id: "cells/labels/nuclei", opacity: 1 });
    expect(getImage().labelTiles?.info.is_label).toBe(true);
  });

  it("shows the image opened last, however late an earlier one arrives", async () => {
    delays = { slow: 500 };
    const slow = openImage("slow");
    info = sample({ array_id: "quick", name: "quick" });
    await settle(openImage("quick"));
    await settle(slow);
    expect(getImage().info?.name).toBe("quick");
  });
});

describe("an outage", () => {
  it("keeps what is drawn, and asks again for what failed", async () => {
    await settle(openImage("cells"));
    down = true;
    const { lookForServer } = await import("./actions");
    await settle(lookForServer());
    expect([getImage().offline, getImage().phase, getImage().attempt]).toEqual([true, "ready", 0]);
    down = false;
    await vi.advanceTimersByTimeAsync(4000);
    expect([getImage().offline, getImage().attempt]).toEqual([false, 1]);
  });

  it("a file that changed is opened anew", async () => {
    await settle(openImage("cells"));
    refusal = ["statistics", 404, "superseded"];
    const again = autoContrast([0]);
    info = sample({ version: "v2" });
    await vi.advanceTimersByTimeAsync(10);
    refusal = null;
    await settle(again);
    expect(getImage().info?.version).toBe("v2");
    expect(getImage().phase).toBe("ready");
  });

  it("figures that cannot be had leave a channel that can be seen", async () => {
    refusal = ["statistics", 500, "unreadable"];
    await settle(openImage("cells"));
    expect(getImage().error?.code).toBe("unreadable");
    expect(getImage().settings[0]?.window).toEqual([0, 65_535]);
  });
});

describe("channels", () => {
  beforeEach(async () => {
    info = sample({ channels: many, shape: [4, 9, 5, 600, 1001] });
    await settle(openImage("cells"));
  });

  it("are six at most, and come back as they were", async () => {
    expect(toggleShown(1)).toBe(false);
    expect(getImage().notice).toContain("Six");
    changeChannel(0, { color: "#ffffff", gamma: 2 });
    expect(toggleShown(0)).toBe(true);
    expect(toggleShown(1)).toBe(true);
    await settle();
    expect(getImage().shown).toEqual([1, 2, 3, 4, 5, 6]);
    expect(getImage().settings[1]?.window).toEqual([102, 152]);
    toggleShown(6);
    toggleShown(0);
    expect(getImage().settings[0]).toMatchObject({ color: "#ffffff", gamma: 2 });
  });

  it("automatic contrast asks about the plane that is shown", async () => {
    choosePlace("z", 4);
    await settle(autoContrast([2, 3]));
    expect(getImage().settings[2]?.window).toEqual([204, 254]);
    expect(getImage().settings[3]?.window).toEqual([304, 354]);
    expect(getImage().settings[4]?.window).toEqual([402, 452]);
  });

  it("are reset to what a plain link shows", async () => {
    toggleShown(0);
    changeChannel(2, { window: [1, 2], color: "#000000" });
    resetChannels();
    await settle();
    expect(getImage().shown).toEqual([0, 2, 3, 4, 5, 6]);
    expect(getImage().settings[2]).toEqual({ color: "#00ff00", window: [202, 252], gamma: 1, visible: true });
  });

  it("of a picture share their window and gamma", async () => {
    info = sample({ rgb: true, dtype: "uint8" });
    await settle(openImage("cells"));
    changeChannel(0, { window: [10, 20] });
    expect(getImage().settings.map(({ window }) => window)).toEqual([
      [10, 20],
      [10, 20],
      [10, 20],
    ]);
  });
});

describe("places", () => {
  beforeEach(() => settle(openImage("cells")));

  it("stay within the image, and steps go round", () => {
    choosePlace("t", 99);
    expect(getImage().plane.t).toBe(3);
    stepPlace("t", 1);
    expect(getImage().plane.t).toBe(0);
    stepPlace("z", -1);
    expect(getImage().plane.z).toBe(1);
    choosePlace("q", 1);
    expect(getImage().plane).toEqual({ t: 0, z: 1 });
  });

  it("time is the axis that plays, else depth, unless that is projected", async () => {
    expect(mainAxis()).toBe("t");
    info = sample({ shape: [1, 3, 5, 600, 1001] });
    await settle(openImage("cells"));
    expect(mainAxis()).toBe("z");
    chooseMode("max");
    expect(mainAxis()).toBeNull();
  });

  it("histograms follow, a little behind and once", async () => {
    asked = [];
    for (const z of [0, 1, 3, 4]) choosePlace("z", z);
    await settle();
    expect(asked.filter((url) => url.includes("statistics")).every((url) => url.includes("z=4"))).toBe(true);
    expect(asked).toHaveLength(3);
  });

  it("name what a complete frame must show", () => {
    const before = wantedKey(getImage());
    choosePlace("z", 0);
    expect(wantedKey(getImage())).not.toBe(before);
    chooseMode("max");
    const max = wantedKey(getImage());
    setImage({ plane: { t: 0, z: 4 } });
    expect(wantedKey(getImage())).toBe(max);
  });
});

describe("labels and points", () => {
  it("keeps labels whose looks are changed while they are opened", async () => {
    await settle(openImage("cells"));
    delays = { "tile_info/cells/labels": 100 };
    const choices = [0.5, 0.6, 0.7].map((opacity) =>
      chooseLabels({ id: "cells/labels/nuclei", opacity, outlines: false }),
    );
    await settle(Promise.all(choices));
    const { labels, labelTiles } = getImage();
    expect([labels?.opacity, labelTiles?.info.array_id]).toEqual([0.7, "cells/labels/nuclei"]);
  });

  it("labels fill the image they belong to; those that fail are not chosen", async () => {
    await settle(openImage("cells"));
    await settle(chooseLabels({ id: "cells/labels/nuclei", opacity: 0.5, outlines: false }));
    expect(getImage().labelTiles?.pyramid).toMatchObject({ width: 1001, height: 600 });
    refusal = ["labels/other", 404, "array_not_found"];
    await settle(chooseLabels({ id: "cells/labels/other", opacity: 0.5, outlines: false }));
    expect([getImage().labels, getImage().error?.code]).toEqual([null, "array_not_found"]);
  });

  it("outside the image there is nothing to read", async () => {
    await settle(openImage("cells"));
    pointAt([10.5, 599.9], 5, 5);
    expect(getImage().hover).toMatchObject({ column: 10, row: 599 });
    pointAt([10, 600.1], 5, 5);
    expect(getImage().hover).toBeNull();
  });
});

describe("volumes", () => {
  it("of a flat image are refused with the reason, before anything is read", async () => {
    info = sample({ shape: [4, 3, 1, 600, 1001] });
    await settle(openImage("cells"));
    asked = [];
    await settle(loadVolume());
    expect(getImage().volume.kind).toBe("flat");
    expect(asked).toEqual([]);
  });
});
