import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { getJson } from "../api/client";
import { tokenIn } from "../api/session";
import { startSession, takeToken, unlock, useSession } from "./session";

const TOKEN = "open-sesame-open-sesame";
const SHARED = `s2.${"a".repeat(40)}.${"b".repeat(32)}`;
let posted: string[] = [];

/** A server that takes this token and no other. */
function server(status = 401, body: object = { error: { code: "token_needed", message: "No", hint: "" } }): void {
  posted = [];
  vi.stubGlobal("fetch", async (url: string, options?: RequestInit) => {
    posted.push(`${options?.method ?? "GET"} ${url} ${options?.body ?? ""}`);
    const right = options?.body === JSON.stringify({ token: TOKEN });
    return right ? Response.json({ authenticated: true }) : Response.json(body, { status });
  });
}

function at(address: string, locked?: string): void {
  history.replaceState({ kept: 1 }, "", address);
  if (locked === undefined) delete document.documentElement.dataset.locked;
  else document.documentElement.dataset.locked = locked;
  useSession.setState({ lock: "open", entering: null, error: null });
}

const settled = () => vi.waitFor(() => expect(useSession.getState().entering).toBeNull());

beforeEach(() => server());
afterEach(() => {
  vi.unstubAllGlobals();
  at("/");
});

describe("a token", () => {
  it.each([
    [TOKEN, TOKEN],
    [`  ${TOKEN}\n`, TOKEN],
    [`http://lab:8814/#token=${TOKEN}`, TOKEN],
    [`http://lab:8814/?color=gene:A&token=${TOKEN}&x=1`, TOKEN],
    [`#token=${TOKEN}`, TOKEN],
    [`http://lab:8814/data/#share=${SHARED}`, SHARED],
    ["#token=%zz", "%zz"],
    ["", ""],
  ])("is found in %j", (text, token) => expect(tokenIn(text)).toBe(token));
});

describe("the address", () => {
  it("loses the token and keeps everything else", () => {
    at(`/lab/?image=a/b:0&z=3#token=${TOKEN}`);
    expect(takeToken()).toBe(TOKEN);
    expect(location.href.endsWith("/lab/?image=a/b:0&z=3")).toBe(true);
    expect(history.state).toEqual({ kept: 1 });
    expect(takeToken()).toBeNull();
  });

  it("loses a wrong token that the server left in it", () => {
    at("/?z=3&token=wrong");
    expect(takeToken()).toBeNull();
    expect(location.search).toBe("?z=3");
  });

  it("keeps other fragments", () => {
    at("/?page=home#search");
    expect(takeToken()).toBeNull();
    expect(location.hash).toBe("#search");
  });
});

describe("a locked page", () => {
  it("opens with the token of its link, before anything else is asked", async () => {
    at(`/#token=${TOKEN}`, "missing");
    startSession();
    expect(useSession.getState()).toMatchObject({ lock: "missing", entering: "link" });
    expect(location.hash).toBe("");
    await settled();
    expect(useSession.getState().lock).toBe("open");
    expect(posted).toEqual([`POST api/session {"token":"${TOKEN}"}`]);
  });

  it("stays locked with a wrong one, and opens with the right one", async () => {
    at("/#token=wrong-wrong-wrong", "missing");
    startSession();
    await settled();
    expect(useSession.getState()).toMatchObject({ lock: "missing", error: { code: "token_needed" } });
    await unlock(`http://lab/#token=${TOKEN}`, "form");
    expect(useSession.getState()).toMatchObject({ lock: "open", error: null });
  });

  it("asks nothing with what can be no token", async () => {
    at("/", "missing");
    startSession();
    await unlock("hello", "form");
    expect(useSession.getState().error?.code).toBe("bad_token");
    expect(posted).toEqual([]);
  });

  it("opens when the printed URL is pasted into its own tab", async () => {
    at("/", "missing");
    startSession();
    history.replaceState(null, "", `/#token=${TOKEN}`);
    dispatchEvent(new Event("hashchange"));
    await vi.waitFor(() => expect(useSession.getState().lock).toBe("open"));
    expect(location.hash).toBe("");
  });

  it("tells how long to wait, and that the server is gone", async () => {
    server(429, { error: { code: "too_many_tokens", message: "Too many", hint: "Wait 60 seconds." } });
    at("/", "wrong");
    startSession();
    await unlock("wrong-wrong-wrong", "form");
    expect(useSession.getState().error).toMatchObject({ code: "too_many_tokens", hint: "Wait 60 seconds." });
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
    await unlock("wrong-wrong-wrong", "form");
    expect(useSession.getState().error?.code).toBe("offline");
  });
});

describe("an open page", () => {
  it("shows nobody a token it does not need", () => {
    at(`/#token=${TOKEN}`);
    startSession();
    expect(location.hash).toBe("");
    expect([useSession.getState().lock, posted]).toEqual(["open", []]);
  });

  it("shows the one source of a link that it follows, unless it may show more", async () => {
    const reload = vi.spyOn(location, "reload").mockImplementation(() => {});
    for (const [scope, times] of [
      ["admin", 0],
      ["share", 1],
    ] as const) {
      vi.stubGlobal("fetch", async () => Response.json({ token_needed: true, authenticated: true, scope }));
      at(`/#share=${SHARED}`);
      startSession();
      expect(location.hash).toBe("");
      await new Promise((done) => setTimeout(done));
      await vi.waitFor(() => expect(reload).toHaveBeenCalledTimes(times));
    }
  });

  it("is locked when the server takes its cookie no more", async () => {
    at("/");
    startSession();
    await getJson("api/catalog").catch(() => undefined);
    expect(useSession.getState().lock).toBe("ended");
  });
});
