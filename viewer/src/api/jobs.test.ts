import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ApiError } from "./client";
import { answerTo } from "./jobs";

const addressOf = (relative: string) => `set/${relative}`;
const QUESTION = { what: "summary", body: { genes: [1] } };
const JOB = { job: "f00d", state: "running", progress: 0, message: "", result: "analysis/jobs/f00d/result.json" };

let asked: string[];
/** What the server answers, by "METHOD address"; the last one stays. */
let answers: Record<string, Response[]>;

beforeEach(() => {
  asked = [];
  answers = {};
  vi.stubGlobal("fetch", async (url: string, how?: RequestInit) => {
    const name = `${how?.method ?? "GET"} ${url}`;
    asked.push(name);
    const list = answers[name] ?? [];
    const answer = list.length > 1 ? list.shift() : list[0];
    if (!answer) throw new TypeError("Failed to fetch");
    return answer.clone();
  });
});
afterEach(() => vi.unstubAllGlobals());

describe("a question to the server", () => {
  it("may be answered at once", async () => {
    answers["POST set/analysis/summary"] = [Response.json({ rows: [] })];
    expect(await answerTo(addressOf, QUESTION, new AbortController().signal, () => {})).toEqual({ rows: [] });
    expect(asked).toEqual(["POST set/analysis/summary"]);
  });

  it("is followed while it runs", async () => {
    answers["POST set/analysis/summary"] = [Response.json(JOB, { status: 202 })];
    answers["GET set/analysis/jobs/f00d"] = [
      Response.json({ ...JOB, progress: 0.5, message: "Ranks" }),
      Response.json({ ...JOB, progress: 1, state: "done" }),
    ];
    answers["GET set/analysis/jobs/f00d/result.json"] = [Response.json({ rows: [1] })];
    const told: number[] = [];
    const tell = ({ progress }: { progress: number }) => told.push(progress);
    expect(await answerTo(addressOf, QUESTION, new AbortController().signal, tell)).toEqual({ rows: [1] });
    expect(told).toEqual([0.5, 1]);
  });

  it("is called off on the server as well", async () => {
    answers["POST set/analysis/summary"] = [Response.json(JOB, { status: 202 })];
    answers["GET set/analysis/jobs/f00d"] = [Response.json(JOB)];
    answers["DELETE set/analysis/jobs/f00d"] = [Response.json({ ...JOB, state: "cancelled" })];
    const own = new AbortController();
    const answer = answerTo(addressOf, QUESTION, own.signal, () => own.abort());
    await expect(answer).rejects.toMatchObject({ name: "AbortError" });
    expect(asked.at(-1)).toBe("DELETE set/analysis/jobs/f00d");
  });

  it("is asked again when another called the same job off", async () => {
    const error = { code: "job_cancelled", message: "Called off" };
    answers["POST set/analysis/summary"] = [Response.json(JOB, { status: 202 }), Response.json({ rows: [2] })];
    answers["GET set/analysis/jobs/f00d"] = [Response.json({ ...JOB, state: "cancelled" })];
    answers["GET set/analysis/jobs/f00d/result.json"] = [Response.json({ error }, { status: 409 })];
    expect(await answerTo(addressOf, QUESTION, new AbortController().signal, () => {})).toEqual({ rows: [2] });
  });

  it("tells why the work failed", async () => {
    answers["POST set/analysis/summary"] = [Response.json(JOB, { status: 202 })];
    answers["GET set/analysis/jobs/f00d"] = [Response.json({ ...JOB, state: "failed" })];
    const error = { code: "job_failed", message: "The file changed", hint: "Ask again" };
    answers["GET set/analysis/jobs/f00d/result.json"] = [Response.json({ error }, { status: 409 })];
    const answer = answerTo(addressOf, QUESTION, new AbortController().signal, () => {});
    await expect(answer).rejects.toMatchObject({
      code: "job_failed",
      message: "The file changed",
    } satisfies Partial<ApiError>);
  });

  it("tells a refusal, a server that is gone, and files without a server apart", async () => {
    const signal = new AbortController().signal;
    const codeOf = () => answerTo(addressOf, QUESTION, signal, () => {}).catch((error: ApiError) => error.code);
    expect(await codeOf()).toBe("offline");
    answers["POST set/analysis/summary"] = [new Response("<h1>Not allowed</h1>", { status: 405 })];
    expect(await codeOf()).toBe("no_server");
    const error = { code: "groups_overlap", message: "A and B share 3 cells" };
    answers["POST set/analysis/summary"] = [Response.json({ error }, { status: 400 })];
    expect(await codeOf()).toBe("groups_overlap");
  });
});
