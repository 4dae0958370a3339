/** Degrees, distances and matrices: each read when it is first opened, each with its numbers as a table. */

import { type ReactNode, useEffect, useRef, useState } from "react";
import { type ApiError, getJson, isAbort, toApiError } from "../../api/client";
import { isDegrees, isDistances, isMatrix } from "../../api/shapes";
import { count, number } from "../../data/format";
import { mapLut } from "../../gpu/lut";
import { categoryColor, toCss } from "../../gpu/palette";
import { addressOf, getTable } from "./model";
import { useNetwork } from "./state";

interface Sides {
  edges: number[];
  counts: Record<string, number[]>;
}

interface Distances {
  projections: { projection: number; edges: number[]; probability: (number | null)[]; sampled: boolean }[];
}

interface Matrix {
  populations: string[];
  connections: number[][];
  probability: (number | null)[][];
}

/** A section that reads nothing until it is opened. */
function Chart<T>(props: {
  id: string;
  title: string;
  ask: (signal: AbortSignal) => Promise<T>;
  children: (found: T) => ReactNode;
}) {
  const { id, title, ask, children } = props;
  const [open, setOpen] = useState(false);
  const [found, setFound] = useState<T | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked once for each opening without an answer.
  useEffect(() => {
    if (!open || found !== null) return;
    const own = new AbortController();
    setError(null);
    ask(own.signal).then(setFound, (reason: unknown) => {
      if (!isAbort(reason) && !own.signal.aborted) setError(toApiError(reason));
    });
    return () => own.abort();
  }, [open]);
  return (
    <details
      className="group chart"
      data-testid={`chart-${id}`}
      data-state={error ? "error" : found ? "ready" : open ? "loading" : "closed"}
      onToggle={(event) => {
        if (event.target === event.currentTarget) setOpen(event.currentTarget.open);
      }}
    >
      <summary>{title}</summary>
      {error ? (
        <p className="note warn-text" role="alert">
          {error.message}. {error.hint} Close and open this to try again.
        </p>
      ) : null}
      {open && !found && !error ? (
        <p className="note" role="status">
          Counting connections…
        </p>
      ) : null}
      {found === null ? null : children(found)}
    </details>
  );
}

export function Charts() {
  const id = useNetwork((s) => s.id);
  const about = useNetwork((s) => s.about);
  if (!about || about.edges === 0) return null;
  return (
    <>
      <Chart
        id="degrees"
        title="Degrees"
        ask={(signal) =>
          getJson<{ in: Sides; out: Sides }>(addressOf(id, "degrees/histogram?bins=40"), signal, isDegrees)
        }
      >
        {(found) => (
          <>
            <Bars title="Connections received" sides={found.in} />
            <Bars title="Connections sent" sides={found.out} />
          </>
        )}
      </Chart>
      <Chart
        id="distances"
        title="Connection probability by distance"
        ask={(signal) => getJson<Distances>(addressOf(id, "distances?bins=30"), signal, isDistances)}
      >
        {(found) => <Curves found={found} />}
      </Chart>
      <Chart
        id="matrix"
        title="Connectivity matrix"
        ask={(signal) => getJson<Matrix>(addressOf(id, "matrix"), signal, isMatrix)}
      >
        {(found) => <Populations found={found} />}
      </Chart>
      <Chart
        id="binned"
        title="Connectivity, neuron by neuron"
        ask={async (signal) => {
          const table = await getTable(addressOf(id, "matrix/binned?bins=128"), signal);
          return { counts: table.whole("connections"), limits: table.whole("limits") };
        }}
      >
        {(found) => <Binned {...found} />}
      </Chart>
    </>
  );
}

function usePopulationColor(): (name: string) => string {
  const populations = useNetwork((s) => s.about?.populations);
  return (name) => toCss(categoryColor(populations?.findIndex((p) => p.name === name) ?? 0));
}

function AsTable({ heads, rows }: { heads: string[]; rows: (string | number)[][] }) {
  return (
    <details className="as-table">
      <summary>As a table</summary>
      <table>
        <thead>
          <tr>
            {heads.map((head) => (
              <th key={head} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row[0]}>
              {row.map((cell, i) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: columns stay where they are.
                <td key={i}>{cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}

function Keys({ names, color }: { names: string[]; color: (name: string) => string }) {
  return (
    <p className="keys">
      {names.map((name) => (
        <span key={name}>
          <span className="swatch" style={{ background: color(name) }} aria-hidden="true" /> {name}
        </span>
      ))}
    </p>
  );
}

const [WIDTH, HEIGHT] = [260, 90];

/** Populations on top of each other. */
function Bars({ title, sides }: { title: string; sides: Sides }) {
  const color = usePopulationColor();
  const names = Object.keys(sides.counts);
  const bins = Math.max(0, sides.edges.length - 1);
  const sums = Array.from({ length: bins }, (_, bin) =>
    names.reduce((n, name) => n + (sides.counts[name]?.[bin] ?? 0), 0),
  );
  const most = Math.max(1, ...sums);
  const last = sides.edges.at(-1) ?? 0;
  return (
    <figure>
      <figcaption>{title}</figcaption>
      <svg
        className="plot"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${title}: histogram from ${number(sides.edges[0] ?? 0)} to ${number(last)}, up to ${count(most)} neurons in a bin`}
      >
        {sums.map((_, bin) => {
          let top = HEIGHT;
          return names.map((name) => {
            const height = ((sides.counts[name]?.[bin] ?? 0) / most) * HEIGHT;
            top -= height;
            return (
              <rect
                key={name}
                x={(bin / bins) * WIDTH}
                y={top}
                width={(WIDTH / bins) * 0.92}
                height={height}
                fill={color(name)}
              />
            );
          });
        })}
      </svg>
      <p className="ends">
        <span>{number(sides.edges[0] ?? 0)}</span>
        <span>up to {count(most)} neurons</span>
        <span>{number(last)}</span>
      </p>
      <Keys names={names} color={color} />
      <AsTable
        heads={["From", ...names]}
        rows={sums.map((_, bin) => [
          number(sides.edges[bin] ?? 0),
          ...names.map((n) => count(sides.counts[n]?.[bin] ?? 0)),
        ])}
      />
    </figure>
  );
}

function Curves({ found }: { found: Distances }) {
  const projections = useNetwork((s) => s.about?.projections) ?? [];
  const name = (index: number) => projections[index]?.name ?? String(index);
  const color = (text: string) => toCss(categoryColor(projections.findIndex((p) => p.name === text)));
  const reach = Math.max(1e-9, ...found.projections.map((p) => p.edges.at(-1) ?? 0));
  const most = Math.max(1e-12, ...found.projections.flatMap((p) => p.probability.map((v) => v ?? 0)));
  const middles = (edges: number[]) => edges.slice(0, -1).map((low, i) => (low + (edges[i + 1] ?? low)) / 2);
  const sampled = found.projections.some((p) => p.sampled);
  const first = found.projections[0];
  return (
    <figure>
      <figcaption>
        Up to {number(most)} at 0 to {number(reach)} µm
      </figcaption>
      <svg
        className="plot"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Connection probability by distance, 0 to ${number(reach)} micrometres, for ${found.projections.map((p) => name(p.projection)).join(", ")}`}
      >
        {found.projections.map((p) => (
          <polyline
            key={p.projection}
            fill="none"
            stroke={color(name(p.projection))}
            strokeWidth={1.6}
            vectorEffect="non-scaling-stroke"
            points={middles(p.edges)
              .flatMap((x, i) => {
                const y = p.probability[i];
                return y === null || y === undefined ? [] : [`${(x / reach) * WIDTH},${HEIGHT - (y / most) * HEIGHT}`];
              })
              .join(" ")}
          />
        ))}
      </svg>
      <p className="ends">
        <span>0 µm</span>
        <span>{number(reach)} µm</span>
      </p>
      <Keys names={found.projections.map((p) => name(p.projection))} color={color} />
      {sampled ? <p className="note">How many pairs there are is estimated from two million of them.</p> : null}
      {first ? (
        <AsTable
          heads={["µm", ...found.projections.map((p) => name(p.projection))]}
          rows={middles(first.edges).map((x, bin) => [
            number(x),
            ...found.projections.map((p) => {
              const value = p.probability[bin];
              return value === null || value === undefined ? "–" : number(value);
            }),
          ])}
        />
      ) : null}
    </figure>
  );
}

function Populations({ found }: { found: Matrix }) {
  const most = Math.max(1e-12, ...found.probability.flat().map((v) => v ?? 0));
  return (
    <div className="wide-table">
      <table className="matrix">
        <caption className="note">Connections, and how likely one is. From rows to columns.</caption>
        <thead>
          <tr>
            <td />
            {found.populations.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {found.populations.map((from, i) => (
            <tr key={from}>
              <th scope="row">{from}</th>
              {found.populations.map((to, j) => {
                const share = found.probability[i]?.[j] ?? 0;
                const strength = `${Math.round((share / most) * 35)}%`;
                return (
                  <td key={to} style={{ background: `color-mix(in srgb, var(--accent) ${strength}, transparent)` }}>
                    {count(found.connections[i]?.[j] ?? 0)}
                    <br />
                    <small>{number(share)}</small>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** A pixel for each bin, brighter by the logarithm. */
function Binned({ counts, limits }: { counts: Uint32Array; limits: Uint32Array }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const cmap = "viridis";
  const side = Math.round(Math.sqrt(counts.length));
  const most = counts.reduce((a, b) => Math.max(a, b), 0);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || side === 0) return;
    const { pixels } = mapLut(cmap);
    const image = context.createImageData(side, side);
    const scale = 255 / Math.log1p(Math.max(1, most));
    counts.forEach((n, i) => {
      const step = Math.round(Math.log1p(n) * scale);
      image.data.set(pixels.subarray(step * 4, step * 4 + 4), i * 4);
    });
    context.putImageData(image, 0, 0);
  }, [counts, most, side]);
  return (
    <figure>
      <figcaption>From rows to columns, in the order of gids</figcaption>
      <canvas
        ref={canvas}
        className="binned"
        width={side}
        height={side}
        role="img"
        aria-label={`Connections between ${count(side)} × ${count(side)} groups of neighbouring neurons, up to ${count(most)} each`}
      />
      <p className="ends">
        <span>0</span>
        <span>up to {count(most)} in a pixel, brightness by logarithm</span>
        <span>{count(limits.at(-1) ?? 0)}</span>
      </p>
    </figure>
  );
}
