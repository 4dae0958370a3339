import { describe, expect, it } from "vitest";
import { turns } from "./turns";

describe("turns", () => {
  it("let so many work at a time, and then the latest", async () => {
    const take = turns(2);
    const begun: number[] = [];
    const ends: (() => void)[] = [];
    const all = Array.from({ length: 5 }, (_, i) =>
      take(async () => {
        begun.push(i);
        await new Promise<void>((end) => ends.push(end));
        if (i === 4) throw new Error("refused");
        return i;
      }),
    );
    all[4]?.catch(() => undefined);
    const settle = () => new Promise((done) => setTimeout(done));
    await settle();
    expect(begun).toEqual([0, 1]);
    for (let i = 0; i < 5; i += 1) {
      ends.shift()?.();
      await settle();
      expect(begun.length - i - 1).toBeLessThanOrEqual(2);
    }
    expect(begun).toEqual([0, 1, 4, 3, 2]);
    expect((await Promise.allSettled(all)).map(({ status }) => status)).toEqual([
      "fulfilled",
      "fulfilled",
      "fulfilled",
      "fulfilled",
      "rejected",
    ]);
    expect(await take(async () => 7)).toBe(7);
  });
});
