/** "What to show": which image, how its planes are put together, labels over it. */

import * as Slider from "@radix-ui/react-slider";
import { pathIn } from "../../api/images";
import { ShareHere } from "../../ui/TopBar";
import { chooseLabels, chooseMode } from "./actions";
import { newLabels } from "./link";
import { axisSize, dimensions, type Mode, positionOf, titleOf } from "./model";
import { Plate } from "./Plate";
import { Scenes } from "./Scenes";
import { useImage } from "./state";

export function ImagePanel({ onPicture }: { onPicture: () => void }) {
  const info = useImage((s) => s.info);
  if (!info) return null;
  return (
    <>
      <Which />
      <ModeChoice />
      {info.labels.length > 0 ? <LabelsChoice /> : null}
      <section className="group">
        <button type="button" data-testid="screenshot" onClick={onPicture} title="Save what is shown (S)">
          Save picture (PNG)
        </button>
      </section>
    </>
  );
}

function Which() {
  const { info, source } = useImage();
  if (!info) return null;
  const { siblings, plate } = info;
  const width = positionOf({ ...info, axes: info.axes.map((a) => ({ ...a, origin: 0 })) }, "x", axisSize(info, "x"));
  const height = positionOf({ ...info, axes: info.axes.map((a) => ({ ...a, origin: 0 })) }, "y", axisSize(info, "y"));
  return (
    <section className="group">
      <h2>{titleOf(info, source)}</h2>
      <p className="note" data-testid="dimensions">
        {dimensions(info)}
      </p>
      {width && height ? (
        <p className="note">
          {width} × {height}
        </p>
      ) : null}
      {plate && siblings.length > 1 ? <Plate plate={plate} /> : null}
      {siblings.length > 1 && !plate ? <Scenes siblings={siblings} label="Scene" /> : null}
      <ShareHere />
    </section>
  );
}

const MODES: [Mode, string, string][] = [
  ["plane", "Plane", "One plane at a time"],
  ["max", "Max z", "The brightest pixel along z"],
  ["volume", "3D", "The whole stack in 3D"],
];

function ModeChoice() {
  const { info, mode, volume } = useImage();
  if (!info) return null;
  const flat = axisSize(info, "z") < 2;
  return (
    <section className="group">
      <h2>View</h2>
      <fieldset className="segments" aria-label="View">
        {MODES.map(([id, name, title]) => (
          <button
            key={id}
            type="button"
            aria-pressed={mode === id}
            data-testid={`mode-${id}`}
            disabled={flat && id !== "plane"}
            title={flat && id !== "plane" ? "This image has one plane in z" : title}
            onClick={() => chooseMode(id)}
          >
            {name}
          </button>
        ))}
      </fieldset>
      {flat ? <p className="note">One plane in z, so there is no projection and no volume.</p> : null}
      {mode === "volume" && volume.kind === "ready" && volume.level > 0 ? (
        <p className="note">Shown at a reduced resolution: level {volume.level}.</p>
      ) : null}
    </section>
  );
}

function LabelsChoice() {
  const { info, labels } = useImage();
  if (!info) return null;
  const names = info.labels.map((id) => pathIn(info.source_id, id).split("/").at(-1) || id);
  return (
    <section className="group">
      <h2>Labels</h2>
      <label className="row">
        <span className="visually-hidden">Labels over the image</span>
        <select
          data-testid="labels-select"
          value={labels?.id ?? ""}
          onChange={(e) =>
            void chooseLabels(e.target.value ? { ...newLabels(e.target.value), ...labels, id: e.target.value } : null)
          }
        >
          <option value="">None</option>
          {info.labels.map((id, i) => (
            <option key={id} value={id}>
              {names[i]}
            </option>
          ))}
        </select>
      </label>
      {labels ? (
        <>
          <div className="row">
            <span>Opacity</span>
            <Slider.Root
              className="slider grow"
              min={0.05}
              max={1}
              step={0.05}
              value={[labels.opacity]}
              onValueChange={([opacity = 1]) => void chooseLabels({ ...labels, opacity })}
            >
              <Slider.Track className="slider-track">
                <Slider.Range className="slider-range" />
              </Slider.Track>
              <Slider.Thumb
                className="slider-thumb"
                aria-label="Opacity of the labels"
                aria-valuetext={`${Math.round(labels.opacity * 100)} %`}
                data-testid="labels-opacity"
              />
            </Slider.Root>
            <output>{Math.round(labels.opacity * 100)} %</output>
          </div>
          <label className="check">
            <input
              type="checkbox"
              checked={labels.outlines}
              onChange={(e) => void chooseLabels({ ...labels, outlines: e.target.checked })}
            />
            Outlines only
          </label>
        </>
      ) : null}
    </section>
  );
}
