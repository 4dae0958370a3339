/** What other views put into a session: each part of the page says how its own is saved and laid out again. */

export interface Part {
  /** Plain JSON, or undefined when there is nothing worth saving. */
  save: () => unknown;
  /** Whatever `save` gave, of this version or an older one: it may be anything, so look before you use it. */
  load: (value: unknown) => void | Promise<void>;
}

const registered = new Map<string, Part>();
/** Parts of a session that was loaded which nobody here knows, or not yet: kept, so that saving loses nothing. */
let waiting: Record<string, unknown> = {};

/**
 * Takes part in sessions under a name, for as long as the page is open; call the answer to end it.
 *
 * A part that comes after a session was loaded is given its share at once.
 */
export function register(name: string, part: Part): () => void {
  registered.set(name, part);
  if (Object.hasOwn(waiting, name)) {
    const { [name]: value, ...rest } = waiting;
    waiting = rest;
    void part.load(value);
  }
  return () => {
    if (registered.get(name) === part) registered.delete(name);
  };
}

export function saveParts(): Record<string, unknown> {
  const saved: Record<string, unknown> = { ...waiting };
  for (const [name, part] of registered) {
    const value = part.save();
    if (value !== undefined) saved[name] = value;
  }
  return saved;
}

export async function loadParts(parts: Record<string, unknown>): Promise<void> {
  const rest = { ...parts };
  waiting = {};
  for (const [name, part] of registered) {
    if (!Object.hasOwn(rest, name)) continue;
    await part.load(rest[name]);
    delete rest[name];
  }
  waiting = rest;
}

/** Another data set. */
export function forgetParts(): void {
  waiting = {};
}
