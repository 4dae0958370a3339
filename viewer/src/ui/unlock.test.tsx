import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { useSession } from "../state/session";
import { Unlock } from "./Unlock";

const TOKEN = "open-sesame-open-sesame";

beforeEach(() => {
  useSession.setState({ lock: "missing", entering: null, error: null });
  const answer = (options?: RequestInit) =>
    String(options?.body).includes(TOKEN)
      ? Response.json({ authenticated: true })
      : Response.json({ error: { code: "token_needed", message: "Invalid or missing token" } }, { status: 401 });
  vi.stubGlobal("fetch", async (_: string, options?: RequestInit) => answer(options));
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

function type(text: string): void {
  fireEvent.change(screen.getByTestId("token"), { target: { value: text } });
  fireEvent.submit(screen.getByTestId("token").closest("form") as HTMLFormElement);
}

describe("the page that asks for the token", () => {
  it("says what is wrong, and opens with the right one", async () => {
    render(<Unlock />);
    expect(screen.getByTestId("unlock-submit").hasAttribute("disabled")).toBe(true);
    type("wrong-wrong-wrong");
    await waitFor(() => expect(screen.getByTestId("unlock-error").dataset.code).toBe("token_needed"));
    expect(screen.getByTestId("token").getAttribute("aria-invalid")).toBe("true");
    expect(screen.getByRole("alert", { hidden: true }).textContent).toContain("not the token of this server");
    type(TOKEN);
    await waitFor(() => expect(useSession.getState().lock).toBe("open"));
  });

  it("hides the token until it is asked to show it", () => {
    render(<Unlock />);
    expect(screen.getByTestId("token").getAttribute("type")).toBe("password");
    fireEvent.click(screen.getByTestId("show-token"));
    expect(screen.getByTestId("token").getAttribute("type")).toBe("text");
  });

  it.each([
    ["missing", "Open the whole URL that the server printed"],
    ["wrong", "not this server's"],
    ["ended", "no longer knows this page"],
  ] as const)("says why: %s", (lock, words) => {
    useSession.setState({ lock });
    render(<Unlock />);
    expect(screen.getByTestId("unlock").textContent).toContain(words);
  });
});
