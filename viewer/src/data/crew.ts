/** Talking to the worker: a call for each task, answered in order. */

import type { Answers, Task } from "./worker";

type Waiting = { resolve: (value: never) => void; reject: (error: Error) => void };

export class Crew {
  private readonly worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  private readonly waiting = new Map<number, Waiting>();
  private next = 0;

  constructor() {
    this.worker.addEventListener("message", ({ data }: MessageEvent<{ id: number; result: never; error?: string }>) => {
      const caller = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.error !== undefined) caller?.reject(new Error(data.error));
      else caller?.resolve(data.result);
    });
    this.worker.addEventListener("error", (event) => {
      for (const caller of this.waiting.values()) caller.reject(new Error(event.message || "The worker failed"));
      this.waiting.clear();
    });
  }

  run<K extends Task["kind"]>(task: Extract<Task, { kind: K }>): Promise<Answers[K]> {
    const id = this.next++;
    const transfer = "bytes" in task ? [task.bytes] : [];
    return new Promise<Answers[K]>((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as Waiting["resolve"], reject });
      this.worker.postMessage({ id, task }, transfer);
    });
  }
}
