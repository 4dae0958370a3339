/** Leaves out of deck.gl and luma.gl what the page never runs. */

import { fileURLToPath } from "node:url";
import { GL } from "@luma.gl/constants";
import type { Plugin } from "vite";

/** Tools that would come from a CDN; they want the names of all constants. */
const DEBUGGING = "@luma.gl/webgl/dist/context/debug/webgl-developer-tools.js";
const NO_DEBUGGING = `
export async function loadWebGLDeveloperTools() {}
export const makeDebugContext = (gl) => gl;
`;

/** What fetches data by address for deck.gl's layers. */
const FILES = /^@loaders\.gl\/(core|images)$/;
const NO_FILES = fileURLToPath(new URL("src/gpu/no-files.ts", import.meta.url));

/** WebGL's constants as numbers where they are used: their table is 33 kB, of which a tenth is wanted. */
export function lean(): Plugin {
  const numbers = GL as unknown as Record<string, number>;
  return {
    name: "lean",
    enforce: "pre",
    resolveId: (id, importer) =>
      FILES.test(id) && importer && /@deck\.gl\/(core|layers)\//.test(importer) ? NO_FILES : undefined,
    load: (id) => (id.endsWith(DEBUGGING) ? NO_DEBUGGING : undefined),
    transform: (code, id) => {
      if (!/@(luma\.gl|deck\.gl|vivjs)\//.test(id) || !/\{ GL \} from ['"]@luma\.gl\/constants/.test(code))
        return undefined;
      return {
        code: code.replace(/\bGL\.([A-Z][A-Z0-9_]*)\b/g, (name, key) => String(numbers[key] ?? name)),
        map: null,
      };
    },
  };
}
