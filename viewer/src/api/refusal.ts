/** What a server says of why it refuses. */

import { isObject, text } from "./shape";

/** A refusal's words, of those that are text. */
export function refusalIn(body: unknown): { code?: string; message?: string; hint?: string } | null {
  const error = isObject(body) ? body.error : null;
  if (!isObject(error)) return null;
  return Object.fromEntries(
    ["code", "message", "hint"].flatMap((name) => (text(error[name]) ? [[name, error[name]]] : [])),
  );
}
