/** Stands in for `wgsl_reflect`, which luma.gl brings for WebGPU shaders: 40 kB that a WebGL page never runs. */

export class WgslReflect {
  constructor() {
    throw new Error("WebGPU shaders are not used here");
  }
}
