/** The strip below: a slider for each axis that is neither in the plane nor a channel, and playback. */

import * as Slider from "@radix-ui/react-slider";
import { useEffect } from "react";
import { count } from "../../data/format";
import { duration, measured } from "../../data/units";
import { choosePlace, play, stepPlace } from "./actions";
import { axisSize, sliderAxes } from "./model";
import { getImage, setImage, useImage, wantedKey } from "./state";

const SPEEDS = [1, 2, 4, 8, 15, 30];

export function Axes() {
  const { info, mode, fps, playing } = useImage();
  usePlayback();
  if (!info) return null;
  const axes = sliderAxes(info);
  if (axes.length === 0) return null;
  return (
    <div className="axes-strip" data-testid="axes">
      {axes.map((axis) => (
        <Axis key={axis} axis={axis} disabled={axis === "z" && mode !== "plane"} />
      ))}
      <label className="fps">
        <span className="quiet">Speed</span>
        <select
          data-testid="fps"
          value={fps}
          onChange={(e) => setImage({ fps: Number(e.target.value) })}
          aria-label="Planes a second"
        >
          {[...new Set([...SPEEDS, fps])]
            .sort((a, b) => a - b)
            .map((n) => (
              <option key={n} value={n}>
                {n}/s
              </option>
            ))}
        </select>
      </label>
      <span className="visually-hidden" role="status">
        {playing ? `Playing along ${playing}` : ""}
      </span>
    </div>
  );
}

/** A step when its time has come and the plane before is drawn: a slow disk gives fewer planes, never blank ones. */
function usePlayback(): void {
  const { playing, fps } = useImage();
  useEffect(() => {
    if (playing === null) return;
    let timer = 0;
    const tick = () => {
      timer = window.setTimeout(tick, 1000 / fps);
      const state = getImage();
      if (state.mode === "volume" ? !state.progress.volume : state.painted?.key === wantedKey(state))
        stepPlace(playing, 1);
    };
    timer = window.setTimeout(tick, 1000 / fps);
    return () => clearTimeout(timer);
  }, [playing, fps]);
}

function Axis({ axis, disabled }: { axis: string; disabled: boolean }) {
  const { info, plane, playing, mode } = useImage();
  if (!info) return null;
  const size = axisSize(info, axis);
  const index = plane[axis] ?? 0;
  const found = info.axes.find(({ name }) => name === axis);
  const at = (found?.origin ?? 0) + index * (found?.scale ?? 1);
  const unit = found?.unit ?? null;
  const physical = unit === null ? "" : found?.type === "time" ? duration(at, unit) : measured(at, unit);
  const runs = playing === axis;
  const why = mode === "max" ? "all planes at once" : "the whole stack";
  return (
    <div className="axis" data-testid={`axis-${axis}`} data-index={index}>
      <span className="axis-name">{axis}</span>
      <button
        type="button"
        data-testid={`play-${axis}`}
        aria-label={runs ? `Stop ${axis}` : `Play ${axis}`}
        aria-pressed={runs}
        disabled={disabled}
        onClick={() => play(runs ? null : axis)}
      >
        {runs ? "❚❚" : "▶"}
      </button>
      <Slider.Root
        className="slider grow"
        min={0}
        max={size - 1}
        step={1}
        value={[index]}
        disabled={disabled}
        onValueChange={([next = 0]) => choosePlace(axis, next)}
      >
        <Slider.Track className="slider-track">
          <Slider.Range className="slider-range" />
        </Slider.Track>
        <Slider.Thumb
          className="slider-thumb"
          data-testid={`slider-${axis}`}
          aria-label={`${axis} axis`}
          aria-valuetext={`${index + 1} of ${size}${physical ? `, ${physical}` : ""}`}
        />
      </Slider.Root>
      <output>{disabled ? why : `${count(index + 1)} / ${count(size)}${physical ? ` · ${physical}` : ""}`}</output>
    </div>
  );
}
