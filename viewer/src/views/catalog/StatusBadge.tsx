/** What is out of the ordinary with a source: it is being written, or it could not be read. */

import type { Source } from "../../api/catalog";
import { STATUS_NAMES } from "./model";

export function StatusBadge({ source, always = false }: { source: Source; always?: boolean }) {
  const { status } = source;
  const ordinary = status === "ready" || status === "pending";
  if (ordinary && !always) return null;
  const words = {
    ready: undefined,
    pending: "It has not been read yet, so its kind is a guess by its name",
    live: "This file is being written",
    failed: source.error?.message,
  }[status];
  return (
    <span className={`badge ${ordinary ? "ready" : status}`} data-testid="status" title={words}>
      {STATUS_NAMES[status] ?? status}
    </span>
  );
}
