/** Groups of cells that were kept, and what can be made of them; then the session they are saved in. */

import { useState } from "react";
import { count as countText } from "../../data/format";
import type { Mode } from "../../data/selecting";
import { change, combine, OPERATIONS, remove, selectGroup, selectOthers } from "../../state/grouping";
import type { Group } from "../../state/groups";
import { useModel } from "../../state/store";
import "../filters/filters.css";

export default function GroupsPanel() {
  const groups = useModel((s) => s.groups);
  const there = useModel((s) => s.geometry !== null);
  const [opened, setOpened] = useState<string | null>(null);
  if (!there) return null;
  return (
    <details className="group groups" data-testid="groups" data-count={groups.length} open>
      <summary>Groups</summary>
      {groups.length === 0 ? (
        <p className="note">None yet. Select cells and keep them (G) to name, compare and save them.</p>
      ) : null}
      <ul className="group-lines">
        {groups.map((group) => (
          <GroupLine
            key={group.id}
            group={group}
            open={opened === group.id}
            unfold={(open) => setOpened(open ? group.id : null)}
          />
        ))}
      </ul>
    </details>
  );
}

interface LineProps {
  group: Group;
  open: boolean;
  unfold: (open: boolean) => void;
}

function GroupLine({ group, open, unfold }: LineProps) {
  const { id, name, color, count, shown } = group;
  return (
    <li className="group-line" data-testid="group" data-name={name} data-count={count} data-shown={shown}>
      <div className="group-head">
        <input
          type="checkbox"
          checked={shown}
          aria-label={`Show ${name} in its colour`}
          title="Shown in its colour"
          onChange={(e) => change(id, { shown: e.target.checked })}
        />
        <input
          type="color"
          className="swatch-input"
          aria-label={`Colour of ${name}`}
          value={color}
          onChange={(e) => change(id, { color: e.target.value })}
        />
        <Name group={group} />
        <span className="count">{countText(count)}</span>
        <button
          type="button"
          className="bare"
          data-testid="group-more"
          aria-expanded={open}
          aria-label={`What to do with ${name}`}
          title="More"
          onClick={() => unfold(!open)}
        >
          ⋯
        </button>
      </div>
      {open ? <Acts group={group} /> : null}
    </li>
  );
}

/** Takes effect on Enter or when left; Escape keeps the old name. */
function Name({ group: { id, name } }: { group: Group }) {
  const [draft, setDraft] = useState<string | null>(null);
  function commit(): void {
    const typed = draft?.trim() ?? "";
    if (typed !== "" && typed !== name) change(id, { name: typed });
    setDraft(null);
  }
  return (
    <input
      className="group-name"
      data-testid="group-name"
      aria-label={`Name of ${name}`}
      title={name}
      maxLength={200}
      value={draft ?? name}
      onChange={(e) => setDraft(e.target.value)}
      onBlur={commit}
      onKeyDown={(e) => {
        if (e.key === "Enter") e.currentTarget.blur();
        if (e.key === "Escape") setDraft(null);
      }}
    />
  );
}

const MODES: readonly [Mode, string, string][] = [
  ["add", "Add", "Add the group to the selection"],
  ["remove", "Take away", "Take the group away from the selection"],
  ["meet", "Intersect", "Leave what is in both"],
];

function Acts({ group }: { group: Group }) {
  const groups = useModel((s) => s.groups);
  const selected = useModel((s) => s.selection !== null);
  const [other, setOther] = useState("");
  const rest = groups.filter(({ id }) => id !== group.id);
  const second = rest.find(({ id }) => id === other) ?? rest[0];
  return (
    <div className="group-acts">
      <div className="buttons">
        <button type="button" data-testid="group-select" onClick={() => void selectGroup(group, "replace")}>
          Select
        </button>
        {selected
          ? MODES.map(([mode, words, title]) => (
              <button
                key={mode}
                type="button"
                data-testid={`group-${mode}`}
                title={title}
                onClick={() => void selectGroup(group, mode)}
              >
                {words}
              </button>
            ))
          : null}
        <button type="button" data-testid="group-others" onClick={() => void selectOthers(group)}>
          Select all others
        </button>
        <button type="button" data-testid="group-delete" onClick={() => remove(group.id)}>
          Delete
        </button>
      </div>
      {second ? (
        <>
          <label className="row">
            <span>With</span>
            <select data-testid="group-other" value={second.id} onChange={(e) => setOther(e.target.value)}>
              {rest.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </select>
          </label>
          <div className="buttons row">
            {(Object.keys(OPERATIONS) as (keyof typeof OPERATIONS)[]).map((operation) => (
              <button
                key={operation}
                type="button"
                data-testid={`group-${operation}`}
                title="Makes a new group"
                onClick={() => combine(group, second, operation)}
              >
                {WORDS[operation]}
              </button>
            ))}
          </div>
        </>
      ) : null}
    </div>
  );
}

const WORDS = { union: "Union", intersection: "Intersection", difference: "Difference" } as const;
