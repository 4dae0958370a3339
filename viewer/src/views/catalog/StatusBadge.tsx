/** What is out of the ordinary with a source: it is being written, or it could not be read. */

import type { Source } from "../../api/catalog";
import { STATUS_NAMES } from "./model";

export function StatusBadge({ source, always = false }: { source: Source; always?: boolean }) {
  const { status } = source;
  if (status === "ready" && !always) return null;
  const words =
    status === "live" ? "This file is being written" : status === "failed" ? source.error?.message : undefined;
  return (
    <span className={`badge ${status}`} data-testid="status" title={words}>
      {STATUS_NAMES[status] ?? status}
    </span>
  );
}
