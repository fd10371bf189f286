import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Plugin, type Rolldown } from 'vite';

/**
 * `sw.js`: the service worker, bundled by itself, with the list of all that the build is made of written into it. After
 * every other plugin, so that the list is whole.
 * @param entry the worker's source
 * @param publicFiles files of the public folder that belong to the page; models are kept when they are used
 */
export function serviceWorker(entry: string, publicFolder: string, publicFiles: readonly string[]): Plugin {
  return {
    name: 'lavin:service-worker',
    apply: 'build',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      async handler(_options, bundle) {
        if (this.environment.name !== 'client') return;
        const hash = createHash('sha256');
        const built = Object.values(bundle).filter(({ fileName }) => !/\.map$|^models\//.test(fileName));
        for (const file of built.sort((a, b) => (a.fileName < b.fileName ? -1 : 1))) {
          hash.update(file.fileName).update(file.type === 'chunk' ? file.code : file.source);
        }
        for (const file of publicFiles) hash.update(file).update(readFileSync(join(publicFolder, file)));
        // Hosts differ in where they send `index.html`; the folder itself is what people open.
        const files = [...built.map(({ fileName }) => (fileName === 'index.html' ? './' : `./${fileName}`))];
        files.push(...publicFiles.map((file) => `./${file}`));
        const source = await bundleWorker(entry, {
          BUILD_FILES: JSON.stringify(files),
          BUILD_HASH: JSON.stringify(hash.digest('hex').slice(0, 16)),
        });
        this.emitFile({ type: 'asset', fileName: 'sw.js', source });
      },
    },
  };
}

async function bundleWorker(entry: string, define: Record<string, string>): Promise<string> {
  const result = (await build({
    configFile: false,
    logLevel: 'error',
    define,
    publicDir: false,
    build: { write: false, target: 'es2023', rolldownOptions: { input: entry, output: { format: 'iife' } } },
  })) as Rolldown.RolldownOutput;
  return result.output[0].code;
}
