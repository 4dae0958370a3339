/** deck.gl behind one small class: a canvas, a camera, a layer. React tells it what to show and nothing else. */

import { Deck, type Layer, OrbitView, OrthographicView } from "@deck.gl/core";
import { PointsLayer, type PointsLayerProps } from "./layer";
import { type Camera, MAX_ZOOM, MIN_ZOOM, MOVING_POINTS, moveByKey } from "./model";

export interface Scene
  extends Pick<PointsLayerProps, "positions" | "values" | "lut" | "range" | "alpha" | "selected">,
    Partial<Pick<PointsLayerProps, "passing" | "marks">> {
  dim: number;
  /** Diameter in CSS pixels. */
  pointSize: number;
  /** Layers below and above the points, for the time being or while the camera moves. */
  around?: (moving: boolean) => { under: Layer[]; over: Layer[] };
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

export class Stage {
  private readonly deck: Deck<OrthographicView[] | OrbitView[]>;
  private scene: Scene | null = null;
  private camera: Camera;
  private moving = false;
  private still = false;
  private timer = 0;
  private counted = 0;

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
      onAfterRender: () => this.events.onDrawn(this.counted),
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
    this.camera = camera;
    if (other) this.deck.setProps({ views: this.views(), viewState: this.viewState() });
    this.render();
  }

  show(scene: Scene): void {
    this.scene = scene;
    this.render();
  }

  private render(): void {
    const { scene } = this;
    if (!scene) return;
    const n = scene.positions.length / 3;
    const count = this.moving ? Math.min(n, MOVING_POINTS) : n;
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
    this.deck.finalize();
  }
}
