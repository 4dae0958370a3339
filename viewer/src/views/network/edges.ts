/** Lines drawn as the GPU's own, coloured through a lookup table as points are. */

import { Layer, type LayerProps, project32, type UpdateParameters } from "@deck.gl/core";
import type { Buffer, Texture } from "@luma.gl/core";
import { Model } from "@luma.gl/engine";
import type { ShaderModule } from "@luma.gl/shadertools";
import { FAR, MISSING } from "../../data/points";
import { LUT_WIDTH, type Lut } from "../../gpu/lut";

export interface EdgesLayerProps extends LayerProps {
  /** (2 n, 3): both ends of each line; of a line that is not drawn, both lie beyond `FAR`. */
  positions: Float32Array;
  /** (2 n,): codes or numbers; null = entry 0 of the table for all. */
  values: Float32Array | null;
  lut: Lut;
  /** Range of the colour map; null when values are codes. */
  range: readonly [number, number] | null;
  /** How many lines to draw, from the first. */
  count: number;
  alpha: number;
}

type Uniforms = { alpha: number; low: number; high: number; entries: number; mode: number; lut: Texture };

const block = `\
layout(std140) uniform edgesUniforms {
  float alpha;
  float low;
  float high;
  float entries;
  float mode;
} edges;
`;

const edgesModule = {
  name: "edges",
  vs: block,
  fs: block,
  uniformTypes: { alpha: "f32", low: "f32", high: "f32", entries: "f32", mode: "f32" },
} as const satisfies ShaderModule<Uniforms>;

const vs = `#version 300 es
#define SHADER_NAME edges-vertex
in vec3 positions;
in float values;
uniform highp sampler2D lut;
out vec4 vColor;

float entryOf(float value) {
  if (edges.mode < 0.5) return 0.0;
  if (edges.mode < 1.5) return value;
  if (value <= ${(MISSING / 10).toExponential(1)}) return edges.entries;
  float span = edges.high - edges.low;
  float t = span > 0.0 ? clamp((value - edges.low) / span, 0.0, 1.0) : 0.5;
  return floor(t * (edges.entries - 1.0) + 0.5);
}

void main(void) {
  int entry = int(entryOf(values) + 0.5);
  vColor = texelFetch(lut, ivec2(entry % ${LUT_WIDTH}, entry / ${LUT_WIDTH}), 0);
  vColor.a *= edges.alpha;
  geometry.worldPosition = positions;
  gl_Position = project_position_to_clipspace(positions, vec3(0.0), vec3(0.0), geometry.position);
  if (positions.x > ${FAR.toExponential(1)} || vColor.a == 0.0) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}
`;

const fs = `#version 300 es
#define SHADER_NAME edges-fragment
precision highp float;
in vec4 vColor;
out vec4 fragColor;

void main(void) {
  fragColor = vColor;
}
`;

interface State {
  [key: string]: unknown;
  model: Model;
  positions: Buffer | null;
  values: Buffer | null;
  texture: Texture | null;
}

export class EdgesLayer extends Layer<EdgesLayerProps> {
  static override layerName = "EdgesLayer";
  static override defaultProps = { count: 0, alpha: 1 };

  override getShaders() {
    return super.getShaders({ vs, fs, modules: [project32, edgesModule] });
  }

  override initializeState(): void {
    const model = new Model(this.context.device, {
      ...this.getShaders(),
      id: this.props.id,
      topology: "line-list",
      bufferLayout: [
        { name: "positions", format: "float32x3" },
        { name: "values", format: "float32" },
      ],
      vertexCount: 0,
    });
    this.setState({ model, positions: null, values: null, texture: null } satisfies State);
  }

  override updateState({ props, oldProps }: UpdateParameters<this>): void {
    const state = this.state as unknown as State;
    const moved = props.positions !== oldProps.positions;
    if (moved) this.upload("positions", props.positions);
    if (moved || props.values !== oldProps.values) {
      this.upload("values", props.values ?? new Float32Array(props.positions.length / 3));
    }
    if (props.lut !== oldProps.lut) {
      state.texture?.destroy();
      state.texture = this.context.device.createTexture({
        format: "rgba8unorm",
        width: LUT_WIDTH,
        height: props.lut.rows,
        data: props.lut.pixels,
        mipLevels: 1,
        sampler: { minFilter: "nearest", magFilter: "nearest" },
      });
    }
  }

  private upload(name: "positions" | "values", data: Float32Array): void {
    const state = this.state as unknown as State;
    state[name]?.destroy();
    const buffer = this.context.device.createBuffer({ data: data.length > 0 ? data : new Float32Array(3) });
    state[name] = buffer;
    state.model.setAttributes({ [name]: buffer });
  }

  override draw(): void {
    const { positions, count, alpha, lut, range, values } = this.props;
    const { model, texture } = this.state as unknown as State;
    const lines = Math.min(count, positions.length / 6);
    if (!texture || lines === 0) return;
    model.setVertexCount(lines * 2);
    const mode = values === null ? 0 : range === null ? 1 : 2;
    const [low, high] = range ?? [0, 1];
    const edges = { alpha, low, high, entries: lut.entries, mode, lut: texture };
    model.shaderInputs.setProps({ edges });
    model.setParameters({
      depthWriteEnabled: false,
      depthCompare: "less-equal",
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
    super.finalizeState(context);
  }
}
