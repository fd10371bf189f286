#!/usr/bin/env node
// The CLI is TypeScript that imports WGSL with Vite's `?raw`, like the page does: Vite's own module runner loads it,
// so there is one import path for page, tests and command line, and no build step before a command.
import { fileURLToPath } from 'node:url';
import { createServer, createServerModuleRunner } from 'vite';

const root = fileURLToPath(new URL('../..', import.meta.url));
const server = await createServer({
  root,
  // The site's configuration is for pages; merged with it, `watch: null` would be lost and every file below be watched.
  configFile: false,
  logLevel: 'error',
  server: { middlewareMode: true, hmr: false, watch: null },
  optimizeDeps: { noDiscovery: true },
});
try {
  const runner = createServerModuleRunner(server.environments.ssr, { hmr: false });
  const { main } = await runner.import('/src/cli/main.ts');
  process.exitCode = await main(process.argv.slice(2));
} finally {
  await server.close();
}
// Dawn keeps threads alive; the work is done.
process.exit();
