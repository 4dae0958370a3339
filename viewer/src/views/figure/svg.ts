/** A figure as SVG: text stays text, points stay circles while a program can open so many. */

import type { Item } from "./model";
import type { Dots } from "./raster";

export type Points =
  | { kind: "dots"; dots: Dots; size: number }
  /** A picture as a data address. */
  | { kind: "picture"; href: string };

export interface Ink {
  /** Null for nothing behind the figure. */
  background: string | null;
  text: string;
  frame: string;
}

export interface Origin {
  title: string;
  /** Address of the view that the figure shows. */
  link: string;
  software: string;
  /** ISO 8601. */
  made: string;
}

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

export function escaped(text: string): string {
  const known: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  // Of the control characters XML knows three.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they are.
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, "").replace(/[&<>"]/g, (c) => known[c] ?? c);
}

function short(value: number): string {
  return String(Number(value.toFixed(2)));
}

function hex(rgba: Uint8Array, at: number): string {
  const one = (k: number) => (rgba[at + k] ?? 0).toString(16).padStart(2, "0");
  return `#${one(0)}${one(1)}${one(2)}`;
}

function circles({ count, at, rgba }: Dots, size: number): string {
  const parts: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const opacity = (rgba[i * 4 + 3] ?? 255) / 255;
    const faint = opacity < 0.999 ? ` fill-opacity="${short(opacity)}"` : "";
    const [x, y] = [short(at[i * 2] ?? 0), short(at[i * 2 + 1] ?? 0)];
    parts.push(`<circle cx="${x}" cy="${y}" r="${short(size / 2)}" fill="${hex(rgba, i * 4)}"${faint}/>`);
  }
  return parts.join("\n");
}

function drawn(item: Item, number: number, points: Points[], ink: Ink): string {
  const place = `x="${short(item.x)}" y="${short(item.y)}"`;
  switch (item.kind) {
    case "rect": {
      const stroke = item.stroke === null ? "" : ` stroke="${item.stroke === "frame" ? ink.frame : item.stroke}"`;
      const room = `width="${short(item.w)}" height="${short(item.h)}"`;
      return `<rect ${place} ${room} fill="${item.fill ?? "none"}"${stroke}/>`;
    }
    case "circle":
      return `<circle class="key" cx="${short(item.x)}" cy="${short(item.y)}" r="${item.r}" fill="${item.fill}"/>`;
    case "gradient": {
      const last = item.stops.length - 1;
      const stops = item.stops.map((color, i) => `<stop offset="${short(i / last)}" stop-color="${color}"/>`).join("");
      const room = `width="${short(item.w)}" height="${short(item.h)}"`;
      return `<linearGradient id="map${number}">${stops}</linearGradient><rect ${place} ${room} fill="url(#map${number})"/>`;
    }
    case "text": {
      const [x, y] = [short(item.x), short(item.y)];
      const turned = item.turned ? ` transform="rotate(-90 ${x} ${y})"` : "";
      const style = `font-size="${item.size}" text-anchor="${item.anchor}"${item.bold ? ' font-weight="600"' : ""}`;
      return `<text ${place} ${style} fill="${ink.text}"${turned}>${escaped(item.text)}</text>`;
    }
    case "lines": {
      const room = `width="${short(item.w)}" height="${short(item.h)}"`;
      const paths = item.paths.map(({ ends, color, opacity, width }) => {
        const parts: string[] = [];
        for (let i = 0; i < ends.length; i += 4) {
          const [x0, y0, x1, y1] = [0, 1, 2, 3].map((k) => short(ends[i + k] ?? 0));
          parts.push(`M${x0} ${y0}L${x1} ${y1}`);
        }
        const look = `stroke="${color ?? ink.text}" stroke-opacity="${short(opacity)}" stroke-width="${short(width)}"`;
        return `<path d="${parts.join("")}" fill="none" ${look}/>`;
      });
      const clip = `<clipPath id="lines${number}"><rect ${room}/></clipPath>`;
      const moved = `transform="translate(${short(item.x)} ${short(item.y)})"`;
      return `${clip}<g class="lines" ${moved} clip-path="url(#lines${number})">\n${paths.join("\n")}\n</g>`;
    }
    case "points": {
      const own = points[item.pane];
      const room = `width="${short(item.w)}" height="${short(item.h)}"`;
      if (!own) return "";
      const inner = own.kind === "dots" ? circles(own.dots, own.size) : `<image ${room} href="${own.href}"/>`;
      const clip = `<clipPath id="frame${number}"><rect ${room}/></clipPath>`;
      const moved = `transform="translate(${short(item.x)} ${short(item.y)})"`;
      return `${clip}<g class="points" ${moved} clip-path="url(#frame${number})">\n${inner}\n</g>`;
    }
  }
}

export function svgOf(
  items: Item[],
  size: { width: number; height: number },
  millimetres: boolean,
  points: Points[],
  ink: Ink,
  origin: Origin,
): string {
  const { width, height } = size;
  const told = (value: number) => (millimetres ? `${short((value / 96) * 25.4)}mm` : short(value));
  const about = [
    `<dc:title>${escaped(origin.title)}</dc:title>`,
    `<dc:source>${escaped(origin.link)}</dc:source>`,
    `<dc:creator>${escaped(origin.software)}</dc:creator>`,
    `<dc:date>${escaped(origin.made)}</dc:date>`,
  ].join("");
  const space = 'xmlns="http://www.w3.org/2000/svg"';
  const box = `viewBox="0 0 ${short(width)} ${short(height)}" font-family="${FONT}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<svg ${space} width="${told(width)}" height="${told(height)}" ${box}>`,
    `<title>${escaped(origin.title)}</title>`,
    `<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">${about}</metadata>`,
    ink.background === null ? "" : `<rect width="100%" height="100%" fill="${ink.background}"/>`,
    ...items.map((item, i) => drawn(item, i, points, ink)),
    "</svg>",
    "",
  ].join("\n");
}
