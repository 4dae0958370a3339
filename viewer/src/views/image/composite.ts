/**
 * How several channels become one colour: window, gamma, colour, and the sum.
 *
 * Viv's own palette has no gamma, and its window is never narrower than 0.0005, which hides floats of a small range.
 */

import { VivLayerExtension } from "@vivjs/extensions";

/** Viv repeats every line that holds this once for each channel. */
const I = "VIV_CHANNEL_INDEX";

export interface ChannelLook {
  /** Red, green and blue in 0 to 1. */
  color: readonly [number, number, number];
  window: readonly [number, number];
  gamma: number;
  visible: boolean;
}

const fs = `\
uniform compositeUniforms {
  vec4 look${I};
  vec3 tint${I};
} composite;

float composite_shade(float value, vec4 look) {
  // What is not a number compares as false, and stays black.
  float share = value > look.x ? min(1.0, (value - look.x) * look.y) : 0.0;
  return look.w * pow(share, look.z);
}

float composite_at(float value, int channel) {
  if (channel == ${I}) return composite_shade(value, composite.look${I});
  return 0.0;
}

vec3 composite_sum(float[NUM_CHANNELS] shades) {
  vec3 sum = vec3(0.0);
  sum += shades[${I}] * composite.tint${I};
  return min(sum, vec3(1.0));
}
`;

const compositeModule = {
  name: "composite",
  fs,
  uniformTypes: { [`look${I}`]: "vec4<f32>", [`tint${I}`]: "vec3<f32>" },
  inject: {
    "fs:DECKGL_PROCESS_INTENSITY": "intensity = composite_at(intensity, channelIndex);",
    "fs:DECKGL_MUTATE_COLOR": "rgba = vec4(composite_sum(intensity), 1.0);",
  },
} as const;

/** x: start of the window; y: 1 / its width; z: exponent; w: whether it is shown. */
export function lookUniforms(looks: readonly ChannelLook[]): Record<string, number[]> {
  const uniforms: Record<string, number[]> = {};
  looks.forEach(({ color, window: [low, high], gamma, visible }, i) => {
    uniforms[`look${i}`] = [low, 1 / Math.max(high - low, Number.MIN_VALUE * 2 ** 60), 1 / gamma, visible ? 1 : 0];
    uniforms[`tint${i}`] = [...color];
  });
  return uniforms;
}

interface Shaded {
  props: { looks?: readonly ChannelLook[] };
  getModels(): { shaderInputs: { setProps(props: Record<string, Record<string, number[]>>): void } }[];
}

export class CompositeExtension extends VivLayerExtension {
  static override extensionName = "CompositeExtension";
  static override defaultProps = { looks: { type: "array", value: [], compare: true } };

  override getVivShaderTemplates() {
    return { modules: [compositeModule] };
  }

  /** deck.gl calls this with the layer as `this`. */
  override updateState(this: never): void {
    const layer = this as unknown as Shaded;
    const composite = lookUniforms(layer.props.looks ?? []);
    for (const model of layer.getModels()) model.shaderInputs.setProps({ composite });
  }
}
