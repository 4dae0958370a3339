/** A page's sheet stays loaded when the page is left: what it says of a class must not be said of the next page's, too. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const SOURCES = join(import.meta.dirname, "..");
const sheets = readdirSync(SOURCES, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".css"));

/** Classes for which a sheet has rules wherever they stand: alone at the beginning of a selector. */
function claims(css: string): string[] {
  const bare = css.replace(/\/\*[\s\S]*?\*\//g, "");
  const selectors = [...bare.matchAll(/(?:^|[{};])\s*([^@{};]+)\{/g)].flatMap(([, list = ""]) => list.split(","));
  return selectors.flatMap((selector) => /^\s*\.([\w-]+)(?![\w.-])/.exec(selector)?.[1] ?? []);
}

describe("style sheets", () => {
  it("are found, and their classes", () => {
    expect(sheets.length).toBeGreaterThan(6);
    expect(claims("/* .no */ .a { x: y } .b:hover, p .c { } .d.e { } @media (x) { .f > .g { } }")).toEqual([
      "a",
      "b",
      "f",
    ]);
  });

  it("each have classes of their own", () => {
    const owners = new Map<string, Set<string>>();
    for (const sheet of sheets) {
      for (const name of claims(readFileSync(join(SOURCES, sheet), "utf8"))) {
        owners.set(name, (owners.get(name) ?? new Set()).add(sheet));
      }
    }
    const shared = [...owners]
      .filter(([, own]) => own.size > 1)
      .map(([name, own]) => `${name}: ${[...own].join(", ")}`);
    expect(shared).toEqual([]);
  });
});
