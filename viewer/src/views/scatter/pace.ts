/**
 * How many points a frame may draw, learned from how long frames take on this machine.
 *
 * Time is taken by a fence behind the frame, so it is the GPU's, not the script's. While the camera moves, a frame draws as
 * many points as fit the budget; at rest it draws all of them: at once where that is quick, else in steps of four times as
 * many, so that a movement that begins meanwhile never waits for more than one step.
 */

/** What a frame may take while the camera moves. */
export const BUDGET_MS = 25;
/** What a frame at rest may take before it is drawn in steps. */
const PATIENCE_MS = 120;
const STEP = 4;
export const FEWEST = 30_000;
/** Until something is known. */
export const UNKNOWN = 300_000;
/** Frames of fewer points say more about everything else. */
const TELLING = 10_000;
const WEIGHT = 0.4;

export class Pace {
  /** Milliseconds for one point. */
  private cost: number | null = null;
  private last = UNKNOWN;

  /** A frame of so many points took so long. */
  learn(points: number, ms: number): void {
    if (points < TELLING || !(ms >= 0)) return;
    const found = ms / points;
    this.cost = this.cost === null ? found : this.cost * (1 - WEIGHT) + found * WEIGHT;
  }

  /** Points of a frame while the camera moves; it changes by leaps only, so that the picture does not flicker. */
  moving(n: number): number {
    if (this.cost !== null) {
      const fits = Math.max(FEWEST, Math.min(n, BUDGET_MS / Math.max(this.cost, 1e-9)));
      if (fits > this.last * 1.5 || fits < this.last * 0.75 || fits === n) this.last = Math.round(fits);
    }
    return Math.min(n, this.last);
  }

  /** Points of the next frame at rest, after one that drew `drawn`. */
  resting(n: number, drawn: number): number {
    if (this.cost === null ? n <= UNKNOWN : this.cost * n <= PATIENCE_MS) return n;
    const next = Math.max(drawn, this.moving(n)) * STEP;
    // A last step for the few that are left would cost as much as all of them.
    return next * 2 >= n ? n : next;
  }
}

/** Calls back with the time from now until the GPU has done what it was told; the answer gives up waiting. */
export function whenDone(gl: WebGL2RenderingContext, done: (ms: number) => void): () => void {
  const started = performance.now();
  const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
  gl.flush();
  let timer = 0;
  const end = (told: boolean) => {
    clearTimeout(timer);
    if (fence) gl.deleteSync(fence);
    if (told) done(performance.now() - started);
  };
  const look = () => {
    if (!fence || gl.isContextLost() || gl.getSyncParameter(fence, gl.SYNC_STATUS) === gl.SIGNALED) end(true);
    else timer = window.setTimeout(look, 2);
  };
  timer = window.setTimeout(look, 0);
  return () => end(false);
}
