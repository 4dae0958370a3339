import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { set, useModel } from "../state/store";
import { useKeys } from "./keys";
import { SheetButtons, Side, useSheets } from "./sheets";

function Page() {
  useKeys();
  useSheets();
  return (
    <>
      <Side side="left" label="What to show">
        <input data-testid="field" />
      </Side>
      <Side side="right" label="Legend">
        <button type="button">A group</button>
      </Side>
      <SheetButtons legend="Legend" />
    </>
  );
}

const opener = (which: string) => screen.getByTestId(`${which}-open`);
const focused = () => document.activeElement;

function press(which: string): void {
  opener(which).focus();
  fireEvent.click(opener(which));
}

beforeEach(() => {
  set(useModel.getInitialState());
  render(<Page />);
});
afterEach(cleanup);

describe("sheets", () => {
  it("take the focus of who opens them, and give it back", () => {
    press("legend");
    expect(focused()?.textContent).toBe("Done");
    expect(focused()?.closest("aside")?.getAttribute("aria-label")).toBe("Legend");
    expect([opener("panel"), opener("legend")].map((one) => one.getAttribute("aria-expanded"))).toEqual([
      "false",
      "true",
    ]);
    fireEvent.click(focused() as Element);
    expect(focused()).toBe(opener("legend"));
    press("panel");
    fireEvent.keyDown(document.body, { key: "Escape" });
    expect(focused()).toBe(opener("panel"));
  });

  it("leave it in a field for which a key has opened them, and to who is elsewhere", () => {
    screen.getByTestId("field").focus();
    act(() => set({ sheet: "panel" }));
    expect(focused()).toBe(screen.getByTestId("field"));
    opener("legend").focus();
    act(() => set({ sheet: "none" }));
    expect(focused()).toBe(opener("legend"));
  });
});
