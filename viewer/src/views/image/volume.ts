/** Volumes: the brightest voxel along each line of sight, for every channel, then put together as planes are. */

import { Layer, type LayerProps, type UpdateParameters } from "@deck.gl/core";
import type { Texture } from "@luma.gl/core";
import { Model } from "@luma.gl/engine";
import { Matrix4 } from "@math.gl/core";
import type { Voxels } from "../../data/voxels";
import type { ChannelLook } from "./composite";

export const MOST_VOLUMES = 6;
/** Samples along a ray; fewer while the camera moves. */
const MOST_STEPS = 512;
const MOVING_STEPS = 96;

export interface Volume {
  channel: number;
  /** C order z, y, x. */
  voxels: Voxels;
  width: number;
  height: number;
  depth: number;
}

export interface VolumeLayerProps extends LayerProps {
  volumes: readonly Volume[];
  looks: readonly ChannelLook[];
  /** Sides in world units, x, y, z; the middle is the origin. */
  sides: readonly [number, number, number];
  moving: boolean;
}

const each = (line: (i: number) => string) => Array.from({ length: MOST_VOLUMES }, (_, i) => line(i)).join("\n");

const block = `\
layout(std140) uniform volumeUniforms {
  mat4 toVolume;
  float steps;
  float channels;
${each((i) => `  vec4 look${i};\n  vec4 tint${i};`)}
} volume;
`;

const uniformTypes: Record<string, "mat4x4<f32>" | "f32" | "vec4<f32>"> = {
  toVolume: "mat4x4<f32>",
  steps: "f32",
  channels: "f32",
};
for (let i = 0; i < MOST_VOLUMES; i += 1) {
  uniformTypes[`look${i}`] = "vec4<f32>";
  uniformTypes[`tint${i}`] = "vec4<f32>";
}

const volumeModule = { name: "volume", vs: block, fs: block, uniformTypes };

const vs = `#version 300 es
#define SHADER_NAME volume-vertex
out vec2 vPlace;

void main(void) {
  vPlace = vec2((gl_VertexID << 1) & 2, gl_VertexID & 2) * 2.0 - 1.0;
  gl_Position = vec4(vPlace, 0.0, 1.0);
}
`;

const fs = `#version 300 es
#define SHADER_NAME volume-fragment
precision highp float;
precision highp sampler3D;
${each((i) => `uniform sampler3D voxels${i};`)}
in vec2 vPlace;
out vec4 fragColor;

vec3 at(float depth) {
  vec4 place = volume.toVolume * vec4(vPlace, depth, 1.0);
  return place.xyz / place.w;
}

vec3 shade(float value, vec4 look, vec4 tint) {
  float share = value > look.x ? min(1.0, (value - look.x) * look.y) : 0.0;
  return look.w * pow(share, look.z) * tint.rgb;
}

void main(void) {
  vec3 eye = at(-1.0);
  vec3 ray = at(1.0) - eye;
  vec3 one = (vec3(0.0) - eye) / ray;
  vec3 other = (vec3(1.0) - eye) / ray;
  vec3 near = min(one, other);
  vec3 far = max(one, other);
  float start = max(max(near.x, max(near.y, near.z)), 0.0);
  float end = min(min(far.x, min(far.y, far.z)), 1.0);
  if (start >= end) discard;
  vec3 step = ray * (end - start) / volume.steps;
  vec3 place = eye + ray * start + step * 0.5;
${each((i) => `  float most${i} = 0.0;`)}
  int count = int(volume.steps);
  for (int k = 0; k < count; k++) {
${each((i) => `    if (volume.channels > ${i}.5) most${i} = max(most${i}, texture(voxels${i}, place).r);`)}
    place += step;
  }
  vec3 sum = vec3(0.0);
${each((i) => `  if (volume.channels > ${i}.5) sum += shade(most${i}, volume.look${i}, volume.tint${i});`)}
  fragColor = vec4(min(sum, vec3(1.0)), 1.0);
}
`;

interface State {
  [key: string]: unknown;
  model: Model;
  textures: Texture[];
}

export class VolumeLayer extends Layer<VolumeLayerProps> {
  static override layerName = "VolumeLayer";

  override getShaders() {
    return super.getShaders({ vs, fs, modules: [volumeModule] });
  }

  override initializeState(): void {
    const model = new Model(this.context.device, {
      ...this.getShaders(),
      id: this.props.id,
      topology: "triangle-list",
      bufferLayout: [],
      vertexCount: 3,
    });
    this.setState({ model, textures: [] } satisfies State);
  }

  override updateState({ props, oldProps }: UpdateParameters<this>): void {
    if (props.volumes === oldProps.volumes) return;
    const state = this.state as unknown as State;
    for (const texture of state.textures) texture.destroy();
    state.textures = props.volumes.slice(0, MOST_VOLUMES).map(({ voxels, width, height, depth }) =>
      this.context.device.createTexture({
        dimension: "3d",
        format: "r16float",
        width,
        height,
        depth,
        data: voxels.halves,
        mipLevels: 1,
        sampler: {
          minFilter: "linear",
          magFilter: "linear",
          addressModeU: "clamp-to-edge",
          addressModeV: "clamp-to-edge",
          addressModeW: "clamp-to-edge",
        },
      }),
    );
  }

  /** From the screen's cube to the volume's: y runs down in images and up in the world. */
  private toVolume(): Matrix4 {
    const { viewProjectionMatrix } = this.context.viewport;
    const [x, y, z] = this.props.sides;
    const toScreen = new Matrix4(viewProjectionMatrix).scale([x, -y, -z]).translate([-0.5, -0.5, -0.5]);
    return toScreen.invert();
  }

  override draw(): void {
    const { model, textures } = this.state as unknown as State;
    const { volumes, looks, moving } = this.props;
    const first = volumes[0];
    if (!first || textures.length === 0) return;
    const fine = Math.min(MOST_STEPS, Math.ceil(1.5 * Math.max(first.width, first.height, first.depth)));
    const uniforms: Record<string, unknown> = {
      toVolume: Array.from(this.toVolume()),
      steps: moving ? Math.min(MOVING_STEPS, fine) : fine,
      channels: textures.length,
    };
    for (let i = 0; i < MOST_VOLUMES; i += 1) {
      uniforms[`voxels${i}`] = textures[i] ?? textures[0];
      Object.assign(uniforms, this.look(i, volumes[i], looks[i]));
    }
    model.shaderInputs.setProps({ volume: uniforms as never });
    model.setParameters({ depthCompare: "always", depthWriteEnabled: false, blend: false });
    model.draw(this.context.renderPass);
  }

  /** The window of a channel in the units of its voxels. */
  private look(i: number, volume: Volume | undefined, look: ChannelLook | undefined): Record<string, number[]> {
    if (!volume || !look) return { [`look${i}`]: [0, 1, 1, 0], [`tint${i}`]: [0, 0, 0, 0] };
    const { low, high } = volume.voxels;
    const span = high > low ? high - low : 1;
    const [from, to] = look.window.map((v) => (v - low) / span) as [number, number];
    return {
      [`look${i}`]: [from, 1 / Math.max(to - from, 1e-9), 1 / look.gamma, look.visible ? 1 : 0],
      [`tint${i}`]: [...look.color, 1],
    };
  }

  override finalizeState(context: Parameters<Layer["finalizeState"]>[0]): void {
    for (const texture of (this.state as unknown as State).textures) texture.destroy();
    super.finalizeState(context);
  }
}
