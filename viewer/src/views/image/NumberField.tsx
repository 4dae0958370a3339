/** A number that is typed: it takes effect on Enter or when left, so that half-typed numbers do nothing. */

import { useState } from "react";

interface Props {
  id: string;
  label: string;
  /** Whose number it is, for those who do not see where it stands. */
  of: string;
  value: number;
  onCommit: (value: number) => void;
}

export function NumberField({ id, label, of, value, onCommit }: Props) {
  const [draft, setDraft] = useState<string | null>(null);
  function commit(): void {
    const typed = draft === null || draft.trim() === "" ? Number.NaN : Number(draft);
    if (Number.isFinite(typed)) onCommit(typed);
    setDraft(null);
  }
  return (
    <label>
      <span>{label}</span>
      <input
        data-testid={id}
        aria-label={`${of}: ${label}`}
        inputMode="decimal"
        value={draft ?? Number(value.toPrecision(5)).toString()}
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
