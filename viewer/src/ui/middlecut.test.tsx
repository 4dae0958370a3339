import { cleanup, render } from "@testing-library/react";
import { afterEach, describe, expect, it } from "vitest";
import { shorten } from "../data/format";
import { cutBefore, MiddleCut } from "./MiddleCut";

afterEach(cleanup);

describe("a name that is cut", () => {
  it("is cut within no sign", () => {
    const family = "👩‍🔬";
    expect(cutBefore(`ab${family}cd`, 4)).toBe(2);
    expect(cutBefore("e\u0301e\u0301", 3)).toBe(2);
    expect(cutBefore("𠮷野家", 1)).toBe(0);
    expect(cutBefore("plain", 3)).toBe(3);
    expect(cutBefore("plain", 9)).toBe(5);
  });

  it("is cut between no letters that join", () => {
    const name = "صورة المجهر";
    expect(cutBefore(name, 8)).toBe(5);
    expect(cutBefore("المجهر", 3)).toBe(6);
    expect(cutBefore("تمونة 12.tif", 8)).toBe(8);
  });

  it("begins where its script begins", () => {
    const { container } = render(<MiddleCut text="صورة المجهر الإلكتروني.tif" />);
    const name = container.querySelector(".name");
    expect(name?.getAttribute("dir")).toBe("auto");
    expect(name?.textContent).toBe("صورة المجهر الإلكتروني.tif");
  });

  it("keeps pairs of surrogates together where it is shortened for good", () => {
    const short = shorten("🧬".repeat(30), 10);
    expect([...short]).toEqual([..."🧬🧬🧬🧬🧬🧬…🧬🧬🧬"]);
    expect(shorten("🧬".repeat(10), 10)).toBe("🧬".repeat(10));
  });
});
