/** Around every chart: its files, its numbers as a table, and the words under the pointer. */

import { type ReactNode, useEffect, useRef, useState } from "react";
import { toApiError } from "../../api/client";
import { set } from "../../state/store";
import { save, toPng, toSvg } from "./picture";
import { fileName, toCsv, type Value } from "./table";

export interface Tip {
  x: number;
  y: number;
  lines: string[];
}

export interface Table {
  heads: string[];
  rows: Value[][];
}

interface FigureProps {
  id: string;
  /** Names the files. */
  name: string;
  caption?: ReactNode;
  controls?: ReactNode;
  /** Below the chart. */
  note?: string;
  table: () => Table;
  tip?: Tip | null;
  children: ReactNode;
}

/** More rows than this are for the file, not for the page. */
const MOST_ROWS = 500;

export function Figure({
  id,
  name,
  caption = "",
  controls = null,
  note = "",
  table,
  tip = null,
  children,
}: FigureProps) {
  const box = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState(false);
  const chart = () => box.current?.querySelector("svg") ?? null;
  function saveCsv(): void {
    const { heads, rows } = table();
    save(toCsv(heads, rows), `${fileName(name)}.csv`, "text/csv");
  }
  function saveSvg(): void {
    const svg = chart();
    if (svg) save(toSvg(svg), `${fileName(name)}.svg`, "image/svg+xml");
  }
  async function savePng(): Promise<void> {
    const svg = chart();
    try {
      if (svg) save(await toPng(svg), `${fileName(name)}.png`);
    } catch (error) {
      set({ error: toApiError(error) });
    }
  }
  return (
    <figure className="chart" data-testid={`chart-${id}`}>
      <div className="chart-bar">
        {controls}
        {caption === "" ? null : <figcaption className="note">{caption}</figcaption>}
        <span className="space" />
        <fieldset className="files" aria-label={`Save ${name}`}>
          <button type="button" data-testid={`${id}-csv`} onClick={saveCsv} title="The numbers, as a table">
            CSV
          </button>
          <button type="button" data-testid={`${id}-svg`} onClick={saveSvg} title="The chart, as vectors">
            SVG
          </button>
          <button type="button" data-testid={`${id}-png`} onClick={() => void savePng()} title="300 dots per inch">
            PNG
          </button>
        </fieldset>
      </div>
      <div className="chart-box" ref={box}>
        {children}
        {tip ? <TipBox {...tip} /> : null}
      </div>
      {note === "" ? null : <p className="note">{note}</p>}
      <details
        className="as-table"
        onToggle={(event) => event.target === event.currentTarget && setOpen(event.currentTarget.open)}
      >
        <summary>As a table</summary>
        {open ? <Rows {...table()} /> : null}
      </details>
    </figure>
  );
}

function TipBox({ x, y, lines }: Tip) {
  return (
    <p className="tip" data-testid="chart-tip" style={{ left: x, top: y }}>
      {lines.map((line, i) => (
        <span key={line} className={i === 0 ? "own" : ""}>
          {line}
        </span>
      ))}
    </p>
  );
}

function Rows({ heads, rows }: Table) {
  return (
    <>
      <div className="wide-table">
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
            {rows.slice(0, MOST_ROWS).map((row, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: rows stay where they are.
              <tr key={i}>
                {row.map((value, k) => (
                  <td key={heads[k]}>{typeof value === "number" ? shown(value) : (value ?? "–")}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > MOST_ROWS ? (
        <p className="note">
          The first {MOST_ROWS} rows; the CSV file has all {rows.length.toLocaleString("en")}.
        </p>
      ) : null}
    </>
  );
}

function shown(value: number): string {
  return Number.isFinite(value) ? Number(value.toPrecision(5)).toString() : "–";
}

/** Width of an element, followed as it changes; 0 until it is known. */
export function useWidth(): [(element: HTMLElement | null) => void, number] {
  const [element, setElement] = useState<HTMLElement | null>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    if (!element) return;
    setWidth(element.clientWidth);
    const watcher = new ResizeObserver(() => setWidth(element.clientWidth));
    watcher.observe(element);
    return () => watcher.disconnect();
  }, [element]);
  return [setElement, width];
}

let ruler: CanvasRenderingContext2D | null = null;

/** Width of a text in pixels of the page. */
export function textWidth(text: string, px = 12): number {
  ruler ??= document.createElement("canvas").getContext("2d");
  if (!ruler) return text.length * px * 0.6;
  ruler.font = `${px}px system-ui, sans-serif`;
  return ruler.measureText(text).width || text.length * px * 0.6;
}
