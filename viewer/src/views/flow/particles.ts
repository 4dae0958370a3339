/** Particles that drift in a field: each lives for a while, then begins elsewhere. */

import { at, type Grid } from "./grid";

export const PARTICLES = 1500;
/** Seconds. */
const LIFE = 2.5;
/** How far the strong ones drift in a second, in units of the layout, whose side is 2. */
const SPEED = 0.22;

export class Particles {
  readonly x: Float32Array;
  readonly y: Float32Array;
  /** Where it was before the last step. */
  readonly fromX: Float32Array;
  readonly fromY: Float32Array;
  /** Seconds that are left. */
  private readonly left: Float32Array;
  private readonly nodes: number[];

  constructor(
    private readonly grid: Grid,
    readonly many = PARTICLES,
    private readonly random: () => number = Math.random,
  ) {
    const room = () => new Float32Array(many);
    [this.x, this.y, this.fromX, this.fromY, this.left] = [room(), room(), room(), room(), room()];
    this.nodes = Array.from(grid.known.keys()).filter((node) => grid.known[node]);
    for (let i = 0; i < many; i += 1) {
      this.begin(i);
      this.left[i] = random() * LIFE;
    }
  }

  /** At a node that is known, or near it. */
  private begin(i: number): void {
    const { nodes } = this.grid;
    const node = this.nodes[Math.floor(this.random() * this.nodes.length)] ?? 0;
    const spacing = 2 / (nodes - 1);
    this.x[i] = (node % nodes) * spacing - 1 + (this.random() - 0.5) * spacing;
    this.y[i] = Math.floor(node / nodes) * spacing - 1 + (this.random() - 0.5) * spacing;
    this.fromX[i] = this.x[i] as number;
    this.fromY[i] = this.y[i] as number;
    this.left[i] = LIFE * (0.5 + this.random());
  }

  step(seconds: number): void {
    const scale = this.grid.strong > 0 ? SPEED / this.grid.strong : 0;
    for (let i = 0; i < this.many; i += 1) {
      this.left[i] = (this.left[i] as number) - seconds;
      const there = (this.left[i] as number) > 0 ? at(this.grid, this.x[i] as number, this.y[i] as number) : null;
      if (!there) {
        this.begin(i);
        continue;
      }
      this.fromX[i] = this.x[i] as number;
      this.fromY[i] = this.y[i] as number;
      this.x[i] = (this.x[i] as number) + there[0] * scale * seconds;
      this.y[i] = (this.y[i] as number) + there[1] * scale * seconds;
    }
  }
}
