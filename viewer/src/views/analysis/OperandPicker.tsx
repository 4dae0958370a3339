/** One side of a comparison: the selection, a kept group, a category of a field, or the rest. */

import { useEffect, useId, useState } from "react";
import { isAbort, toApiError } from "../../api/client";
import type { CategoryField } from "../../api/types";
import { counted } from "../../data/format";
import { set, useModel } from "../../state/store";
import { categoriesOf, isCategory, type Operand } from "./groupings";

interface OperandPickerProps {
  id: string;
  label: string;
  value: Operand | null;
  rest: boolean;
  onChange: (operand: Operand | null) => void;
}

/** More categories than this are typed, not scrolled through. */
const MOST_LISTED = 200;

function idOf(operand: Operand | null): string {
  if (operand === null) return "";
  if (operand.kind === "group") return `group:${operand.id}`;
  return operand.kind === "category" ? `field:${operand.index}` : operand.kind;
}

export function OperandPicker({ id, label, value, rest, onChange }: OperandPickerProps) {
  const { identity, groups, selection } = useModel();
  const fields = (identity?.obs_fields ?? []).filter(isCategory);
  async function choose(wanted: string): Promise<void> {
    if (wanted === "selection" || wanted === "rest") return onChange({ kind: wanted });
    const [kind, key = ""] = wanted.split(/:(.*)/s);
    if (kind === "group") return onChange({ kind: "group", id: key });
    try {
      const field = await categoriesOf(Number(key));
      const code = Math.max(
        0,
        field.counts.findIndex((n) => n > 0),
      );
      onChange({ kind: "category", index: field.index, key: field.key, code, name: field.categories[code] ?? "" });
    } catch (error) {
      if (!isAbort(error)) set({ error: toApiError(error) });
    }
  }
  return (
    <fieldset className="operand" aria-label={label}>
      <label className="choice">
        <span>{label}</span>
        <select data-testid={id} value={idOf(value)} onChange={(e) => void choose(e.target.value)}>
          {value === null ? (
            <option value="" disabled>
              Choose
            </option>
          ) : null}
          {rest ? <option value="rest">Rest (all other cells)</option> : null}
          {selection || value?.kind === "selection" ? (
            <option value="selection">Selection ({counted(selection?.count ?? 0, "cell")})</option>
          ) : null}
          {groups.length > 0 ? (
            <optgroup label="My groups">
              {groups.map((group) => (
                <option key={group.id} value={`group:${group.id}`}>
                  {group.name} ({counted(group.count, "cell")})
                </option>
              ))}
            </optgroup>
          ) : null}
          {fields.length > 0 ? (
            <optgroup label="A category of">
              {fields.map((field) => (
                <option key={field.index} value={`field:${field.index}`}>
                  {field.key}
                </option>
              ))}
            </optgroup>
          ) : null}
        </select>
      </label>
      {value?.kind === "category" ? <CategoryChoice id={id} label={label} value={value} onChange={onChange} /> : null}
    </fieldset>
  );
}

type Category = Extract<Operand, { kind: "category" }>;

interface CategoryChoiceProps {
  id: string;
  label: string;
  value: Category;
  onChange: (operand: Operand) => void;
}

function CategoryChoice({ id, label, value, onChange }: CategoryChoiceProps) {
  const [field, setField] = useState<CategoryField | null>(null);
  useEffect(() => {
    let wanted = true;
    categoriesOf(value.index)
      .then((found) => wanted && setField(found))
      .catch((error: unknown) => set({ error: toApiError(error) }));
    return () => {
      wanted = false;
    };
  }, [value.index]);
  if (field === null || field.index !== value.index) return <p className="note">Loading the categories…</p>;
  const choose = (code: number) => onChange({ ...value, code, name: field.categories[code] ?? "" });
  if (field.categories.length > MOST_LISTED)
    return <Typed id={id} label={label} field={field} value={value} choose={choose} />;
  return (
    <label className="choice">
      <span className="visually-hidden">Category of {label}</span>
      <select data-testid={`${id}-category`} value={value.code} onChange={(e) => choose(Number(e.target.value))}>
        {field.categories.map((name, code) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the code is the category's name to the server.
          <option key={code} value={code} disabled={(field.counts[code] ?? 0) === 0}>
            {name} ({(field.counts[code] ?? 0).toLocaleString("en")})
          </option>
        ))}
      </select>
    </label>
  );
}

interface TypedProps {
  id: string;
  label: string;
  field: CategoryField;
  value: Category;
  choose: (code: number) => void;
}

/** Of 70,000 categories the browser offers those that begin like what is typed. */
function Typed({ id, label, field, value, choose }: TypedProps) {
  const list = useId();
  const [draft, setDraft] = useState<string | null>(null);
  const typed = (draft ?? "").toLowerCase();
  const offered =
    typed === "" ? [] : field.categories.filter((name) => name.toLowerCase().includes(typed)).slice(0, 50);
  const unknown = draft !== null && draft !== "" && !field.categories.includes(draft);
  return (
    <div>
      <input
        data-testid={`${id}-category`}
        list={list}
        aria-label={`Category of ${label}`}
        aria-invalid={unknown && offered.length === 0}
        value={draft ?? value.name}
        onFocus={(e) => e.target.select()}
        onChange={(e) => {
          setDraft(e.target.value);
          const code = field.categories.indexOf(e.target.value);
          if (code >= 0) choose(code);
        }}
        onBlur={() => setDraft(null)}
      />
      <datalist id={list}>
        {offered.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      {unknown && offered.length === 0 ? <p className="note">No category of that name</p> : null}
    </div>
  );
}
