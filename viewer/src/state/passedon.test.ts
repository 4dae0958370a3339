/** What is passed on of what a person has made: links, session files, and a file that changed meanwhile. */

import { describe, expect, it } from "vitest";
import { codes, gene, identity, m, made, makeSome, N, now, range, server, setOf, shown } from "./hundred";

describe("a link", () => {
  it("shows the same filters, and says what it leaves out", async () => {
    await makeSome();
    const before = made();
    expect(m.leftOut(now())).toBe("2 groups are only in the session file. Save it (S) to pass them on.");
    m.writeAddress();
    const link = location.search;
    m.leave();
    history.replaceState(null, "", link);
    await m.start();
    await m.sift();
    expect(made().filters).toEqual(before.filters);
    expect([made().shown, made().selection, made().painted]).toEqual([before.shown, before.selection, before.painted]);
  });

  it("of before there were filters still hides what it hid", async () => {
    m.leave();
    history.replaceState(null, "", "/?color=field:kind&hidden=0,3");
    await m.start();
    await m.sift();
    expect(shown()).toBe(codes.filter((c) => c === 1 || c === 2).length);
  });

  it("may be odd: what means nothing is left out and told", async () => {
    const odd = ["", "x", "hide:0:nope", "hide:0:depth", "range:a::1:depth", "range:1:2:1:kind", "gene:1::0:::nope"];
    const fine = "range:::0:depth";
    m.leave();
    const query = [...odd, fine, "in:200", "gene:::0:nope:0:Q"].map((f) => `filter=${encodeURIComponent(f)}`);
    history.replaceState(null, "", `/?${query.join("&")}`);
    await m.start();
    await m.sift();
    expect(now().filters.length).toBe(1);
    expect(now().notice).toContain("9 filters");
    expect(shown()).toBe(95);
  });

  it("has no room for long filters and large selections", async () => {
    const many = setOf(...Array.from({ length: 50 }, (_, i) => i * 2));
    await m.setFilters([{ id: "1", on: true, by: { kind: "cells", bits: many, inside: true, name: "" } }]);
    expect(m.leftOut(now())).toBe("");
    expect(m.leftOut({ ...now(), selection: { cells: many, places: many, count: 5000 } })).toBe(
      "the selection of 5,000 cells is only in the session file. Save it (S) to pass it on.",
    );
  });

  it("says that scores stay behind, when it is copied and when it is opened", async () => {
    const score = {
      kind: "score" as const,
      id: "1",
      key: "T cells",
      method: "mean" as const,
      expression: "X",
      genes: [],
    };
    expect(m.leftOut({ ...now(), groups: [], filters: [], selection: null, scores: [score] })).toBe(
      "1 score is only in the session file. Save it (S) to pass it on.",
    );
    m.leave();
    history.replaceState(null, "", "/?color=score:T%20cells");
    await m.start();
    expect(now().notice).toBe(
      "There is no score “T cells”: scores are in session files, not in links; these are the default colours.",
    );
  });
});

describe("a file that changed", () => {
  it("takes sets of cells along only while it has as many", async () => {
    await makeSome();
    await m.start();
    await m.sift();
    expect([now().groups.length, now().filters.length > 0]).toEqual([2, true]);
    identity.stats.n_cells = 50;
    history.replaceState(null, "", "/");
    await m.start();
    identity.stats.n_cells = N;
    expect([now().groups, now().filters, now().selection, now().passing, now().geometry]).toEqual([
      [],
      [],
      null,
      null,
      null,
    ]);
  });
});

describe("a session file", () => {
  const file = (body: unknown) =>
    new File([typeof body === "string" ? body : JSON.stringify(body)], "x.coverslip.json", {
      type: "application/json",
    });
  const open = async (body: unknown) => {
    await m.openSession(file(body));
    await m.sift();
    return now().notice ?? "";
  };

  it("brings everything back, in one step of the history", async () => {
    await makeSome();
    const before = made();
    const saved = JSON.parse(JSON.stringify(await m.sessionNow()));
    expect(saved).toMatchObject({
      format: "coverslip session",
      version: 1,
      dataset: { id: "set", name: "My cells / 1", cells: { n: N, digest: "sha256:one" } },
      filters: [{ category: { field: "kind", hidden: ["c:d", null] } }, {}, { on: false, range: { gene: "Q" } }, {}],
    });
    m.leave();
    await m.start();
    m.beginHistory();
    expect(await open(saved)).toBe("Opened x.coverslip.json.");
    expect(made()).toEqual(before);
    expect(m.useHistory.getState().past).toBe(1);
    expect(m.fileName(now().identity?.name ?? "")).toBe("My_cells_1.coverslip.json");
  });

  it("keeps parts that nobody here knows, and gives late comers theirs", async () => {
    const saved = await m.sessionNow();
    await open({ ...saved, parts: { known: { a: 1 }, "not yet": [2] } });
    const got: unknown[] = [];
    const end = m.register("known", { save: () => ({ a: 3 }), load: (value) => void got.push(value) });
    expect(got).toEqual([{ a: 1 }]);
    expect((await m.sessionNow()).parts).toEqual({ known: { a: 3 }, "not yet": [2] });
    end();
    expect((await m.sessionNow()).parts).toEqual({ "not yet": [2] });
  });

  it("finds fields and genes by name when their numbers changed", async () => {
    await m.setFilters([{ id: "1", on: true, by: range(gene, 1, null) }]);
    const saved = JSON.parse(JSON.stringify(await m.sessionNow()));
    saved.filters[0].range.index = 0;
    saved.filters.push({ on: true, range: { field: "gone", min: 1, max: 2 } });
    expect(await open(saved)).toContain("1 filter of fields or genes that are not here left out");
    expect(now().filters[0]?.by).toMatchObject({ of: { index: 1, key: "Q" } });
  });

  it.each([
    ["not JSON", "{", "not a session file"],
    ["another document", { format: "else" }, "not a session file"],
    ["a list", [1], "not a session file"],
    ["null", "null", "not a session file"],
    ["a newer one", { format: "coverslip session", version: 2 }, "newer"],
    ["no version", { format: "coverslip session" }, "newer"],
    ["no cells", { format: "coverslip session", version: 1 }, "unknown number of cells"],
  ])("that is wrong changes nothing: %s", async (_, body, words) => {
    m.keep(setOf(1), "stays");
    expect(await open(body)).toContain(words);
    expect(now().groups.map((g) => g.name)).toEqual(["stays"]);
  });

  it("of other cells, or damaged, changes nothing", async () => {
    await makeSome();
    const saved = JSON.parse(JSON.stringify(await m.sessionNow()));
    const before = made();
    const with_ = (edit: (s: typeof saved) => void) => {
      const copy = structuredClone(saved);
      edit(copy);
      return copy;
    };
    const wrong: [string, unknown][] = [
      ["7 cells", with_((s) => (s.dataset.cells.n = 7))],
      ["another order", with_((s) => (s.dataset.cells.digest = "sha256:two"))],
      ["damaged", with_((s) => (s.groups[0].bits = "@@"))],
      ["damaged", with_((s) => (s.groups[0].bits = s.groups[0].bits.slice(0, 8)))],
      ["damaged", with_((s) => (s.groups[1].count = 2))],
      ["no cells in it", with_((s) => delete s.groups[0].bits)],
      ["unknown way", with_((s) => (s.selection.encoding = "rot13"))],
      ["another number", with_((s) => Object.assign(s.selection, { bits: "AAAA", encoding: "base64" }))],
    ];
    for (const [words, body] of wrong) {
      expect(await open(body)).toContain(words);
      expect(made()).toEqual(before);
    }
    // Nobody can tell: it is opened.
    server.digest = null;
    expect(await open(with_((s) => (s.dataset.cells.digest = "sha256:two")))).toContain("Opened");
  });
});
