import { defineConfig } from '@playwright/test';
import { findChromium, hasRealGpu } from './tests/setup/machine.mjs';

const port = Number(process.env.E2E_PORT ?? 4179);
const quiet = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** A port of one's own comes with a built site of one's own: runs side by side must not build over each other. */
const folder = process.env.E2E_PORT ? `node_modules/.cache/site-${port}` : 'dist';
/** WebGPU on SwiftShader where there is no GPU. */
const software = hasRealGpu() ? [] : ['--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'];

/** Specs that run the real engine, or measure. */
const REAL_ENGINE = /(-starter|starter|smollm2|offline|smoothness|decode-browser)\.spec\.ts$/;

/** The built site, as a static host would serve it, in Chromium. */
export default defineConfig({
  testDir: 'tests/e2e',
  outputDir: 'test-results',
  // Scripted engines wait more than they work. The real one on a software GPU takes every core there is, and smoothness is
  // measured: one of these at a time.
  workers: 2,
  projects: [
    { name: 'scripted engine', testIgnore: REAL_ENGINE, workers: 2 },
    { name: 'real engine', testMatch: REAL_ENGINE, workers: 1 },
  ],
  retries: 0,
  forbidOnly: process.env.CI === 'true',
  timeout: 180_000,
  expect: { timeout: 60_000 },
  use: {
    baseURL: `http://localhost:${port}/`,
    screenshot: 'only-on-failure',
    // Tests put scripted workers in the real ones' place, which a service worker would not let them; offline.spec.ts allows it.
    serviceWorkers: 'block',
    launchOptions: {
      executablePath: findChromium(),
      args: [...quiet, '--enable-unsafe-webgpu', ...software],
    },
  },
  webServer: {
    command: `npm run build -- --outDir ${folder} && npm run preview -- --outDir ${folder} --port ${port} --strictPort`,
    url: `http://localhost:${port}/`,
    reuseExistingServer: false,
    timeout: 180_000,
  },
});
