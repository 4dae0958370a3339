/** A figure as pixels. */

import type { Item } from "./model";
import type { Ink } from "./svg";

export const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

/** Draws every item; `pictures` are those of the panes' points. */
export function paintItems(
  canvas: HTMLCanvasElement,
  items: Item[],
  scale: number,
  pictures: (ImageBitmap | null)[],
  ink: Ink,
): void {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser makes no picture of that size");
  if (ink.background !== null) {
    context.fillStyle = ink.background;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  context.scale(scale, scale);
  for (const item of items) paintItem(context, item, pictures, ink);
}

function paintItem(context: CanvasRenderingContext2D, item: Item, pictures: (ImageBitmap | null)[], ink: Ink): void {
  const { x, y } = item;
  switch (item.kind) {
    case "rect":
      if (item.fill !== null) {
        context.fillStyle = item.fill;
        context.fillRect(x, y, item.w, item.h);
      }
      if (item.stroke !== null) {
        context.strokeStyle = item.stroke === "frame" ? ink.frame : item.stroke;
        context.lineWidth = 1;
        context.strokeRect(x, y, item.w, item.h);
      }
      return;
    case "circle":
      context.fillStyle = item.fill;
      context.beginPath();
      context.arc(x, y, item.r, 0, 2 * Math.PI);
      context.fill();
      return;
    case "gradient": {
      const gradient = context.createLinearGradient(x, 0, x + item.w, 0);
      item.stops.forEach((color, i) => {
        gradient.addColorStop(i / (item.stops.length - 1), color);
      });
      context.fillStyle = gradient;
      context.fillRect(x, y, item.w, item.h);
      return;
    }
    case "text":
      context.save();
      context.translate(x, y);
      if (item.turned) context.rotate(-Math.PI / 2);
      context.font = `${item.bold ? 600 : 400} ${item.size}px ${FONT}`;
      context.textAlign = item.anchor === "middle" ? "center" : item.anchor;
      context.fillStyle = ink.text;
      context.fillText(item.text, 0, 0);
      context.restore();
      return;
    case "lines":
      context.save();
      context.translate(x, y);
      context.beginPath();
      context.rect(0, 0, item.w, item.h);
      context.clip();
      for (const { ends, color, opacity, width } of item.paths) {
        context.beginPath();
        for (let i = 0; i < ends.length; i += 4) {
          context.moveTo(ends[i] ?? 0, ends[i + 1] ?? 0);
          context.lineTo(ends[i + 2] ?? 0, ends[i + 3] ?? 0);
        }
        context.globalAlpha = opacity;
        context.strokeStyle = color ?? ink.text;
        context.lineWidth = width;
        context.stroke();
      }
      context.restore();
      return;
    case "points": {
      const picture = pictures[item.pane];
      if (picture) context.drawImage(picture, x, y, item.w, item.h);
    }
  }
}
