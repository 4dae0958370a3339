declare module "virtual:color-maps" {
  /** The character of no difference. */
  export const ZERO: number;
  /** By name: 256 differences of red, then of green, then of blue, a character each. */
  export const TABLES: Record<"viridis" | "magma" | "plasma" | "cividis" | "greys" | "rdbu", string>;
}
