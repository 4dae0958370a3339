/** The channels that are put together: colour, contrast with histogram, gamma; and which of many they are. */

import * as Slider from "@radix-ui/react-slider";
import { useEffect, useState } from "react";
import type { ChannelStatistics } from "../../api/images";
import { number, shorten } from "../../data/format";
import { NumberField } from "../../ui/NumberField";
import { autoContrast, changeChannel, resetChannels, toggleShown, wantHistograms } from "./actions";
import { type ChannelSetting, contrastDomain, MOST_SHOWN } from "./model";
import { useImage } from "./state";

const STEPS = 1000;
/** More channels than this are searched rather than scrolled through. */
const FEW = 12;

export function Channels() {
  const { info, shown } = useImage();
  // biome-ignore lint/correctness/useExhaustiveDependencies: a channel that was just added needs its own.
  useEffect(wantHistograms, [shown]);
  if (!info || info.is_label) return null;
  const rgb = info.rgb;
  return (
    <section className="group" data-testid="channels" aria-label="Channels">
      <div className="heading">
        <h2>{rgb ? "Picture" : "Channels"}</h2>
        <span className="space" />
        <button
          type="button"
          data-testid="auto-all"
          title="Automatic contrast (A)"
          onClick={() => void autoContrast(shown)}
        >
          Auto
        </button>
        <button type="button" onClick={resetChannels}>
          Reset
        </button>
      </div>
      {rgb ? shown.slice(0, 1).map((i) => <Channel key={i} index={i} whole />) : null}
      {rgb ? null : shown.map((i) => <Channel key={i} index={i} whole={false} />)}
      {!rgb && info.channels.length > 1 ? <Choice /> : null}
    </section>
  );
}

function Channel({ index, whole }: { index: number; whole: boolean }) {
  const { info, settings, statistics } = useImage();
  const setting = settings[index];
  if (!info || !setting) return null;
  const name = whole ? "Brightness" : info.channels[index]?.label || `Channel ${index + 1}`;
  const [from, to] = setting.window ?? [0, 1];
  const commit = (low: number, high: number) => {
    if (low < high) changeChannel(index, { window: [low, high] });
  };
  return (
    <div className="channel" data-testid="channel" data-channel={index} data-color={setting.color}>
      <div className="heading">
        {whole ? (
          <span className="name">{name}</span>
        ) : (
          <>
            <label className="name" title={name}>
              <input
                type="checkbox"
                data-testid="channel-visible"
                checked={setting.visible}
                onChange={(e) => changeChannel(index, { visible: e.target.checked })}
              />
              {shorten(name, 24)}
            </label>
            <input
              type="color"
              data-testid="channel-color"
              aria-label={`Colour of ${name}`}
              value={setting.color}
              onChange={(e) => changeChannel(index, { color: e.target.value })}
            />
          </>
        )}
        <button
          type="button"
          data-testid="channel-auto"
          aria-label={`Auto contrast of ${name}`}
          onClick={() => void autoContrast(whole ? [0, 1, 2] : [index])}
        >
          Auto
        </button>
      </div>
      <Histogram name={name} setting={setting} statistics={statistics[index]} />
      <Contrast name={name} setting={setting} statistics={statistics[index]} onChange={commit} />
      <div className="range-inputs">
        <NumberField id="window-from" label="From" of={name} value={from} digits={5} onCommit={(v) => commit(v, to)} />
        <NumberField id="window-to" label="to" of={name} value={to} digits={5} onCommit={(v) => commit(from, v)} />
        <NumberField
          id="gamma"
          label="γ"
          of={name}
          value={setting.gamma}
          digits={5}
          onCommit={(v) => changeChannel(index, { gamma: Math.min(10, Math.max(0.1, v)) })}
        />
      </div>
    </div>
  );
}

interface PlotProps {
  name: string;
  setting: ChannelSetting;
  statistics: ChannelStatistics | undefined;
}

const HEIGHT = 40;

/** A count for each whole number, where there are more bins than such numbers: the bins between them would be gaps. */
function eachWhole(bins: number[], lo: number, hi: number): number[] | null {
  const numbers = hi - lo + 1;
  if (!Number.isInteger(lo) || !Number.isInteger(hi) || numbers < 2 || numbers >= bins.length) return null;
  const binOf = (i: number) => Math.min(bins.length - 1, Math.floor((i * bins.length) / (hi - lo)));
  const counts = Array.from({ length: numbers }, (_, i) => bins[binOf(i)] ?? 0);
  const sum = (all: number[]) => all.reduce((a, b) => a + b, 0);
  // Numbers that are not whole fall between.
  return sum(counts) === sum(bins) ? counts : null;
}

/** The outline of a histogram within a domain; heights by square root, so that the background hides nothing. */
export function outline(statistics: ChannelStatistics, [low, high]: [number, number]): string {
  const { lo, hi, counts: bins } = statistics.histogram;
  if (lo === null || hi === null) return "";
  const counts = eachWhole(bins, lo, hi) ?? bins;
  const tallest = Math.sqrt(counts.reduce((a, b) => Math.max(a, b), 1));
  const step = (hi > lo ? hi - lo : 1) / counts.length;
  const x = (value: number) => (((value - low) / (high - low)) * 256).toFixed(2);
  const parts = counts.map((n, i) => {
    const y = (HEIGHT - (Math.sqrt(n) / tallest) * HEIGHT).toFixed(2);
    return `L${x(lo + i * step)} ${y}L${x(lo + (i + 1) * step)} ${y}`;
  });
  return `M${x(lo)} ${HEIGHT}${parts.join("")}L${x(lo + counts.length * step)} ${HEIGHT}Z`;
}

function Histogram({ name, setting, statistics }: PlotProps) {
  const window = setting.window ?? [0, 1];
  const domain = contrastDomain(statistics, window);
  const at = (value: number) => ((value - domain[0]) / (domain[1] - domain[0])) * 256;
  const words = statistics
    ? `Histogram of ${name} from ${number(statistics.min ?? 0)} to ${number(statistics.max ?? 0)}, mean ${number(statistics.mean ?? 0)}`
    : `Histogram of ${name}, on its way`;
  return (
    <svg
      className="histogram"
      data-testid="histogram"
      data-ready={statistics !== undefined}
      viewBox={`0 0 256 ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={words}
    >
      <rect className="within" x={at(window[0])} width={Math.max(0, at(window[1]) - at(window[0]))} height={HEIGHT} />
      {statistics ? <path className="in" d={outline(statistics, domain)} /> : null}
    </svg>
  );
}

function Contrast({ name, setting, statistics, onChange }: PlotProps & { onChange: (a: number, b: number) => void }) {
  const window = setting.window ?? [0, 1];
  const [low, high] = contrastDomain(statistics, window);
  const whole = Number.isInteger(low) && Number.isInteger(high) && high - low > 8;
  const step = whole ? Math.max(1, Math.round((high - low) / STEPS)) : (high - low) / STEPS;
  return (
    <Slider.Root
      className="slider"
      min={low}
      max={high}
      step={step}
      minStepsBetweenThumbs={1}
      value={[...window]}
      disabled={setting.window === null}
      onValueChange={([a = low, b = high]) => onChange(a, b)}
    >
      <Slider.Track className="slider-track">
        <Slider.Range className="slider-range" />
      </Slider.Track>
      <Slider.Thumb className="slider-thumb" aria-label={`${name}: black at`} aria-valuetext={number(window[0])} />
      <Slider.Thumb
        className="slider-thumb"
        aria-label={`${name}: full colour at`}
        aria-valuetext={number(window[1])}
      />
    </Slider.Root>
  );
}

/** Which channels are put together, of any number. */
function Choice() {
  const { info, shown } = useImage();
  const [filter, setFilter] = useState("");
  if (!info) return null;
  const all = info.channels;
  const found = all.filter((c) => (c.label || `Channel ${c.index + 1}`).toLowerCase().includes(filter.toLowerCase()));
  return (
    <details className="more-channels" data-testid="channel-choice">
      <summary>
        {shown.length} of {all.length} channels
      </summary>
      <p className="note">Up to {MOST_SHOWN} at once.</p>
      {all.length > FEW ? (
        <input
          type="search"
          aria-label="Filter channels"
          placeholder="Filter"
          value={filter}
          onChange={(e) => setFilter(e.target.value)}
        />
      ) : null}
      <ul>
        {found.map(({ index, label }) => {
          const name = label || `Channel ${index + 1}`;
          return (
            <li key={index}>
              <label title={name}>
                <input
                  type="checkbox"
                  checked={shown.includes(index)}
                  disabled={!shown.includes(index) && shown.length >= MOST_SHOWN}
                  onChange={() => toggleShown(index)}
                />
                {shorten(name, 30)}
              </label>
            </li>
          );
        })}
      </ul>
      {found.length === 0 ? <p className="note">No channel has “{filter}” in its name.</p> : null}
    </details>
  );
}
