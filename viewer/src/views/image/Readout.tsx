/** What is under the pointer: place, position, values. */

import { number } from "../../data/format";
import { labelColor } from "../../data/labels";
import { positionOf } from "./model";
import { useImage } from "./state";

export function say(value: number | bigint): string {
  return typeof value === "bigint" ? value.toLocaleString("en-US") : Number.isNaN(value) ? "NaN" : number(value);
}

export function Readout() {
  const { hover, info, settings, labels } = useImage();
  if (!hover || !info) return null;
  const x = positionOf(info, "x", hover.column);
  const y = positionOf(info, "y", hover.row);
  const channels = Object.keys(hover.values).map(Number);
  return (
    <div className="readout" data-testid="readout" data-x={hover.column} data-y={hover.row} data-exact={hover.exact}>
      <span>
        x {hover.column} · y {hover.row}
      </span>
      {x && y ? (
        <span className="quiet">
          {x}, {y}
        </span>
      ) : null}
      {channels.map((channel) => (
        <span key={channel} data-testid="value" data-channel={channel}>
          <i className="swatch" style={{ background: settings[channel]?.color }} />
          {hover.exact ? "" : "≈ "}
          {say(hover.values[channel] as number | bigint)}
        </span>
      ))}
      {labels && hover.label !== null ? (
        <span data-testid="label-id">
          <i
            className="swatch"
            style={Number(hover.label) ? { background: `rgb(${labelColor(Number(hover.label)).join(" ")})` } : {}}
          />
          {Number(hover.label) ? `object ${say(hover.label)}` : "no object"}
        </span>
      ) : null}
    </div>
  );
}
