/** What this browser's WebGL can do, asked once. */

export interface WebGl {
  /** Floats can be blended between pixels; phones often cannot. */
  floatLinear: boolean;
  /** Longest side of a volume. */
  volumeSide: number;
}

let known: WebGl | null | undefined;

/** null without WebGL 2. */
export function webGl(): WebGl | null {
  if (known !== undefined) return known;
  const gl = document.createElement("canvas").getContext("webgl2");
  known = gl && {
    floatLinear: gl.getExtension("OES_texture_float_linear") !== null,
    volumeSide: Number(gl.getParameter(gl.MAX_3D_TEXTURE_SIZE)),
  };
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return known;
}
