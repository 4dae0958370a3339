/** What is shown, as a PNG: the canvas with its scale bar. */

import type { Bar } from "../../data/units";

/** Draws the scale bar as the page does, onto a canvas of `ratio` device pixels for one of CSS. */
function drawBar(context: CanvasRenderingContext2D, bar: Bar, ratio: number): void {
  const { width, height } = context.canvas;
  const [right, bottom] = [width - 16 * ratio, height - 16 * ratio];
  context.font = `600 ${12 * ratio}px system-ui, sans-serif`;
  const text = context.measureText(bar.label).width;
  const wide = Math.max(text, bar.px * ratio);
  context.fillStyle = "rgb(0 0 0 / 0.6)";
  context.fillRect(right - wide - 16 * ratio, bottom - 34 * ratio, wide + 24 * ratio, 42 * ratio);
  context.fillStyle = "#ffffff";
  context.textAlign = "right";
  context.fillText(bar.label, right, bottom - 14 * ratio);
  context.fillRect(right - bar.px * ratio, bottom - 6 * ratio, bar.px * ratio, 4 * ratio);
}

export function picture(canvas: HTMLCanvasElement, bar: Bar | null, background: string): Promise<Blob> {
  const copy = document.createElement("canvas");
  copy.width = canvas.width;
  copy.height = canvas.height;
  const context = copy.getContext("2d");
  if (!context) return Promise.reject(new Error("This browser gives no canvas to draw on"));
  context.fillStyle = background;
  context.fillRect(0, 0, copy.width, copy.height);
  context.drawImage(canvas, 0, 0);
  if (bar) drawBar(context, bar, canvas.width / Math.max(1, canvas.clientWidth));
  return new Promise((resolve, reject) => {
    copy.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture could not be made"))), "image/png");
  });
}

export function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
