/** Views other than the one that has the focus, in a link: `embedding;dim;columns;color;gene;range;cmap;filecolors;camera`. */

import { COLOR_MAPS, type ColorMap } from "../gpu/lut";

export interface LinkedView {
  embedding: string | null;
  dim: number | null;
  columns: number[] | null;
  /** As `Linked.color`. */
  color: string | null;
  gene: number | null;
  range: [number, number] | null;
  cmap: ColorMap;
  fileColors: boolean;
  camera: number[] | null;
}

function rounded(values: number[] | null, digits: number): string {
  return values?.map((value) => Number(value.toPrecision(digits))).join(",") ?? "";
}

function numbers(text: string | undefined): number[] | null {
  const found = (text ?? "") === "" ? null : (text ?? "").split(",").map(Number);
  return found?.every(Number.isFinite) ? found : null;
}

function unescaped(text: string | undefined): string | null {
  try {
    return text ? decodeURIComponent(text) : null;
  } catch {
    return null;
  }
}

/** Only what has a meaning in a link of parts is written differently: `;` and `%`. */
function escaped(text: string | null): string {
  return (text ?? "").replaceAll("%", "%25").replaceAll(";", "%3B");
}

export function writeView(view: LinkedView): string {
  const parts = [
    escaped(view.embedding),
    view.dim ?? "",
    view.columns?.join(",") ?? "",
    escaped(view.color),
    view.gene ?? "",
    rounded(view.range, 7),
    view.cmap === "viridis" ? "" : view.cmap,
    view.fileColors ? "1" : "",
    rounded(view.camera, 5),
  ];
  return parts.join(";").replace(/;+$/, "");
}

export function readView(text: string): LinkedView {
  const [embedding, dim, columns, color, gene, range, cmap, fileColors, camera] = text.split(";");
  const span = numbers(range);
  return {
    embedding: unescaped(embedding),
    dim: numbers(dim)?.[0] ?? null,
    columns: numbers(columns),
    color: unescaped(color),
    gene: numbers(gene)?.[0] ?? null,
    range: span?.length === 2 ? [span[0] as number, span[1] as number] : null,
    cmap: cmap && Object.hasOwn(COLOR_MAPS, cmap) ? (cmap as ColorMap) : "viridis",
    fileColors: fileColors === "1",
    camera: numbers(camera),
  };
}
