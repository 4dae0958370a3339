/** Whatever stands in an address, a session file or a pasted text: it is refused in a sentence, or means something. */

import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { nearly, runs, textLike } from "../api/fuzz";
import { tokenIn } from "../api/session";
import type { Genes } from "../api/types";
import { members } from "../data/bits";
import { nativeView, toGpu, toIds, valueAt } from "../data/pixels";
import { toVoxels } from "../data/voxels";
import { findAll, readGmt } from "../views/analysis/lists";
import { readHome, writeHome } from "../views/catalog/model";
import { partsOf, readLinked as readInside } from "../views/h5web/model";
import { readLink } from "../views/image/link";
import { cameraFromLink, homePlane, homeVolume } from "../views/image/model";
import { pick } from "../views/neighbours/graph";
import { readLinked, writeLinked } from "../views/network/model";
import { filtersFrom } from "./filterlink";
import { identity, m, makeSome, N, now } from "./hundred";
import { pack, unpack } from "./packing";
import { readRoute } from "./route";
import { scoreFrom } from "./scores";
import { readRuns, readUrl, writeRuns, writeUrl } from "./url";
import { readView, writeView } from "./viewlink";

vi.setConfig({ testTimeout: 600_000 }); // many inputs, on a machine that may be busy

const LINKS = [
  "dataset=a&embedding=X&dim=2&columns=0,1&color=field:kind&gene=3&expr=X&range=1,2&cmap=magma&hidden=0-4,7",
  "filter=off-range:1::0:depth&filter=hide:0-1:kind&filecolors=1&pane=X;2;0,1;gene:Q;1;0,2;viridis;1;1,2,3&at=1&apart=1",
  "knn=1&vectors=flow:v&size=2&alpha=0.5&camera=1,2,3&view=both&tissue=he&spot=3&picture=0.5&spots=1&selected=1-5",
  "image=a/0&t=1&z=2&sel=p:1,q:2&channels=0:00ff00:1:2:1:1,1:ff0000&mode=max&labels=a,0.5,1&view=1,2,3&fps=9",
  "network=a&color=population&gid=3&edges=2000&camera=1,2,3,4,5,6&without=box&weight=d&cmap=viridis&hidden=1",
  "page=home&search=x&kind=cells&status=ready&sort=-name&view=table&inside=a&file=b.h5&at=/g/d&theme=dark",
];
const finite = (values: number[] | null) => values === null || values.every(Number.isFinite);

describe("addresses", () => {
  it("are read whatever they say, and what was written is read the same", () => {
    fc.assert(
      fc.property(textLike(...LINKS), (text) => {
        const linked = readUrl(text);
        expect([linked.camera, linked.tissueCamera, linked.columns, linked.range].every(finite)).toBe(true);
        expect([...linked.hidden, ...linked.selected].every(Number.isSafeInteger)).toBe(true);
        const again = readUrl(writeUrl(linked, ""));
        expect(again.hidden).toEqual(
          [...linked.hidden].sort((a, b) => a - b).filter((c, i, all) => c !== all[i - 1] || again.hidden[i] === c),
        );
        for (const one of linked.views)
          expect(readView(writeView(readView(one))).columns).toEqual(readView(one).columns);
        const picture = readLink(text);
        expect(finite(picture.camera) && picture.fps >= 1 && picture.fps <= 60).toBe(true);
        for (const home of [
          homePlane({ width: 3, height: 4 }, { width: 5, height: 6 }),
          homeVolume({ width: 5, height: 6 }),
        ])
          expect(cameraFromLink(picture.camera, home).target.every(Number.isFinite)).toBe(true);
        expect(finite(readLinked(text).camera)).toBe(true);
        writeLinked(readLinked(text));
        expect(writeHome(readHome(text)).page).toBe("home");
        expect(readInside(text).at.startsWith("/")).toBe(true);
        expect(typeof readRoute(text).page).toBe("string");
        expect(typeof tokenIn(text)).toBe("string");
        partsOf({ source_url: text } as never);
      }),
      runs(300),
    );
  });

  it("tell sets of cells as runs", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(5000)), (codes) => {
        expect(readRuns(writeRuns(codes))).toEqual([...codes].sort((a, b) => a - b));
      }),
      runs(100),
    );
    expect(readRuns(`${"9".repeat(400)},9007199254740991-9007199254740999,3`)).toEqual([3]);
  });

  it("name filters, or nothing", async () => {
    const texts = [
      "off-range:1:2:0:depth",
      "hide:0-2,5:kind",
      "in:0-9,99",
      "out:3",
      "gene:0:1:1:X:1:Q",
      "gene:::0:layer%3An:0:G:1",
    ];
    await fc.assert(
      fc.asyncProperty(textLike(...texts), async (text) => {
        const { filters, missed } = await filtersFrom([text], identity as never, async () => null);
        expect(filters.length + missed).toBe(1);
      }),
      runs(300),
    );
  });
});

/** A refusal in words of ours, and no slip of the program. */
async function told(work: Promise<unknown>): Promise<void> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error === null) return;
  expect(error).toBeInstanceOf(Error);
  expect([TypeError, RangeError, SyntaxError, ReferenceError].some((kind) => error instanceof kind)).toBe(false);
  expect((error as Error).message).not.toBe("");
}

describe("session files", () => {
  it("are opened, or refused in a sentence", async () => {
    await makeSome();
    const { sessionNow, loadSession } = await import("./files");
    const saved = JSON.parse(JSON.stringify(await sessionNow()));
    await loadSession(saved);
    await fc.assert(
      fc.asyncProperty(nearly(saved), async (one) => {
        if (typeof one !== "object" || one === null) return;
        await told(loadSession(one as Record<string, unknown>));
        const { groups, selection } = now();
        for (const { cells, count } of groups) expect(members(cells).length).toBe(count);
        expect((selection?.count ?? 0) <= N).toBe(true);
        m.set({ notice: null, error: null });
      }),
      runs(60),
    );
  });

  it("hold sets of cells, and no others", async () => {
    const cells = Uint32Array.from([5, 2 ** 31, 0, 9]);
    const packed = await pack(cells, N);
    expect(Array.from(await unpack(packed, N, "It"))).toEqual(Array.from(cells));
    await fc.assert(
      fc.asyncProperty(nearly(packed, { ...packed, encoding: "base64" }), async (one) => {
        await told(unpack(one, N, "It").then((found) => expect(members(found).every((cell) => cell < N)).toBe(true)));
      }),
      runs(200),
    );
  });

  it("hold scores, or none", () => {
    const score = { name: "s", id: "1", method: "scanpy", expression: "X", genes: [{ index: 1, name: "Q" }] };
    expect(scoreFrom(score)?.key).toBe("s");
    fc.assert(
      fc.property(nearly(score), (one) => {
        const found = scoreFrom(one);
        expect(found === null || (found.genes.length > 0 && typeof found.key === "string")).toBe(true);
      }),
      runs(300),
    );
  });
});

describe("pasted texts and files of gene sets", () => {
  it("are lists of genes and of what is none", () => {
    const genes: Genes = { expression: "X", names: ["CD3D", "LYZ", "constructor"], symbols: null, values: "" };
    fc.assert(
      fc.property(textLike("CD3D,LYZ;x\n", "set\tof\tCD3D\tLYZ\r\n#", '"constructor" toString __proto__'), (text) => {
        expect(findAll(genes, text).genes.every((i) => i >= 0 && i < 3)).toBe(true);
        const { sets, bad } = readGmt(text);
        expect(sets.every((one) => one.name !== "" && one.genes.length > 0)).toBe(true);
        expect(bad.every((line) => line > 0)).toBe(true);
      }),
      runs(300),
    );
  });
});

describe("arrays of the server", () => {
  const types = [
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
  ];

  it("are pixels of every type, or of none that is known", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(...types), (bytes, dtype) => {
        const body = bytes.slice(0, bytes.length - (bytes.length % 8)).buffer;
        const pixels = nativeView(body, dtype);
        expect(toGpu(pixels, dtype).length).toBe(pixels.length);
        expect(toIds(pixels).length).toBe(pixels.length);
        if (pixels.length > 0) expect(["number", "bigint"]).toContain(typeof valueAt(pixels, 0, dtype));
        const { halves, low, high } = toVoxels(body, dtype);
        expect(halves.every((half) => half <= 0x3c00) && low <= high).toBe(true);
      }),
      runs(60),
    );
    for (const dtype of ["complex64", "", "toString", "__proto__"])
      expect(() => nativeView(new ArrayBuffer(8), dtype)).toThrow("cannot be drawn");
  });

  it("are neighbours of cells that are there", () => {
    const ends = fc.array(fc.nat(15), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(ends, ends, fc.array(fc.float(), { minLength: 8, maxLength: 8 }), fc.nat(9), (a, b, w, most) => {
        const graph = {
          n: 10,
          sources: Uint16Array.from(a),
          targets: Uint16Array.from(b),
          weights: Float32Array.from(w),
        };
        const found = pick(graph, { passing: null, touching: null, cell: null, most });
        expect(found.total).toBe(a.filter((one, i) => one < 10 && (b[i] as number) < 10).length);
        expect(found.ends.every((place) => place < 10)).toBe(true);
        expect(found.ends.length / 2 === found.weights.length && found.weights.length <= most).toBe(true);
      }),
      runs(200),
    );
  });
});
