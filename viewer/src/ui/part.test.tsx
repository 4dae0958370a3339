import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, toApiError } from "../api/client";
import { part } from "./part";

const gone = () => Promise.reject(new TypeError("Failed to fetch dynamically imported module: x.js"));

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

describe("a part of a page", () => {
  it("says that it is on its way, is there, and is there at once the next time", async () => {
    const load = vi.fn(async () => ({ default: ({ n }: { n: number }) => <b>{n}</b> }));
    const Part = part(load, "analysis");
    const { unmount } = render(<Part n={1} />);
    expect(screen.getByText("Opening analysis…")).toBeTruthy();
    await act(async () => {});
    expect(screen.getByText("1")).toBeTruthy();
    unmount();
    render(<Part n={2} />);
    expect(screen.getByText("2")).toBeTruthy();
    expect(load).toHaveBeenCalledTimes(1);
  });

  it("that does not come says so, takes nothing else down, and comes when the server is back", async () => {
    let answers = false;
    const Part = part(() => (answers ? Promise.resolve({ default: () => <b>here</b> }) : gone()), "analysis");
    render(
      <>
        <i>the plot</i>
        <Part />
      </>,
    );
    await act(async () => {});
    expect(screen.getByTestId("part-missing").textContent).toContain("no analysis yet");
    expect(screen.getByText("the plot")).toBeTruthy();
    const style = document.head.appendChild(document.createElement("link"));
    Object.assign(style, { rel: "stylesheet", href: "assets/analysis.css" });
    answers = true;
    await act(() => vi.advanceTimersByTimeAsync(10_000));
    expect(screen.getByText("here")).toBeTruthy();
    expect(style.isConnected).toBe(false);
    const again = document.querySelector("link[rel=stylesheet]");
    expect(again?.getAttribute("href")).toBe("assets/analysis.css");
    again?.remove();
  });

  it("of which nothing is said is missing in silence, and is asked for no more once it is not wanted", async () => {
    const load = vi.fn(gone);
    const Part = part(load);
    const { container, unmount } = render(<Part />);
    await act(async () => {});
    expect(container.textContent).toBe("");
    unmount();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(load).toHaveBeenCalledTimes(1);
  });

  it("that an action needed is told in words", async () => {
    const error = await gone().catch(toApiError);
    expect(error).toBeInstanceOf(ApiError);
    expect((error as ApiError).code).toBe("page_missing");
  });
});
