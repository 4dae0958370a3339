/** The cell under the pointer: a ring around it, and what is known of it. */

import { number, shorten } from "../data/format";
import { type Geometry, type Hover, type Painted, useModel } from "../state/store";

const MOST_FIELDS = 12;
const CARD_WIDTH = 260;

interface CardProps {
  /** Id of the view, or `tissue`. */
  view: string;
  painted: Painted;
  /** Where the axes' names are worth telling. */
  geometry: Geometry | null;
}

/** In the view of the cells that was asked; the others only mark it. */
export function HoverCard({ view, painted, geometry }: CardProps) {
  const hover = useModel((s) => s.hover);
  if (!hover || hover.view !== view) return null;
  const fields = Object.entries(hover.detail?.fields ?? {});
  const own = painted.key.split(":").slice(1).join(":");
  const sorted = fields.sort(([a], [b]) => Number(b === own) - Number(a === own));
  return (
    <>
      <div className="ring" style={{ left: hover.x, top: hover.y }} />
      <aside
        className="hover-card"
        data-testid="hover-card"
        data-cell={hover.cell}
        aria-live="polite"
        style={besides(hover)}
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
        {geometry ? (
          <p className="note">{geometry.columns.map((c) => geometry.embedding.axes[c]).join(" · ")}</p>
        ) : null}
      </aside>
    </>
  );
}

/** Left or right of the cell; where there is no room, above or below it. */
function besides({ x, y, room: [width, height] }: Hover): React.CSSProperties {
  const top = Math.max(8, y - 24);
  const [left, right] = [x - CARD_WIDTH - 16, x + 16];
  const fits = right + CARD_WIDTH <= width;
  if (left >= 8 && (x > width / 2 || !fits)) return { left, top };
  if (fits) return { left: right, top };
  const middle = Math.max(8, Math.min(x - CARD_WIDTH / 2, width - CARD_WIDTH - 8));
  return y > height / 2 ? { left: middle, bottom: height - y + 16 } : { left: middle, top: y + 16 };
}

function say(value: string | number | null): string {
  if (value === null) return "missing";
  return typeof value === "number" ? number(value) : shorten(value, 26);
}
