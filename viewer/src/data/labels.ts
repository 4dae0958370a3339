/** Colours of label images: one for each id, always the same, told apart from those of its neighbours. */

/** Red, green and blue in 0 to 255; id 0 is background and has none. The shader of the label layer does the same. */
export function labelColor(id: number): [number, number, number] {
  const hash = Math.imul(id >>> 0, 0x9e3779b1) >>> 0;
  const hue = (hash >>> 8) / 2 ** 24;
  const saturation = 0.55 + (0.4 * ((hash >>> 4) & 15)) / 15;
  const value = 0.8 + (0.2 * (hash & 15)) / 15;
  return [0, 4, 2].map((shift) => {
    const wave = Math.abs(((hue * 6 + shift) % 6) - 3) - 1;
    const full = Math.min(1, Math.max(0, wave));
    return Math.round(255 * value * (1 + saturation * (full - 1)));
  }) as [number, number, number];
}

export const LABEL_COLOR_GLSL = `\
vec3 label_color(uint id) {
  uint hash = id * 0x9e3779b1u;
  float hue = float(hash >> 8u) / 16777216.0;
  float saturation = 0.55 + 0.4 * float((hash >> 4u) & 15u) / 15.0;
  float value = 0.8 + 0.2 * float(hash & 15u) / 15.0;
  vec3 full = clamp(abs(mod(hue * 6.0 + vec3(0.0, 4.0, 2.0), 6.0) - 3.0) - 1.0, 0.0, 1.0);
  return value * mix(vec3(1.0), full, saturation);
}
`;
