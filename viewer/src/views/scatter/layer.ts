/**
 * Points drawn as the GPU's own points, coloured through a lookup table.
 *
 * Positions, values and the table are three separate uploads, so that a new colour moves no point and a new filter moves
 * nothing but one bit a cell. A selection is one bit a cell, too: what is not in it is drawn first, and faint. Groups that a
 * person has kept are one byte a cell, and their colours lie over the others. Instanced quads, which deck.gl's own layer uses,
 * cost several times more.
 */

import { Layer, type LayerProps, project32, type UpdateParameters } from "@deck.gl/core";
import type { Buffer, Texture } from "@luma.gl/core";
import { Model } from "@luma.gl/engine";
import type { ShaderModule } from "@luma.gl/shadertools";
import type { Bits } from "../../data/bits";
import { type Codes, FAR, MISSING } from "../../data/points";
import { LUT_WIDTH, type Lut } from "../../gpu/lut";
import { fromHex } from "../../gpu/palette";
import type { Marks } from "../../state/groups";

export interface PointsLayerProps extends LayerProps {
  /** (n, 3) in drawing order. */
  positions: Float32Array;
  /** Places whose positions are there, from the first; all when undefined. More may come without another array. */
  arrived?: number | undefined;
  /** (n,): category codes or numbers; null = entry 0 of the table for all. */
  values: Codes | null;
  /** Places whose values are there. */
  valued?: number | undefined;
  lut: Lut;
  /** Range of the colour map; null when values are codes. */
  range: readonly [number, number] | null;
  /** Places of the cells that are selected; null when none is, and all are drawn alike. */
  selected: Bits | null;
  /** Places of the cells that are drawn at all; null for all of them. */
  passing: Bits | null;
  /** Groups whose colour goes over that of `values`. */
  marks: Marks | null;
  /** How many points to draw, from the first. */
  count: number;
  /** Diameter in device pixels. */
  size: number;
  alpha: number;
  depth: boolean;
}

type Uniforms = {
  size: number;
  alpha: number;
  low: number;
  high: number;
  entries: number;
  mode: number;
  part: number;
  sifted: number;
  marked: number;
  lut: Texture;
  chosen: Texture;
  passing: Texture;
  marks: Texture;
  markColors: Texture;
};

/** Which points one drawing shows: all; those outside the selection; those inside. */
const ALL = 0;
const OUTSIDE = 1;
const INSIDE = 2;
/** How much is left of the opacity and of the colour of cells outside the selection. */
const FAINT_ALPHA = 0.22;
const FAINT_COLOR = 0.25;

const block = `\
layout(std140) uniform pointsUniforms {
  float size;
  float alpha;
  float low;
  float high;
  float entries;
  float mode;
  float part;
  float sifted;
  float marked;
} points;
`;

const pointsModule = {
  name: "points",
  vs: block,
  fs: block,
  uniformTypes: {
    size: "f32",
    alpha: "f32",
    low: "f32",
    high: "f32",
    entries: "f32",
    mode: "f32",
    part: "f32",
    sifted: "f32",
    marked: "f32",
  },
} as const satisfies ShaderModule<Uniforms>;

const vs = `#version 300 es
#define SHADER_NAME points-vertex
in vec3 positions;
in float values;
uniform highp sampler2D lut;
uniform highp sampler2D chosen;
uniform highp sampler2D passing;
uniform highp sampler2D marks;
uniform highp sampler2D markColors;
out vec4 vColor;

float entryOf(float value) {
  if (points.mode < 0.5) return 0.0;
  if (points.mode < 1.5) return min(value, points.entries);
  if (value <= ${(MISSING / 10).toExponential(1)}) return points.entries;
  float span = points.high - points.low;
  float t = span > 0.0 ? clamp((value - points.low) / span, 0.0, 1.0) : 0.5;
  return floor(t * (points.entries - 1.0) + 0.5);
}

uint byteOf(highp sampler2D bytes, int at) {
  int texel = at >> 2;
  vec4 four = texelFetch(bytes, ivec2(texel % ${LUT_WIDTH}, texel / ${LUT_WIDTH}), 0);
  return uint(four[at & 3] * 255.0 + 0.5);
}

bool isIn(highp sampler2D bits, int place) {
  return ((byteOf(bits, place >> 3) >> uint(place & 7)) & 1u) == 1u;
}

void main(void) {
  int entry = int(entryOf(values) + 0.5);
  vColor = texelFetch(lut, ivec2(entry % ${LUT_WIDTH}, entry / ${LUT_WIDTH}), 0);
  gl_PointSize = points.size;
  bool elsewhere = points.part > 0.5 && isIn(chosen, gl_VertexID) != (points.part > 1.5);
  if (points.sifted > 0.5 && !isIn(passing, gl_VertexID)) elsewhere = true;
  if (points.marked > 0.5) {
    uint mark = byteOf(marks, gl_VertexID);
    if (mark > 0u) vColor = texelFetch(markColors, ivec2(int(mark), 0), 0);
  }
  if (positions.x > ${FAR.toExponential(1)} || vColor.a == 0.0 || elsewhere) {
    gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
    return;
  }
  geometry.worldPosition = positions;
  gl_Position = project_position_to_clipspace(positions, vec3(0.0), vec3(0.0), geometry.position);
  vColor.a *= points.alpha;
  if (points.part > 0.5 && points.part < 1.5) {
    vColor.rgb = mix(vec3(dot(vColor.rgb, vec3(0.3, 0.59, 0.11))), vColor.rgb, ${FAINT_COLOR});
    vColor.a *= ${FAINT_ALPHA};
  }
}
`;

const fs = `#version 300 es
#define SHADER_NAME points-fragment
precision highp float;
in vec4 vColor;
out vec4 fragColor;

void main(void) {
  if (points.size > 2.5) {
    vec2 offset = gl_PointCoord - 0.5;
    if (dot(offset, offset) > 0.25) discard;
  }
  fragColor = vColor;
}
`;

interface State {
  [key: string]: unknown;
  model: Model;
  positions: Buffer | null;
  values: Buffer | null;
  /** Items of them that are on the GPU. */
  uploaded: { positions: number; values: number };
  texture: Texture | null;
  chosen: Texture;
  passing: Texture;
  marks: Texture;
  markColors: Texture;
}

/** What values may be, by their bytes: the shader reads whole numbers as they are. */
const FORMATS = { 1: "uint8", 2: "uint16", 4: "float32" } as const;
/** Items sent to the GPU at once. */
const PIECE = 1 << 20;

/** Textures that are bytes of a set, or of marks, as they are. */
const BYTES = ["chosen", "passing", "marks"] as const;

const DEFAULTS = { selected: null, passing: null, marks: null, count: 0, size: 2, alpha: 1, depth: false };

export class PointsLayer extends Layer<PointsLayerProps> {
  static override layerName = "PointsLayer";
  static override defaultProps = DEFAULTS;

  override getShaders() {
    return super.getShaders({ vs, fs, modules: [project32, pointsModule] });
  }

  override initializeState(): void {
    const model = new Model(this.context.device, {
      ...this.getShaders(),
      id: this.props.id,
      topology: "point-list",
      bufferLayout: [
        { name: "positions", format: "float32x3" },
        { name: "values", format: "float32" },
      ],
      vertexCount: 0,
    });
    const [chosen, passing, marks] = BYTES.map(() => this.byteTexture(null)) as [Texture, Texture, Texture];
    const markColors = this.colorTexture([]);
    const textures = { texture: null, chosen, passing, marks, markColors };
    const uploaded = { positions: 0, values: 0 };
    this.setState({ model, positions: null, values: null, uploaded, ...textures } satisfies State);
  }

  override updateState({ props, oldProps }: UpdateParameters<this>): void {
    const state = this.state as unknown as State;
    const n = props.positions.length / 3;
    if (props.positions !== oldProps.positions) this.allocate("positions", props.positions);
    this.upload("positions", props.positions, 3, props.arrived ?? n);
    const sameValues = props.values === oldProps.values && props.positions.length === oldProps.positions?.length;
    const values = props.values ?? (sameValues ? null : new Uint8Array(n));
    if (values && !sameValues) this.allocate("values", values);
    if (values) this.upload("values", values, 1, props.values ? (props.valued ?? n) : n);
    if (props.selected !== oldProps.selected) this.replace("chosen", props.selected);
    if (props.passing !== oldProps.passing) this.replace("passing", props.passing);
    if (props.marks !== oldProps.marks) {
      this.replace("marks", props.marks?.codes ?? null);
      state.markColors.destroy();
      state.markColors = this.colorTexture(props.marks?.colors ?? []);
    }
    if (props.lut !== oldProps.lut) {
      state.texture?.destroy();
      state.texture = this.pixelTexture(props.lut.pixels, props.lut.rows);
    }
  }

  private replace(name: (typeof BYTES)[number], bytes: Uint8Array | Bits | null): void {
    const state = this.state as unknown as State;
    state[name].destroy();
    state[name] = this.byteTexture(bytes);
  }

  private byteTexture(bytes: Uint8Array | Bits | null): Texture {
    const height = Math.max(1, Math.ceil((bytes?.byteLength ?? 0) / (4 * LUT_WIDTH)));
    const data = new Uint8Array(LUT_WIDTH * height * 4);
    // Every machine that runs a browser has the lowest byte first. Whole numbers would need a sampler of another type.
    if (bytes) data.set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    return this.pixelTexture(data, height);
  }

  /** The colour of mark 1 stands at 1. */
  private colorTexture(colors: string[]): Texture {
    const data = new Uint8Array(LUT_WIDTH * 4);
    colors.forEach((color, i) => {
      data.set([...fromHex(color), 255], (i + 1) * 4);
    });
    return this.pixelTexture(data, 1);
  }

  private pixelTexture(data: Uint8Array, height: number): Texture {
    const sampler = { minFilter: "nearest", magFilter: "nearest" } as const;
    const size = { width: LUT_WIDTH, height };
    return this.context.device.createTexture({ format: "rgba8unorm", ...size, data, mipLevels: 1, sampler });
  }

  private allocate(name: "positions" | "values", data: Codes): void {
    const state = this.state as unknown as State;
    state[name]?.destroy();
    const buffer = this.context.device.createBuffer({ byteLength: data.byteLength });
    state[name] = buffer;
    state.uploaded[name] = 0;
    if (name === "values") {
      const format = FORMATS[data.BYTES_PER_ELEMENT as keyof typeof FORMATS];
      state.model.setBufferLayout([
        { name: "positions", format: "float32x3" },
        { name, format },
      ]);
      // Another layout forgets what was bound.
      if (state.positions) state.model.setAttributes({ positions: state.positions });
    }
    state.model.setAttributes({ [name]: buffer });
  }

  /** Sends what is not there yet, in pieces that no driver refuses. */
  private upload(name: "positions" | "values", data: Codes, width: number, upTo: number): void {
    const { uploaded, [name]: buffer } = this.state as unknown as State;
    for (let at = uploaded[name]; at < upTo; ) {
      const stop = Math.min(upTo, at + PIECE);
      buffer?.write(data.subarray(at * width, stop * width), at * width * data.BYTES_PER_ELEMENT);
      at = stop;
    }
    uploaded[name] = Math.max(uploaded[name], upTo);
  }

  override draw(): void {
    const { positions, arrived, values, valued, count, depth, selected } = this.props;
    const { model, texture } = this.state as unknown as State;
    if (!texture || positions.length === 0) return;
    const n = positions.length / 3;
    model.setVertexCount(Math.min(count, arrived ?? n, values === null ? n : (valued ?? n)));
    if (selected === null) this.drawPart(ALL, texture, depth);
    else {
      this.drawPart(OUTSIDE, texture, false);
      this.drawPart(INSIDE, texture, depth);
    }
  }

  private drawPart(part: number, lutTexture: Texture, depth: boolean): void {
    const { model, chosen, passing, marks, markColors } = this.state as unknown as State;
    const { size, alpha, lut, range, values } = this.props;
    const sets = {
      sifted: this.props.passing ? 1 : 0,
      marked: this.props.marks ? 1 : 0,
      chosen,
      passing,
      marks,
      markColors,
    };
    const mode = values === null ? 0 : range === null ? 1 : 2;
    const [low, high] = range ?? [0, 1];
    const points = { size, alpha, low, high, entries: lut.entries, mode, part, lut: lutTexture, ...sets };
    model.shaderInputs.setProps({ points });
    model.setParameters({
      depthWriteEnabled: depth,
      depthCompare: depth ? "less-equal" : "always",
      blend: true,
      blendColorSrcFactor: "src-alpha",
      blendColorDstFactor: "one-minus-src-alpha",
      blendAlphaSrcFactor: "one",
      blendAlphaDstFactor: "one-minus-src-alpha",
    });
    model.draw(this.context.renderPass);
  }

  override finalizeState(context: Parameters<Layer["finalizeState"]>[0]): void {
    const state = this.state as unknown as State;
    state.positions?.destroy();
    state.values?.destroy();
    state.texture?.destroy();
    for (const name of BYTES) state[name].destroy();
    state.markColors.destroy();
    super.finalizeState(context);
  }
}
