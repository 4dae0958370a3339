/** The keys of the image page at work. */

import { type RefObject, useEffect } from "react";
import { set } from "../../state/store";
import { autoContrast, changeChannel, chooseLabels, chooseMode, mainAxis, play, stepPlace } from "./actions";
import type { Bench } from "./bench";
import { newLabels } from "./link";
import { axisSize, type Mode, sliderAxes } from "./model";
import { getImage } from "./state";

const MODES: Mode[] = ["plane", "max", "volume"];
/** Where a key belongs to what has the focus. */
const TAKES_ALL = "input:not([type=checkbox]), select, textarea, dialog";
const TAKES_SPACE = "button, a, summary, input, [role=slider]";
const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

function step(axis: string | null, by: number): void {
  if (axis !== null) stepPlace(axis, by);
}

function depthAxis(): string | null {
  const { info, mode } = getImage();
  if (!info) return null;
  return sliderAxes(info).includes("z") && mode === "plane" ? "z" : mainAxis();
}

function nextMode(): void {
  const { info, mode } = getImage();
  if (!info || axisSize(info, "z") < 2) return;
  chooseMode(MODES[(MODES.indexOf(mode) + 1) % MODES.length] as Mode);
}

let lastLabels = "";
function toggleLabels(): void {
  const { info, labels } = getImage();
  const first = info?.labels.includes(lastLabels) ? lastLabels : info?.labels[0];
  if (labels) lastLabels = labels.id;
  if (labels) void chooseLabels(null);
  else if (first) void chooseLabels(newLabels(first));
}

function toChannels(): void {
  set({ sheet: "legend" });
  document.querySelector<HTMLElement>("[data-testid=channels] input, [data-testid=channels] button")?.focus();
}

function actionsOf(bench: Bench, onPicture: () => void): Record<string, () => void> {
  const zoomIn = () => bench.zoomBy(0.5);
  const zoomOut = () => bench.zoomBy(-0.5);
  return {
    arrowleft: () => step(mainAxis(), -1),
    arrowright: () => step(mainAxis(), 1),
    ",": () => step(depthAxis(), -1),
    ".": () => step(depthAxis(), 1),
    "+": zoomIn,
    "=": zoomIn,
    "-": zoomOut,
    _: zoomOut,
    "0": bench.home,
    " ": () => play(getImage().playing === null ? mainAxis() : null),
    a: () => void autoContrast(getImage().shown),
    c: toChannels,
    l: toggleLabels,
    m: nextMode,
    s: onPicture,
  };
}

function toggleChannel(nth: number): void {
  const { shown, settings, info } = getImage();
  const channel = shown[nth];
  if (channel === undefined || info?.rgb) return;
  changeChannel(channel, { visible: !settings[channel]?.visible });
}

export function useImageKeys(bench: RefObject<Bench | null>, onPicture: () => void): void {
  useEffect(() => {
    function press(event: KeyboardEvent): void {
      const target = event.target instanceof Element ? event.target : null;
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || target?.closest(TAKES_ALL))
        return;
      if (event.key === " " && target?.closest(TAKES_SPACE)) return;
      if (!bench.current || !getImage().info) return;
      const arrow = ARROWS[event.key];
      const key = event.key.toLowerCase();
      const action =
        event.shiftKey && arrow
          ? () => bench.current?.panBy(...arrow)
          : /^[1-6]$/.test(key)
            ? () => toggleChannel(Number(key) - 1)
            : actionsOf(bench.current, onPicture)[key];
      if (!action) return;
      event.preventDefault();
      action();
    }
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [bench, onPicture]);
}
