/** The worker, and where the data set that is open lies on the server. */

import { Crew } from "../data/crew";
import { get } from "./store";

let crew: Crew | null = null;
export function crewOf(): Crew {
  crew ??= new Crew();
  return crew;
}

/** Whether the worker has been started. */
export function crewIsThere(): boolean {
  return crew !== null;
}

/** An address of the data set that is open. */
export function addressOf(relative: string): string {
  const base = get().dataset?.path ?? "/";
  return (base === "/" ? "" : base.replace(/^\//, "")) + relative;
}
