import { fileURLToPath } from 'node:url';
import { createServer, createServerModuleRunner } from 'vite';

/**
 * The project is TypeScript that imports WGSL with Vite's `?raw`, like the page does: Vite's own module runner loads it, so
 * there is one import path for page, tests and command line, and no build step before a command.
 *
 * @template T
 * @param {(load: (path: string) => Promise<any>) => Promise<T>} work given a function that loads a module by its path from the
 *   project's root, as in '/src/cli/main.ts'
 * @returns {Promise<T>} what the work came to; Vite is closed by then
 */
export async function withModules(work) {
  const server = await createServer({
    root: fileURLToPath(new URL('../..', import.meta.url)),
    // The site's configuration is for pages; merged with it, `watch: null` would be lost and every file below be watched.
    configFile: false,
    logLevel: 'error',
    // No socket for pages either: two commands at once, or one beside the dev server, would want the same port.
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    optimizeDeps: { noDiscovery: true },
  });
  try {
    const runner = createServerModuleRunner(server.environments.ssr, { hmr: false });
    return await work((path) => runner.import(path));
  } finally {
    await server.close();
  }
}
