/** Work a few at a time, the latest first: what a person asks for now does not wait for what was asked in advance. */

export function turns(most: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running < most) running += 1;
    else await new Promise<void>((begin) => waiting.push(begin));
    try {
      return await work();
    } finally {
      // Who waits goes on in its place.
      const next = waiting.pop();
      if (next) next();
      else running -= 1;
    }
  };
}
