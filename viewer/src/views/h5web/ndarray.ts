/**
 * Stands in for npm's `ndarray` and `ndarray-ops`, which write their own program text while they run: a page whose policy
 * forbids `eval` cannot load them. Only what H5Web asks of them is here, with the same meaning.
 */

type Data = ArrayLike<unknown> & { [index: number]: unknown };

export class View {
  readonly size: number;
  readonly dimension: number;
  readonly dtype: string;

  constructor(
    readonly data: Data,
    readonly shape: number[],
    readonly stride: number[],
    readonly offset: number,
  ) {
    this.dimension = shape.length;
    this.size = shape.reduce((all, n) => all * n, 1);
    this.dtype = Array.isArray(data) ? "array" : data.constructor.name.replace(/Array$/, "").toLowerCase();
  }

  index(...at: number[]): number {
    let place = this.offset;
    for (let axis = 0; axis < this.dimension; axis += 1) place += (at[axis] ?? 0) * (this.stride[axis] ?? 0);
    return place;
  }

  get(...at: number[]): unknown {
    return this.data[this.index(...at)];
  }

  set(...at: unknown[]): unknown {
    const value = at[this.dimension];
    this.data[this.index(...(at as number[]))] = value;
    return value;
  }

  /** The part at these places; an axis whose place is null (or left out) stays. */
  pick(...at: (number | null | undefined)[]): View {
    const kept = this.shape.map((_, axis) => axis).filter((axis) => !((at[axis] ?? -1) >= 0));
    const fixed = this.stride.reduce((sum, step, axis) => sum + Math.max(at[axis] ?? -1, 0) * step, this.offset);
    return this.along(kept, fixed);
  }

  /** The same values with the axes in this order. */
  transpose(...axes: number[]): View {
    return this.along(this.shape.map((_, i) => axes[i] ?? i));
  }

  private along(axes: number[], offset = this.offset): View {
    const of = (values: number[]) => axes.map((axis) => values[axis] ?? 0);
    return new View(this.data, of(this.shape), of(this.stride), offset);
  }
}

function rowMajor(shape: number[]): number[] {
  const stride = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis -= 1) {
    stride[axis] = (stride[axis + 1] ?? 1) * (shape[axis + 1] ?? 1);
  }
  return stride;
}

export default function ndarray(data: Data, shape: number[] = [data.length], stride?: number[], offset = 0): View {
  return new View(data, shape, stride ?? rowMajor(shape), offset);
}

/** Copies every value of `from` to the same place of `to`. */
export function assign(to: View, from: View): void {
  const at = from.shape.map(() => 0);
  for (let n = 0; n < from.size; n += 1) {
    to.data[to.index(...at)] = from.data[from.index(...at)];
    for (let axis = at.length - 1; axis >= 0; axis -= 1) {
      at[axis] = (at[axis] ?? 0) + 1;
      if ((at[axis] ?? 0) < (from.shape[axis] ?? 0)) break;
      at[axis] = 0;
    }
  }
}
