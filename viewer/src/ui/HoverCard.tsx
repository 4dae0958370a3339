/** The cell under the pointer: a ring around it, and what is known of it. */

import { number, shorten } from "../data/format";
import type { Ground } from "../data/worker";
import { useModel } from "../state/store";

const MOST_FIELDS = 12;
const CARD_WIDTH = 260;

/** In the view of the cells that was asked; the others only mark it. */
export function HoverCard({ ground = "embedding" }: { ground?: Ground }) {
  const { hover, geometry, painted } = useModel();
  if (!hover || !geometry || hover.ground !== ground) return null;
  const { embedding, columns } = geometry;
  const fields = Object.entries(hover.detail?.fields ?? {});
  const own = painted.key.split(":").slice(1).join(":");
  const sorted = fields.sort(([a], [b]) => Number(b === own) - Number(a === own));
  const flip = hover.x > window.innerWidth / 3;
  const left = flip ? Math.max(8, hover.x - CARD_WIDTH - 16) : hover.x + 16;
  return (
    <>
      <div className="ring" style={{ left: hover.x, top: hover.y }} />
      <aside
        className="hover-card"
        data-testid="hover-card"
        data-cell={hover.cell}
        aria-live="polite"
        // Never wider than the view: of two side by side each has little room.
        style={{ left: `max(8px, min(${left}px, 100% - ${CARD_WIDTH + 8}px))`, top: Math.max(8, hover.y - 24) }}
      >
        <h3>{hover.detail ? hover.detail.name : `Cell ${hover.cell.toLocaleString("en")}`}</h3>
        <dl>
          {sorted.slice(0, MOST_FIELDS).map(([key, value]) => (
            <div key={key} className={key === own ? "own" : ""}>
              <dt title={key}>{shorten(key, 22)}</dt>
              <dd title={String(value ?? "missing")}>{say(value)}</dd>
            </div>
          ))}
        </dl>
        {sorted.length > MOST_FIELDS ? <p className="note">and {sorted.length - MOST_FIELDS} more fields</p> : null}
        <p className="note">{columns.map((c) => embedding.axes[c]).join(" · ")}</p>
      </aside>
    </>
  );
}

function say(value: string | number | null): string {
  if (value === null) return "missing";
  return typeof value === "number" ? number(value) : shorten(value, 26);
}
