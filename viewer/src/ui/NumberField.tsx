/** A number that is typed: it takes effect on Enter or when left, so that half-typed numbers do nothing. */

import { useState } from "react";

interface Props {
  id: string;
  label: string;
  /** Whose number it is, for those who do not see where it stands. */
  of?: string;
  value: number;
  /** Digits that are shown; all of them without. */
  digits?: number;
  /** Which numbers are taken; all finite ones without. */
  good?: (value: number) => boolean;
  onCommit: (value: number) => void;
}

export function NumberField({ id, label, of, value, digits, good = () => true, onCommit }: Props) {
  const [draft, setDraft] = useState<string | null>(null);
  const empty = draft === null || draft.trim() === "";
  const typed = Number(draft);
  const taken = !empty && Number.isFinite(typed) && good(typed);
  function commit(): void {
    if (taken) onCommit(typed);
    setDraft(null);
  }
  return (
    <label>
      <span>{label}</span>
      <input
        data-testid={id}
        {...(of === undefined ? {} : { "aria-label": `${of}: ${label}` })}
        inputMode="decimal"
        aria-invalid={!empty && !taken}
        value={draft ?? String(digits === undefined ? value : Number(value.toPrecision(digits)))}
        onChange={(e) => setDraft(e.target.value)}
        onBlur={commit}
        onKeyDown={(e) => {
          if (e.key === "Enter") commit();
          if (e.key === "Escape") setDraft(null);
        }}
      />
    </label>
  );
}
