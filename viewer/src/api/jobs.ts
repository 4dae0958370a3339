/** Questions that take the server a while: asked, followed, called off. See docs/reference/http-analysis.md. */

import { ApiError, bodyOf, getJson, getResponse } from "./client";
import { anything, type Is } from "./shape";
import { isJob } from "./shapes";

export interface Job {
  job: string;
  state: "running" | "done" | "failed" | "cancelled";
  /** 0 to 1 */
  progress: number;
  message: string;
  result: string;
}

export type Tell = (job: Pick<Job, "progress" | "message">) => void;

const FIRST_LOOK_MS = 150;
const LAST_LOOK_MS = 1000;

/** Files on a plain web host answer questions with one of these. */
const NOBODY_THERE = new Set([404, 405, 501]);

/** Not called off itself: it comes back at once with the job, which then can be. */
async function post(url: string, question: object): Promise<Response> {
  const how = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(question) };
  try {
    return await getResponse(url, undefined, how);
  } catch (error) {
    // Our server says what is wrong with a code of its own.
    if (!(error instanceof ApiError) || error.code !== "http_error" || !NOBODY_THERE.has(error.status)) throw error;
    throw new ApiError(
      "no_server",
      "There is no coverslip server behind this page",
      "Statistics are computed by the server: open the data with `coverslip serve` to use them.",
      error.status,
    );
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("Called off", "AbortError"));
    });
  });
}

/**
 * The answer to a question, however long it takes. `addressOf` makes addresses of the data set; to abort cancels the work on
 * the server, too. Who asks the same is given the same job, so that another may have called it off: it is asked for once more.
 */
export async function answerTo<T>(
  addressOf: (relative: string) => string,
  question: { what: string; body: object },
  signal: AbortSignal,
  tell: Tell,
  is: Is = anything,
): Promise<T> {
  try {
    return await askedOnce<T>(addressOf, question, signal, tell, is);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== "job_cancelled" || signal.aborted) throw error;
    return askedOnce<T>(addressOf, question, signal, tell, is);
  }
}

async function askedOnce<T>(
  addressOf: (relative: string) => string,
  question: { what: string; body: object },
  signal: AbortSignal,
  tell: Tell,
  is: Is = anything,
): Promise<T> {
  const response = await post(addressOf(`analysis/${question.what}`), question.body);
  if (response.status !== 202) return bodyOf<T>(response, is);
  const { job, result } = await bodyOf<Job>(response, isJob);
  const address = addressOf(`analysis/jobs/${job}`);
  try {
    await finished(address, signal, tell);
  } catch (error) {
    if (signal.aborted)
      void fetch(address, { method: "DELETE", credentials: "same-origin", keepalive: true }).catch(() => {});
    throw error;
  }
  // A job that failed or was called off by somebody else answers its error here.
  return getJson<T>(addressOf(result), signal, is);
}

async function finished(address: string, signal: AbortSignal, tell: Tell): Promise<void> {
  for (let wait = FIRST_LOOK_MS; ; wait = Math.min(LAST_LOOK_MS, wait * 1.4)) {
    await pause(wait, signal);
    const job = await getJson<Job>(address, signal, isJob);
    tell(job);
    if (job.state !== "running") return;
  }
}
