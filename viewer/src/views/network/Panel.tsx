/** "What to show": what colours the neurons, how many connections, and what is around them. */

import { useState } from "react";
import { count, counted } from "../../data/format";
import { linkTo } from "../../state/route";
import { ShareHere } from "../../ui/TopBar";
import { type About, EDGE_STEPS, FRAMES, lengthWords } from "./model";
import { change, drawEdges, paintBy, pick, toggleFrame, useNetwork } from "./state";

const FRAME_NAMES = { electrodes: "Electrodes", box: "Bounding box", layers: "Layers" } as const;

function hasFrame(about: About, name: (typeof FRAMES)[number]): boolean {
  if (name === "box") return about.bounds !== null;
  if (name === "layers") return Object.keys(about.layers).length > 0;
  return (about.electrodes?.coordinates.length ?? 0) > 0;
}

export function NetworkPanel({ source }: { source: string }) {
  const { about, color, edges, lines, without } = useNetwork();
  if (!about) return null;
  const left = Object.entries(about.left_out);
  return (
    <>
      <section className="group">
        <h2>Colour by</h2>
        <label className="row">
          <span className="visually-hidden">Colour by</span>
          <select
            data-testid="color-select"
            value={color}
            onChange={(event) => {
              const column = about.columns.find((c) => c.key === event.target.value);
              if (column) void paintBy(column);
            }}
          >
            {about.columns.map((column) => (
              <option key={column.index} value={column.key}>
                {column.key}
              </option>
            ))}
          </select>
        </label>
      </section>
      <section className="group">
        <h2>Connections</h2>
        <label className="row">
          <span>Draw</span>
          <select
            data-testid="edges-select"
            value={edges}
            onChange={(event) => void drawEdges(Number(event.target.value))}
          >
            {EDGE_STEPS.map((step) => (
              <option key={step} value={step}>
                {step === 0 ? "None" : step >= about.edges ? `Up to ${count(step)}` : `About ${count(step)}`}
              </option>
            ))}
          </select>
        </label>
        <p className="note" data-testid="edges-told">
          {lines
            ? `${count(lines.count)} of ${count(lines.total)} drawn, evenly spread, coloured by where they come from.`
            : `${counted(about.edges, "connection")}, none drawn.`}
        </p>
      </section>
      <FindNeuron about={about} />
      <section className="group">
        <h2>Around them</h2>
        {FRAMES.filter((name) => hasFrame(about, name)).map((name) => (
          <label key={name} className="check">
            <input
              type="checkbox"
              data-testid={`show-${name}`}
              checked={!without.includes(name)}
              onChange={() => toggleFrame(name)}
            />
            {FRAME_NAMES[name]}
            {name === "electrodes" ? <span className="quiet">{about.electrodes?.coordinates.length}</span> : null}
          </label>
        ))}
        {about.bounds ? (
          <p className="note" data-testid="extent">
            {about.bounds[0].map((low, i) => lengthWords((about.bounds?.[1][i] ?? low) - low)).join(" × ")}
          </p>
        ) : null}
        <button type="button" data-testid="reset-camera" onClick={() => change({ camera: null })}>
          Reset view
        </button>
        <ShareHere />
      </section>
      {left.length > 0 ? (
        <section className="group" data-testid="left-out">
          <h2>Left out</h2>
          {left.map(([name, why]) => (
            <p key={name} className="note">
              {name}: {why}
            </p>
          ))}
        </section>
      ) : null}
      <p className="note">
        <a data-testid="look-inside" {...linkTo({ page: "inside", source })}>
          Look inside (HDF5)
        </a>
      </p>
    </>
  );
}

function FindNeuron({ about }: { about: About }) {
  const [text, setText] = useState("");
  return (
    <form
      className="group"
      onSubmit={(event) => {
        event.preventDefault();
        const gid = text.trim();
        if (/^\d+$/.test(gid)) void pick(Number(gid));
        else if (gid !== "") change({ notice: `“${gid}” is no gid: gids are whole numbers.` });
      }}
    >
      <h2>Neuron</h2>
      <label className="row">
        <span>gid</span>
        <input
          data-testid="gid-input"
          inputMode="numeric"
          value={text}
          placeholder={`${about.populations[0]?.start ?? 0}`}
          onChange={(event) => setText(event.target.value)}
        />
        <button type="submit" data-testid="gid-find">
          Show
        </button>
      </label>
      <p className="note">
        {about.populations.map((p) => `${p.name} ${p.start}–${p.start + p.count - 1}`).join(", ")}. Or click one.
      </p>
    </form>
  );
}
