import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";
import { lean } from "./lean.ts";
import { colorMaps } from "./maps.ts";

/** Names the cells' parts in the page itself: they are fetched beside the shell, not after it. */
function preloadCells(): Plugin {
  return {
    name: "preload-cells",
    transformIndexHtml: {
      order: "post",
      handler(html, { bundle = {} }) {
        const cells = Object.values(bundle).find((part) => part.type === "chunk" && part.name === "CellsPage");
        if (cells?.type !== "chunk") return;
        const wanted = [cells.fileName, ...cells.imports].filter((file) => !html.includes(file));
        return wanted.map((file) => ({
          tag: "link",
          attrs: { rel: "modulepreload", href: `./${file}`, fetchpriority: "low", crossorigin: true },
          injectTo: "head",
        }));
      },
    },
  };
}

export default defineConfig({
  // The page may live behind a path prefix, so every address in it is relative.
  base: "./",
  plugins: [react(), preloadCells(), colorMaps(), lean()],
  resolve: {
    alias: {
      wgsl_reflect: fileURLToPath(new URL("src/gpu/no-wgsl.ts", import.meta.url)),
      "ndarray-ops": fileURLToPath(new URL("src/views/h5web/ndarray.ts", import.meta.url)),
      ndarray: fileURLToPath(new URL("src/views/h5web/ndarray.ts", import.meta.url)),
      "@vivjs/loaders": fileURLToPath(new URL("src/gpu/no-loaders.ts", import.meta.url)),
    },
  },
  build: { outDir: "../src/coverslip/_viewer", emptyOutDir: true, target: "es2022", chunkSizeWarningLimit: 900 },
  worker: { format: "es" },
  test: { environment: "happy-dom", include: ["src/**/*.test.{ts,tsx}"] },
});
