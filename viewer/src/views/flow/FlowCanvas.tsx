/** Particles over a view, drifting as the field says; they rest while the page is hidden. */

import { useEffect, useRef } from "react";
import type { Geometry } from "../../state/store";
import { groundOf } from "../../state/views";
import { useCalm } from "./calm";
import { PARTICLES, Particles } from "./particles";
import { useFlow } from "./state";

/** How much of a trail is left after a second. */
const LEFT = 0.03;
/** A particle for so many square pixels. */
const ROOM_PX = 400;
const LONGEST_STEP = 0.05;

interface Props {
  geometry: Geometry | null;
  matrix: () => number[] | null;
}

export default function FlowCanvas({ geometry, matrix }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { grid, ground } = useFlow();
  const calm = useCalm();
  const own = groundOf(geometry) === ground ? grid : null;
  useEffect(() => {
    const element = canvas.current;
    if (!element || !own || calm) return;
    const room = element.clientWidth * element.clientHeight;
    const many = Math.max(200, Math.min(PARTICLES, Math.round(room / ROOM_PX)));
    return drift(element, new Particles(own, many), matrix);
  }, [own, matrix, calm]);
  return own && !calm ? <canvas ref={canvas} className="flow" data-testid="flow" /> : null;
}

/** Draws until the answer is called. */
function drift(canvas: HTMLCanvasElement, particles: Particles, matrix: () => number[] | null): () => void {
  const context = canvas.getContext("2d");
  const ratio = window.devicePixelRatio || 1;
  let [last, frame, frames, seen] = [performance.now(), 0, 0, ""];
  const step = (now: number) => {
    frame = requestAnimationFrame(step);
    const seconds = Math.min(LONGEST_STEP, (now - last) / 1000);
    last = now;
    const m = matrix();
    if (!context || !m || document.hidden) return;
    const [width, height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
    const from = `${m.join()} ${width} ${height}`;
    if (from !== seen) {
      // Another camera: what was drawn is elsewhere now. Also forgets the old size.
      [canvas.width, canvas.height] = [width, height];
      seen = from;
    }
    particles.step(seconds);
    context.globalCompositeOperation = "destination-out";
    context.fillStyle = `rgba(0, 0, 0, ${1 - LEFT ** seconds})`;
    context.fillRect(0, 0, width, height);
    context.globalCompositeOperation = "source-over";
    trace(context, particles, m, ratio);
    frames += 1;
    canvas.dataset.frames = String(frames);
  };
  frame = requestAnimationFrame(step);
  return () => cancelAnimationFrame(frame);
}

function trace(context: CanvasRenderingContext2D, particles: Particles, m: number[], ratio: number): void {
  const { x, y, fromX, fromY, many } = particles;
  const [a, b, c, d, e, f] = [m[0] ?? 0, m[4] ?? 0, m[12] ?? 0, m[1] ?? 0, m[5] ?? 0, m[13] ?? 0];
  const w = m[15] ?? 1;
  const px = (px: number, py: number) => ((a * px + b * py + c) / w) * ratio;
  const py = (px: number, py: number) => ((d * px + e * py + f) / w) * ratio;
  context.beginPath();
  for (let i = 0; i < many; i += 1) {
    const [x0, y0, x1, y1] = [fromX[i] ?? 0, fromY[i] ?? 0, x[i] ?? 0, y[i] ?? 0];
    context.moveTo(px(x0, y0), py(x0, y0));
    context.lineTo(px(x1, y1), py(x1, y1));
  }
  context.strokeStyle = getComputedStyle(context.canvas).color;
  context.lineWidth = 1.6 * ratio;
  context.lineCap = "round";
  context.stroke();
}
