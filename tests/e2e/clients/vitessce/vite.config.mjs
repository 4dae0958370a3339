// Run in the viewer's folder, whose Vite and React it uses; VITESSCE is the unpacked package.
import { join, resolve } from 'node:path';

const modules = resolve('node_modules');
export default {
  root: import.meta.dirname,
  base: './',
  resolve: {
    alias: [
      { find: 'vitessce', replacement: join(process.env.VITESSCE, 'dist', 'index.js') },
      { find: /^react(\/.*)?$/, replacement: `${join(modules, 'react')}$1` },
      { find: /^react-dom(\/.*)?$/, replacement: `${join(modules, 'react-dom')}$1` },
    ],
  },
  build: { outDir: process.env.OUT, emptyOutDir: true, minify: false, reportCompressedSize: false },
};
