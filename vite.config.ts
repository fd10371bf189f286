import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { contentSecurityPolicy } from './tools/vite-content-security-policy.ts';
import { modelIndex } from './tools/vite-model-index.ts';
import { serviceWorker } from './tools/vite-service-worker.ts';

/** Isolation gives the page precise timers and shared memory; whoever hosts the build should send the same two. */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  // Relative URLs: the built site works from any folder of any static host.
  base: './',
  plugins: [
    react(),
    contentSecurityPolicy(),
    modelIndex(here('public')),
    serviceWorker(here('app/offline/service-worker.ts'), here('public'), ['favicon.svg']),
  ],
  worker: { format: 'es' },
  build: { target: 'es2023' },
  server: { headers: isolation },
  preview: { headers: isolation },
  test: {
    slowTestThreshold: 10_000,
    projects: [
      {
        extends: true,
        // Some tests read 10,000 lines; a busy machine of two cores needs its time.
        test: {
          name: 'unit',
          include: ['tests/unit/**/*.test.ts'],
          environment: 'node',
          testTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'gpu',
          include: ['tests/kernels/**/*.test.ts', 'tests/goldens/**/*.test.ts', 'tests/engine/**/*.test.ts'],
          environment: 'node',
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
