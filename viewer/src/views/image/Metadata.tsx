/** What the file says about itself, as a tree that folds and can be searched. */

import { useMemo, useState } from "react";
import type { Json } from "../../api/images";
import { part } from "../../ui/part";
import { loadMetadata } from "./actions";
import { useImage } from "./state";

/** Entries of one list that are shown before the rest is counted. */
const MOST_ENTRIES = 200;
const DEEP = 2;

function entriesOf(value: Json): [string, Json][] {
  if (Array.isArray(value)) return value.map((item, i) => [String(i), item]);
  return value !== null && typeof value === "object" ? Object.entries(value) : [];
}

const isLeaf = (value: Json) => value === null || typeof value !== "object";

/** What is left of a tree when only branches that hold `words` stay; undefined for nothing. */
export function filtered(key: string, value: Json, words: string): Json | undefined {
  if (words === "" || key.toLowerCase().includes(words)) return value;
  if (isLeaf(value)) return String(value).toLowerCase().includes(words) ? value : undefined;
  const kept: { [key: string]: Json } = {};
  for (const [name, child] of entriesOf(value)) {
    const rest = filtered(name, child, words);
    if (rest !== undefined) kept[name] = rest;
  }
  return Object.keys(kept).length > 0 ? kept : undefined;
}

const LookInside = part(() => import("../../ui/LookInside"));

export function Metadata() {
  const { info, metadata } = useImage();
  const [filter, setFilter] = useState("");
  const words = filter.trim().toLowerCase();
  const tree = useMemo(() => (metadata === undefined ? undefined : filtered("", metadata, words)), [metadata, words]);
  if (!info) return null;
  return (
    <details
      className="group metadata"
      data-testid="metadata"
      onToggle={(e) => {
        if (e.currentTarget.open) void loadMetadata();
      }}
    >
      <summary>Metadata</summary>
      <LookInside source={info.source_id} />
      {metadata === undefined ? (
        <p className="note">Reading…</p>
      ) : (
        <>
          <input
            type="search"
            data-testid="metadata-filter"
            aria-label="Filter metadata"
            placeholder="Filter names and values"
            value={filter}
            onChange={(e) => setFilter(e.target.value)}
          />
          {tree === undefined ? <p className="note">Nothing here holds “{filter}”.</p> : null}
          {tree !== undefined && entriesOf(tree).length === 0 ? (
            <p className="note">The file says nothing more.</p>
          ) : null}
          {tree !== undefined ? <Branch value={tree} open={words !== ""} depth={0} /> : null}
        </>
      )}
    </details>
  );
}

function Branch({ value, open, depth }: { value: Json; open: boolean; depth: number }) {
  const entries = entriesOf(value);
  const rest = entries.length - MOST_ENTRIES;
  return (
    <ul className="tree">
      {entries.slice(0, MOST_ENTRIES).map(([key, child]) => (
        <li key={key}>
          {isLeaf(child) ? (
            <span className="leaf">
              <span className="key">{key}</span> <span className="value">{child === null ? "–" : String(child)}</span>
            </span>
          ) : (
            <Fold name={key} value={child} open={open} depth={depth + 1} />
          )}
        </li>
      ))}
      {rest > 0 ? <li className="note">and {rest.toLocaleString("en")} more; filter to find them</li> : null}
    </ul>
  );
}

function Fold({ name, value, open, depth }: { name: string; value: Json; open: boolean; depth: number }) {
  const [unfolded, setUnfolded] = useState(depth < DEEP);
  const is = open || unfolded;
  return (
    <details open={is} onToggle={(e) => setUnfolded(e.currentTarget.open)}>
      <summary>
        <span className="key">{name}</span> <span className="quiet">{entriesOf(value).length}</span>
      </summary>
      {is ? <Branch value={value} open={open} depth={depth} /> : null}
    </details>
  );
}
