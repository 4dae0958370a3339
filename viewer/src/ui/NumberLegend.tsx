/** A number's legend: histogram, colour map, and the range that the map spans. */

import { count as countText, number, shorten } from "../data/format";
import { COLOR_MAPS, type ColorMap, gradient } from "../gpu/lut";
import { filterByColor } from "../state/filtering";
import { type Painted, set, useModel } from "../state/store";
import { useCounts } from "./counts";
import { Histogram, Range } from "./Numbers";

type Numbers = Extract<Painted, { kind: "continuous" }>;
const IDS = ["range-min", "range-max"] as const;

export default function NumberLegend({ painted }: { painted: Numbers }) {
  const { range, cmap } = useModel();
  const { bins, min, max, missing } = painted.summary;
  const shown = useCounts(painted.column);
  const some = max >= min;
  const [low, high] = range ?? [min, max];
  return (
    <section className="group legend" data-testid="legend" data-kind="continuous">
      <h2 title={painted.title}>{shorten(painted.title, 28)}</h2>
      {some ? (
        <>
          <Histogram title={painted.title} {...{ bins, shown, min, max, low, high }} />
          <div className="gradient" style={{ background: gradient(cmap) }} aria-hidden="true" />
          {max > min ? (
            <Range
              {...{ min, max, low, high }}
              of="the colours"
              ids={IDS}
              choose={(from, to) => set({ range: from === min && to === max ? null : [from, to] })}
              reset={() => set({ range: null })}
            />
          ) : null}
          <p className="ends">
            <span>{number(min)}</span>
            <span>{max > min ? number(max) : "the same in all cells"}</span>
          </p>
        </>
      ) : (
        <p className="note">No cell has a value here.</p>
      )}
      {painted.arrived === undefined ? null : (
        <p className="note">Of the {countText(painted.arrived)} cells that have come so far.</p>
      )}
      <label className="row">
        <span>Colours</span>
        <select data-testid="colormap-select" value={cmap} onChange={(e) => set({ cmap: e.target.value as ColorMap })}>
          {Object.entries(COLOR_MAPS).map(([id, { label }]) => (
            <option key={id} value={id}>
              {label}
            </option>
          ))}
        </select>
      </label>
      {painted.column === undefined || !some ? null : (
        <button
          type="button"
          data-testid="filter-by-color"
          title="Show only cells between these two; the filter stays when the colours change"
          onClick={() => void filterByColor()}
        >
          {range === null ? "Filter by this" : "Show only this range"}
        </button>
      )}
      {missing > 0 ? (
        <p className="missing">
          <span className="swatch grey" aria-hidden="true" /> missing{" "}
          <span className="count">{countText(missing)}</span>
        </p>
      ) : null}
    </section>
  );
}
