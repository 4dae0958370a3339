import { describe, expect, it } from "vitest";
import { bitsFor } from "../../data/bits";
import type { ColumnInfo, Filter, Keep } from "../../state/filters";
import { keptWords } from "./words";

const kind = { kind: "field", index: 0, key: "kind" } as const;
const groups = (n_missing: number) =>
  ({ kind: "category", field: { categories: ["a", "b", "c"], n_missing } }) as unknown as ColumnInfo;
const numbers = (missing: number) => ({ kind: "continuous", summary: { missing } }) as unknown as ColumnInfo;
const say = (by: Keep, info?: ColumnInfo) => keptWords({ id: "1", on: true, by } satisfies Filter, info);
const hide = (...hidden: number[]): Keep => ({ kind: "category", of: kind, hidden: Uint8Array.from(hidden) });
const range = (min: number | null, max: number | null, missing = false): Keep => ({
  kind: "range",
  of: kind,
  min,
  max,
  missing,
});

describe("what a filter keeps", () => {
  it("is said in a few words", () => {
    expect(say(hide(0, 0, 0, 0), groups(0))).toBe("all values");
    expect(say(hide(0, 1, 0, 0), groups(0))).toBe("not b");
    expect(say(hide(1, 1, 0, 0), groups(0))).toBe("c");
    expect(say(hide(1, 1, 1, 0), groups(4))).toBe("missing");
    expect(say(hide(1, 0, 0, 1), groups(4))).toBe("2 of 4 groups");
    expect(say(hide(1, 1, 1, 1), groups(4))).toBe("0 of 4 groups");
    expect(say(hide(1, 0, 0, 0))).toBe("2 of 3 groups");
    expect(say(range(null, null, true), numbers(1))).toBe("all values");
    expect(say(range(null, null), numbers(1))).toBe("with a value");
    expect(say(range(1.5, null, true), numbers(1))).toBe("1.5 or more or missing");
    expect(say(range(1.5, null, true), numbers(0))).toBe("1.5 or more");
    expect(say(range(null, 2000), numbers(0))).toBe("up to 2,000");
    expect(say(range(-1, 2), numbers(0))).toBe("-1 to 2");
    const bits = bitsFor(3);
    expect(say({ kind: "cells", bits, inside: true, name: "" })).toBe("only these");
    expect(say({ kind: "cells", bits, inside: false, name: "" })).toBe("all but these");
  });
});
