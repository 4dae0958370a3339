/** deck.gl behind one small class: a canvas, a camera, a layer. React tells it what to show and nothing else. */

import { Deck, type Layer, OrbitView, OrthographicView } from "@deck.gl/core";
import { PointsLayer, type PointsLayerProps } from "./layer";
import { type Camera, MAX_ZOOM, MIN_ZOOM, moveByKey } from "./model";
import { Pace, whenDone } from "./pace";

export interface Scene
  extends Pick<PointsLayerProps, "positions" | "values" | "lut" | "range" | "alpha" | "selected">,
    Partial<Pick<PointsLayerProps, "arrived" | "valued" | "passing" | "marks">> {
  dim: number;
  /** Diameter in CSS pixels. */
  pointSize: number;
  /** Layers below and above the points, for the time being or while the camera moves. */
  around?: (moving: boolean) => { under: Layer[]; over: Layer[] } | undefined;
}

interface StageEvents {
  onCamera: (camera: Camera) => void;
  /** After a frame: how many points it drew. */
  onDrawn: (points: number) => void;
  onError: (error: Error) => void;
}

const REST_MS = 180;

const CONTROLS = {
  dragPan: true,
  dragRotate: true,
  scrollZoom: { speed: 0.01, smooth: false },
  touchRotate: true,
  keyboard: false,
};

/** Nearly: a camera that went through a link and back is not moved by rounding. */
function sameCamera(one: Camera, other: Camera): boolean {
  const numbers = (c: Camera) => [...c.target, c.zoom, ...(c.kind === "3d" ? [c.rotationX, c.rotationOrbit] : [])];
  const theirs = numbers(other);
  return one.kind === other.kind && numbers(one).every((value, i) => Math.abs(value - (theirs[i] ?? 0)) < 1e-6);
}

function samePoints(one: Scene, other: Scene | null): boolean {
  const keys = Object.keys(one) as (keyof Scene)[];
  return other !== null && keys.every((key) => key === "around" || one[key] === other[key]);
}

/** Whether more has arrived of the same. */
function hasGrown(one: Scene, other: Scene | null): boolean {
  if (other === null || one.positions !== other.positions || one.values !== other.values) return false;
  return one.arrived !== other.arrived || one.valued !== other.valued;
}

export class Stage {
  private readonly deck: Deck<OrthographicView[] | OrbitView[]>;
  private scene: Scene | null = null;
  private camera: Camera;
  private moving = false;
  private still = false;
  private timer = 0;
  /** Points of the last frame. */
  private counted = 0;
  private readonly pace = new Pace();
  /** Gives up the measurement that is under way. */
  private giveUp: (() => void) | null = null;

  constructor(
    parent: HTMLDivElement,
    camera: Camera,
    private readonly events: StageEvents,
  ) {
    this.camera = camera;
    this.deck = new Deck({
      parent,
      views: this.views(),
      viewState: this.viewState(),
      controller: CONTROLS,
      layers: [],
      useDevicePixels: true,
      pickingRadius: 0,
      onViewStateChange: ({ viewState }) => this.follow(viewState as unknown as Record<string, unknown>),
      onAfterRender: ({ gl }) => this.drew(gl),
      onError: (error) => this.events.onError(error),
    });
  }

  private views(): OrthographicView[] | OrbitView[] {
    if (this.camera.kind === "2d") return [new OrthographicView({ id: "flat", flipY: false })];
    return [new OrbitView({ id: "orbit", orbitAxis: "Y", fovy: 40 })];
  }

  private viewState() {
    const { kind: _, ...state } = this.camera;
    return { ...state, minZoom: MIN_ZOOM, maxZoom: MAX_ZOOM } as never;
  }

  private follow(state: Record<string, unknown>): void {
    const target = (state.target as number[]).slice(0, 3);
    const zoom = Array.isArray(state.zoom) ? Number(state.zoom[0]) : Number(state.zoom);
    const at: [number, number, number] = [target[0] ?? 0, target[1] ?? 0, target[2] ?? 0];
    const before = this.camera;
    this.camera =
      this.camera.kind === "2d"
        ? { kind: "2d", target: at, zoom }
        : {
            kind: "3d",
            target: at,
            zoom,
            rotationX: Number(state.rotationX),
            rotationOrbit: Number(state.rotationOrbit),
          };
    // A new controller, or a new size of the window, tells where the camera is, too.
    if (JSON.stringify(this.camera) === JSON.stringify(before)) return;
    this.move();
    this.events.onCamera(this.camera);
  }

  /** While an outline is drawn a drag moves nothing. */
  hold(still: boolean): void {
    if (still === this.still) return;
    this.still = still;
    const controller = { ...CONTROLS, dragPan: !still, dragRotate: !still, touchRotate: !still };
    // A view keeps its controller for life.
    this.deck.setProps({ controller, views: this.views(), viewState: this.viewState() });
  }

  /** Moves the camera by a key; whether the key was one of ours. */
  press(key: string): boolean {
    const moved = moveByKey(this.camera, key);
    if (!moved) return false;
    this.camera = moved;
    this.move();
    this.events.onCamera(moved);
    return true;
  }

  private move(): void {
    this.moving = true;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      this.moving = false;
      this.render();
    }, REST_MS);
    this.render();
  }

  /** Look from here. */
  look(camera: Camera): void {
    const other = camera.kind !== this.camera.kind;
    const elsewhere = !sameCamera(camera, this.camera);
    this.camera = camera;
    if (other) this.deck.setProps({ views: this.views(), viewState: this.viewState() });
    if (elsewhere && !other) this.move();
    else this.render();
  }

  show(scene: Scene): void {
    // Lines that come and go leave the points as they are; more points are added to those that are there.
    if (!samePoints(scene, this.scene) && !hasGrown(scene, this.scene)) this.counted = 0;
    this.scene = scene;
    this.render();
  }

  /** A frame is on its way to the screen; at rest, the next has more points until all are there. */
  private drew(gl: WebGL2RenderingContext): void {
    const points = this.counted;
    this.events.onDrawn(points);
    if (this.giveUp) return;
    this.giveUp = whenDone(gl, (ms) => {
      this.giveUp = null;
      if (points > 0) this.pace.learn(points, ms);
      if (!this.moving && this.counted < this.there()) this.render();
    });
  }

  /** Points that could be drawn now. */
  private there(): number {
    if (!this.scene) return 0;
    const { positions, arrived, values, valued } = this.scene;
    const n = positions.length / 3;
    return Math.min(n, arrived ?? n, values ? (valued ?? n) : n);
  }

  private render(): void {
    const { scene } = this;
    if (!scene) return;
    const n = this.there();
    const count = this.moving ? this.pace.moving(n) : this.pace.resting(n, this.counted);
    this.counted = count;
    const ratio = window.devicePixelRatio || 1;
    const size = Math.max(1, scene.pointSize * ratio * this.growth());
    const { around, ...own } = scene;
    const layer = new PointsLayer({ id: "points", ...own, count, size, depth: scene.dim === 3, pickable: false });
    const { under, over } = around?.(this.moving) ?? { under: [], over: [] };
    this.deck.setProps({ layers: [...under, layer, ...over], viewState: this.viewState() });
  }

  /** Points grow a little as one looks closer. */
  private growth(): number {
    return Math.min(4, Math.max(1, 2 ** ((this.camera.zoom - 8.2) * 0.35)));
  }

  /** From coordinates to CSS pixels of the canvas, for finding what is under the pointer. */
  pixelMatrix(): number[] | null {
    const viewport = this.deck.isInitialized ? this.deck.getViewports()[0] : undefined;
    return viewport ? Array.from(viewport.pixelProjectionMatrix) : null;
  }

  destroy(): void {
    clearTimeout(this.timer);
    this.giveUp?.();
    this.deck.finalize();
  }
}
