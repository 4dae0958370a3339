/** What documents of others have to look like before the page believes them: tests that never throw. */

export type Is = (value: unknown) => boolean;

export const text: Is = (value) => typeof value === "string";
export const flag: Is = (value) => typeof value === "boolean";
export const number: Is = (value) => typeof value === "number" && Number.isFinite(value);
/** A count, or a place in a list. */
export const whole: Is = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
/** No text is looked for in it. */
export const anything: Is = () => true;

/** Null, or left out. */
export const maybe =
  (is: Is): Is =>
  (value) =>
    value === null || value === undefined || is(value);

export const list =
  (is: Is): Is =>
  (value) =>
    Array.isArray(value) && value.every(is);

/** A list of so many. */
export const tuple =
  (is: Is, many: number): Is =>
  (value) =>
    Array.isArray(value) && value.length === many && value.every(is);

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whatever its members are called. */
export const record =
  (is: Is): Is =>
  (value) =>
    isObject(value) && Object.values(value).every(is);

export const either =
  (...all: Is[]): Is =>
  (value) =>
    all.some((is) => is(value));

export const oneOf =
  (...known: unknown[]): Is =>
  (value) =>
    known.includes(value);

/** These members; there may be others. */
export function object(members: Record<string, Is>): Is {
  const each = Object.entries(members);
  return (value) =>
    isObject(value) && each.every(([name, is]) => is(Object.hasOwn(value, name) ? value[name] : undefined));
}

/** Both. */
export const and =
  (...all: Is[]): Is =>
  (value) =>
    all.every((is) => is(value));
