import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // The page may live behind a path prefix, so every address in it is relative.
  base: "./",
  plugins: [react()],
  resolve: { alias: { wgsl_reflect: fileURLToPath(new URL("src/gpu/no-wgsl.ts", import.meta.url)) } },
  build: { outDir: "../src/coverslip/_viewer", emptyOutDir: true, target: "es2022", chunkSizeWarningLimit: 900 },
  worker: { format: "es" },
  test: { environment: "happy-dom", include: ["src/**/*.test.{ts,tsx}"] },
});
