/** A tile of a label image: each object in a colour of its own, by its id, with nothing blended between pixels. */

import { Layer, type LayerProps, project32, type UpdateParameters } from "@deck.gl/core";
import type { Texture } from "@luma.gl/core";
import { Model } from "@luma.gl/engine";
import type { ShaderModule } from "@luma.gl/shadertools";
import { LABEL_COLOR_GLSL } from "../../data/labels";
import type { Bounds } from "./levels";

export interface LabelLook {
  opacity: number;
  /** Only the edges of objects. */
  outlines: boolean;
  /** The object under the pointer; 0 for none. */
  chosen: number;
}

export interface LabelsLayerProps extends LayerProps {
  ids: Uint32Array;
  width: number;
  height: number;
  bounds: Bounds;
  look: LabelLook;
}

type Uniforms = {
  bounds: [number, number, number, number];
  opacity: number;
  outlines: number;
  chosen: number;
  ids: Texture;
};

const block = `\
layout(std140) uniform labelsUniforms {
  vec4 bounds;
  float opacity;
  float outlines;
  highp uint chosen;
} labels;
`;

const labelsModule = {
  name: "labels",
  vs: block,
  fs: block,
  uniformTypes: { bounds: "vec4<f32>", opacity: "f32", outlines: "f32", chosen: "u32" },
} as const satisfies ShaderModule<Uniforms>;

const vs = `#version 300 es
#define SHADER_NAME labels-vertex
out vec2 vPlace;

void main(void) {
  vPlace = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  vec3 position = vec3(mix(labels.bounds.xy, labels.bounds.zw, vPlace), 0.0);
  geometry.worldPosition = position;
  gl_Position = project_position_to_clipspace(position, vec3(0.0), vec3(0.0), geometry.position);
}
`;

const fs = `#version 300 es
#define SHADER_NAME labels-fragment
precision highp float;
precision highp int;
precision highp usampler2D;
uniform usampler2D ids;
in vec2 vPlace;
out vec4 fragColor;

${LABEL_COLOR_GLSL}
void main(void) {
  ivec2 size = textureSize(ids, 0);
  ivec2 at = min(ivec2(vPlace * vec2(size)), size - 1);
  uint id = texelFetch(ids, at, 0).r;
  if (id == 0u) discard;
  float alpha = labels.opacity;
  if (labels.outlines > 0.5) {
    bool edge = false;
    for (int k = 0; k < 4; k++) {
      ivec2 beside = at + ivec2(k == 0 ? 1 : k == 1 ? -1 : 0, k == 2 ? 1 : k == 3 ? -1 : 0);
      if (any(lessThan(beside, ivec2(0))) || any(greaterThanEqual(beside, size))) continue;
      edge = edge || texelFetch(ids, beside, 0).r != id;
    }
    if (!edge) discard;
  }
  if (labels.chosen == id) alpha = min(1.0, alpha + 0.35);
  fragColor = vec4(label_color(id), alpha);
}
`;

interface State {
  [key: string]: unknown;
  model: Model;
  texture: Texture | null;
}

export class LabelsLayer extends Layer<LabelsLayerProps> {
  static override layerName = "LabelsLayer";

  override getShaders() {
    return super.getShaders({ vs, fs, modules: [project32, labelsModule] });
  }

  override initializeState(): void {
    const model = new Model(this.context.device, {
      ...this.getShaders(),
      id: this.props.id,
      topology: "triangle-strip",
      bufferLayout: [],
      vertexCount: 4,
    });
    this.setState({ model, texture: null } satisfies State);
  }

  override updateState({ props, oldProps }: UpdateParameters<this>): void {
    if (props.ids === oldProps.ids) return;
    const state = this.state as unknown as State;
    state.texture?.destroy();
    state.texture = this.context.device.createTexture({
      format: "r32uint",
      width: props.width,
      height: props.height,
      data: props.ids,
      mipLevels: 1,
      sampler: { minFilter: "nearest", magFilter: "nearest" },
    });
  }

  override draw(): void {
    const { model, texture } = this.state as unknown as State;
    const { bounds, look } = this.props;
    if (!texture) return;
    const { opacity, outlines, chosen } = look;
    model.shaderInputs.setProps({
      labels: { bounds: [...bounds], opacity, outlines: outlines ? 1 : 0, chosen, ids: texture },
    });
    model.setParameters({
      depthCompare: "always",
      depthWriteEnabled: false,
      blend: true,
      blendColorSrcFactor: "src-alpha",
      blendColorDstFactor: "one-minus-src-alpha",
      blendAlphaSrcFactor: "one",
      blendAlphaDstFactor: "one-minus-src-alpha",
    });
    model.draw(this.context.renderPass);
  }

  override finalizeState(context: Parameters<Layer["finalizeState"]>[0]): void {
    (this.state as unknown as State).texture?.destroy();
    super.finalizeState(context);
  }
}
