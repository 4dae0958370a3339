/** deck.gl behind one small class: a canvas, a camera, layers. React tells it what to show and nothing else. */

import { Deck, type Layer, OrbitView, OrthographicView } from "@deck.gl/core";
import { baseLayer, type LabelScene, labelLayer, type PlaneScene, type TileStack, tileLayer } from "./layers";
import { type Camera, MAX_ZOOM } from "./model";
import type { Tile } from "./tiles";
import { VolumeLayer, type VolumeLayerProps } from "./volume";

export type Scene =
  | {
      kind: "plane";
      key: string;
      attempt: number;
      plane: PlaneScene | null;
      labels: LabelScene | null;
      /** What lies over the image, drawn anew at each zoom. */
      over?: (zoom: number, moving: boolean) => Layer[];
    }
  | ({ kind: "volume"; key: string; level: number } & Pick<VolumeLayerProps, "volumes" | "looks" | "sides">);

interface StageEvents {
  onCamera: (camera: Camera) => void;
  /** After a frame that showed all of the scene there is: its key, level and tiles. */
  onPainted: (key: string, level: number, tiles: number) => void;
  onFirst: () => void;
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
  private base: { key: string; tiles: Tile[] } | null = null;
  private basing: { key: string; controller: AbortController } | null = null;
  private stacks: TileStack[] = [];
  private moving = false;
  private still = false;
  private timer = 0;
  /** Its own, so that whatever deck.gl still makes after the end goes with it. */
  private readonly frame = document.createElement("div");

  constructor(
    parent: HTMLDivElement,
    camera: Camera,
    private readonly events: StageEvents,
  ) {
    this.camera = camera;
    this.frame.className = "stage";
    parent.append(this.frame);
    this.deck = new Deck({
      parent: this.frame,
      views: this.views(),
      viewState: this.viewState(),
      controller: CONTROLS,
      layers: [],
      useDevicePixels: true,
      pickingRadius: 0,
      onViewStateChange: ({ viewState }) => this.follow(viewState as unknown as Record<string, unknown>),
      // The keys are the page's, and a picture is no stop for the focus.
      onLoad: () => this.frame.removeAttribute("tabindex"),
      onAfterRender: () => this.report(),
      onError: (error) => this.events.onError(error),
      getCursor: ({ isDragging }) => (isDragging ? "grabbing" : "crosshair"),
    });
  }

  private views(): OrthographicView[] | OrbitView[] {
    if (this.camera.kind === "plane") return [new OrthographicView({ id: "plane", flipY: true })];
    return [new OrbitView({ id: "volume", orbitAxis: "Y", fovy: 30 })];
  }

  private viewState() {
    const { kind, ...state } = this.camera;
    const most = kind === "plane" ? MAX_ZOOM : 14;
    return { ...state, minZoom: kind === "plane" ? -20 : 2, maxZoom: most } as never;
  }

  private follow(state: Record<string, unknown>): void {
    const target = state.target as number[];
    const zoom = Array.isArray(state.zoom) ? Number(state.zoom[0]) : Number(state.zoom);
    const at: [number, number, number] = [target[0] ?? 0, target[1] ?? 0, target[2] ?? 0];
    const turned = { rotationX: Number(state.rotationX), rotationOrbit: Number(state.rotationOrbit) };
    const before = this.camera;
    this.camera =
      this.camera.kind === "plane"
        ? { kind: "plane", target: at, zoom }
        : { kind: "volume", target: at, zoom, ...turned };
    // A new controller, or a new size of the window, tells where the camera is, too.
    if (JSON.stringify(this.camera) === JSON.stringify(before)) return;
    this.move();
    this.events.onCamera(this.camera);
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
    if (other) this.deck.setProps({ views: this.views(), viewState: this.viewState(), layers: [] });
    this.render();
  }

  get where(): Camera {
    return this.camera;
  }

  show(scene: Scene | null): void {
    this.scene = scene;
    if (scene?.kind === "plane" && scene.plane) void this.findBase(scene.plane, scene.key);
    this.render();
  }

  /** The coarsest level in whole, which is one tile. */
  private async findBase(plane: PlaneScene, key: string): Promise<void> {
    if (this.base?.key === key || this.basing?.key === key || plane.selections.length === 0) return;
    this.basing?.controller.abort();
    const own = { key, controller: new AbortController() };
    this.basing = own;
    const { signal } = own.controller;
    const last = plane.tiles.pyramid.levels.length - 1;
    try {
      const tiles = await plane.tiles.getAll(last, 0, 0, plane.selections, signal);
      if (signal.aborted) return;
      this.base = { key, tiles };
      this.render();
    } catch (error) {
      if (!signal.aborted) this.events.onError(error instanceof Error ? error : new Error(String(error)));
    } finally {
      if (this.basing === own) this.basing = null;
    }
  }

  private layers(): Layer[] {
    const { scene, camera, base } = this;
    this.stacks = [];
    if (!scene) return [];
    if (scene.kind === "volume") {
      if (camera.kind !== "volume") return [];
      const { volumes, looks, sides } = scene;
      return [new VolumeLayer({ id: "volume", volumes, looks, sides, moving: this.moving })];
    }
    if (camera.kind !== "plane") return [];
    const { plane, labels, attempt, over } = scene;
    const layers: Layer[] = [];
    if (plane && plane.selections.length > 0) {
      const many = `${plane.tiles.info.array_id}-${plane.selections.length}`;
      if (base && base.tiles.length === plane.selections.length)
        layers.push(baseLayer(`base-${many}`, plane, base.tiles));
      const stack = tileLayer(`tiles-${many}-${attempt}`, plane, this.events);
      this.stacks.push(stack);
      layers.push(stack);
    }
    if (labels) {
      const stack = labelLayer(`labels-${labels.tiles.info.array_id}-${attempt}`, labels, this.events);
      this.stacks.push(stack);
      layers.push(stack);
    }
    layers.push(...(over?.(camera.zoom, this.moving) ?? []));
    return layers;
  }

  private render(): void {
    this.deck.setProps({ layers: this.layers(), viewState: this.viewState() });
  }

  private report(): void {
    const { scene, stacks } = this;
    if (!scene) return;
    if (scene.kind === "volume") {
      if (this.camera.kind === "volume" && !this.moving)
        this.events.onPainted(scene.key, scene.level, scene.volumes.length);
      return;
    }
    const selected = stacks.flatMap((stack) => stack.state?.tileset?.selectedTiles ?? []);
    if (this.base || selected.some((tile) => tile.isLoaded)) this.events.onFirst();
    if (!stacks.every((stack) => stack.isLoaded)) return;
    const level = selected.length > 0 ? Math.max(...selected.map(({ index }) => -index.z)) : 0;
    this.events.onPainted(scene.key, level, selected.length);
  }

  /** The world position under a point of the canvas; null in a volume. */
  worldAt(x: number, y: number): [number, number] | null {
    const viewport = this.deck.isInitialized && this.camera.kind === "plane" ? this.deck.getViewports()[0] : undefined;
    if (!viewport) return null;
    const [worldX = 0, worldY = 0] = viewport.unproject([x, y]);
    return [worldX, worldY];
  }

  /** From world positions to CSS pixels of the canvas. */
  pixelMatrix(): number[] | null {
    const viewport = this.deck.isInitialized ? this.deck.getViewports()[0] : undefined;
    return viewport ? Array.from(viewport.pixelProjectionMatrix) : null;
  }

  /** Whether a drag moves the image. */
  hold(still: boolean): void {
    if (still === this.still) return;
    this.still = still;
    const controller = { ...CONTROLS, dragPan: !still, dragRotate: !still, touchRotate: !still };
    // A view keeps its controller for life.
    this.deck.setProps({ controller, views: this.views(), viewState: this.viewState() });
  }

  /** The canvas with what it shows now; it must be read before the next frame. */
  drawn(): HTMLCanvasElement | null {
    this.deck.redraw("picture");
    return this.deck.getCanvas();
  }

  destroy(): void {
    clearTimeout(this.timer);
    this.basing?.controller.abort();
    this.deck.finalize();
    this.frame.remove();
  }
}
