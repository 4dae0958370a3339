/** What a pointer does on a view of cells: asks what is under it, picks one cell, draws an outline around many. */

import { type PointerEvent, useEffect, useRef, useState } from "react";
import type { Mode } from "../../data/selecting";
import type { Ground } from "../../data/worker";
import { crewOf, describeCell, forgetCell, select } from "../../state/actions";
import { get, set, type Tool, useModel } from "../../state/store";

const DWELL_MS = 90;
/** A drag shorter than this is a click. */
const CLICK_PX = 4;
/** Corners of an outline are at least so far apart. */
const STEP_PX = 3;

/** What the hook needs of a view. */
export interface Bed {
  /** Id of the view, or `tissue`. */
  view: string;
  ground: () => Ground;
  matrix: () => number[] | null;
  /** How far from a cell's middle it is still meant, in CSS pixels. */
  reach: () => number;
}

interface Stroke {
  id: number;
  tool: Tool;
  corners: number[];
}

interface Keys {
  shiftKey: boolean;
  altKey: boolean;
}

export function modeOf({ shiftKey, altKey }: Keys): Mode {
  if (altKey) return shiftKey ? "meet" : "remove";
  return shiftKey ? "add" : "replace";
}

/** The outline after the pointer moved to a place. */
export function extended({ tool, corners }: Pick<Stroke, "tool" | "corners">, x: number, y: number): number[] {
  const [x0 = x, y0 = y] = corners;
  if (tool === "rectangle") return [x0, y0, x, y0, x, y, x0, y];
  const far = Math.hypot(x - (corners.at(-2) ?? x), y - (corners.at(-1) ?? y)) >= STEP_PX;
  return far ? [...corners, x, y] : corners;
}

function extentOf(corners: number[]): number {
  const [x0 = 0, y0 = 0] = corners;
  return corners.reduce((most, value, i) => Math.max(most, Math.abs(value - (i % 2 ? y0 : x0))), 0);
}

export async function cellUnder({ ground, matrix, reach }: Bed, x: number, y: number) {
  const own = matrix();
  return own
    ? crewOf().run({ kind: "nearest", pointer: { matrix: own, x, y, radius: reach() }, ground: ground() })
    : null;
}

/** One cell: alone, added, taken away; one that is selected already is taken away. */
export async function pick(bed: Bed, x: number, y: number, mode: Mode): Promise<void> {
  const found = await cellUnder(bed, x, y);
  if (!found) return;
  const has = get().selection?.cells;
  const inside = has ? (((has[found.cell >>> 5] ?? 0) >>> (found.cell & 31)) & 1) === 1 : false;
  await select({ kind: "cells", cells: [found.cell] }, mode === "replace" && inside ? "remove" : mode);
}

/** Finds the cell under the pointer: one question at a time, the latest position counts. */
function useHover(bed: Bed) {
  const wanted = useRef<{ x: number; y: number; room: [number, number] } | null>(null);
  const asking = useRef(false);
  const dwell = useRef(0);

  async function ask(): Promise<void> {
    if (asking.current) return;
    asking.current = true;
    while (wanted.current) {
      const { x, y, room } = wanted.current;
      wanted.current = null;
      const found = await cellUnder(bed, x, y);
      const { hover } = get();
      if (!found) forgetCell();
      else if (hover?.cell !== found.cell || hover.view !== bed.view) {
        set({ hover: { ...found, view: bed.view, x, y, room, detail: null } });
        clearTimeout(dwell.current);
        dwell.current = window.setTimeout(() => void describeCell(found.cell), DWELL_MS);
      }
    }
    asking.current = false;
  }

  return {
    seek: (event: PointerEvent<HTMLElement>) => {
      const [x, y] = placeOn(event);
      const { clientWidth, clientHeight } = event.currentTarget;
      wanted.current = { x, y, room: [clientWidth, clientHeight] };
      void ask();
    },
    leave: () => {
      wanted.current = null;
      clearTimeout(dwell.current);
      forgetCell();
    },
  };
}

function placeOn(event: PointerEvent<HTMLElement>): [number, number] {
  const box = event.currentTarget.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

/** Handlers for the canvas, and the outline that is being drawn. */
export function usePointer(bed: Bed) {
  const hover = useHover(bed);
  const stroke = useRef<Stroke | null>(null);
  const [outline, setOutline] = useState<number[]>([]);
  const tool = useModel((s) => s.tool);

  function end(): void {
    stroke.current = null;
    setOutline([]);
  }

  const drawing = outline.length > 0;
  // biome-ignore lint/correctness/useExhaustiveDependencies: only while something is drawn.
  useEffect(() => {
    if (!drawing) return;
    // Escape gives up the outline and leaves the selection as it was.
    const stop = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      event.stopImmediatePropagation();
      end();
    };
    addEventListener("keydown", stop, true);
    return () => removeEventListener("keydown", stop, true);
  }, [drawing]);

  function finish(event: PointerEvent<HTMLElement>): void {
    const done = stroke.current;
    if (!done || done.id !== event.pointerId) return;
    end();
    const [x, y] = placeOn(event);
    const mode = modeOf(event);
    const mouse = event.pointerType === "mouse";
    if (extentOf([...done.corners, x, y]) < CLICK_PX) {
      // A tap asks what is under the finger, unless it is there to select.
      if (mouse || done.tool !== "move") void pick(bed, x, y, mode);
      return;
    }
    if (done.tool === "move") return;
    const corners = Float32Array.from(extended(done, x, y));
    const matrix = bed.matrix();
    if (matrix) void select({ kind: "outline", outline: { matrix, corners } }, mode, bed.ground());
  }

  return {
    outline,
    handlers: {
      onPointerDown: (event: PointerEvent<HTMLElement>) => {
        if (stroke.current) return end(); // a second finger moves the view
        if (event.button !== 0) return;
        const [x, y] = placeOn(event);
        stroke.current = { id: event.pointerId, tool, corners: [x, y] };
        if (tool !== "move") forgetCell();
      },
      onPointerMove: (event: PointerEvent<HTMLElement>) => {
        const [x, y] = placeOn(event);
        const own = stroke.current;
        if (own && own.id === event.pointerId && own.tool !== "move") {
          const grown = extended(own, x, y);
          if (own.tool === "lasso") own.corners = grown;
          if (extentOf(grown) >= CLICK_PX) {
            if (!event.currentTarget.hasPointerCapture(event.pointerId))
              event.currentTarget.setPointerCapture(event.pointerId);
            setOutline(grown);
          }
        } else if (event.pointerType === "mouse" && event.buttons === 0) hover.seek(event);
      },
      onPointerUp: (event: PointerEvent<HTMLElement>) => {
        if (event.pointerType !== "mouse" && stroke.current?.tool === "move") hover.seek(event);
        finish(event);
      },
      onPointerCancel: end,
      onPointerLeave: (event: PointerEvent<HTMLElement>) => {
        if (event.pointerType === "mouse") hover.leave();
      },
    },
  };
}
