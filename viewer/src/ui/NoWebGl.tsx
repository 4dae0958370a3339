/** In place of every plot and picture where the browser draws none; its own part, as most browsers draw. */

import { ApiError } from "../api/client";
import { ErrorCurtain } from "./ErrorCurtain";

const NO_WEBGL = new ApiError(
  "no_webgl2",
  "This browser cannot draw with WebGL 2",
  "Use a current Firefox, Chrome, Edge or Safari, with hardware acceleration on; a remote desktop often has none.",
  0,
);

/** Fills what is around it; does not go away when the data has come. */
export default function NoWebGl() {
  return <ErrorCurtain error={NO_WEBGL} retry={() => location.reload()} />;
}
