/** Documents that are nearly right, for tests: members missing, or of other kinds. `COVERSLIP_FUZZ=100` tries a hundred times as many. */

import fc from "fast-check";

const VALUES: unknown[] = [
  null,
  true,
  0,
  -1,
  0.5,
  2 ** 31,
  1e308,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  "",
  "x",
  "__proto__",
  "\ud800",
  "9".repeat(400),
  "toString",
  [],
  [0],
  [null],
  [[]],
  ["a", "b"],
  {},
  { a: 1 },
  { toString: 1 },
];

type Holder = Record<string, unknown>;

function places(value: unknown, found: [Holder, string][] = []): [Holder, string][] {
  if (typeof value !== "object" || value === null) return found;
  for (const name of Object.keys(value)) {
    found.push([value as Holder, name]);
    places((value as Holder)[name], found);
  }
  return found;
}

const step = fc.record({ at: fc.nat(), act: fc.nat(5), value: fc.nat(VALUES.length - 1), from: fc.nat() });

/** One of the documents with one to three of its members changed. */
export function nearly(...whole: unknown[]): fc.Arbitrary<unknown> {
  return fc.tuple(fc.nat(whole.length - 1), fc.array(step, { minLength: 1, maxLength: 3 })).map(([which, steps]) => {
    const holder: Holder = { "": structuredClone(whole[which]) };
    for (const { at, act, value, from } of steps) {
      const all = places(holder);
      if (all.length === 0) break;
      const [inside, name] = all[at % all.length] as [Holder, string];
      const [other, there] = all[from % all.length] as [Holder, string];
      if (act === 0 && Array.isArray(inside)) inside.splice(Number(name), 1);
      else if (act === 0) delete inside[name];
      else inside[name] = structuredClone(act === 1 ? other[there] : VALUES[value]);
    }
    return holder[""];
  });
}

/** Text that is nearly like these: pieces of them put together anew, and some nonsense between. */
export function textLike(...known: string[]): fc.Arbitrary<string> {
  const parts = known.flatMap((text) => text.split(/(?<=[&=,:;#-])/));
  const odd = [
    "",
    "%",
    "%E0%A4",
    "NaN",
    "-1",
    "1e999",
    "9".repeat(400),
    "0-9999999",
    ";;;;",
    "\0",
    "\ud800",
    "__proto__",
    "constructor",
  ];
  return fc
    .array(fc.oneof(fc.constantFrom(...parts), fc.constantFrom(...odd), fc.string({ maxLength: 6 })))
    .map((all) => all.join(""));
}

const times = Number(process.env.COVERSLIP_FUZZ ?? 1);

/** The same inputs each time, unless many are asked for. */
export function runs(usual: number): fc.Parameters<unknown> {
  return { numRuns: Math.round(usual * times), ...(times === 1 ? { seed: 7 } : {}), endOnFailure: times === 1 };
}
