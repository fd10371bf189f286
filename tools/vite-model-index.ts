import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Plugin } from 'vite';
import type { FileReference, Manifest } from '../src/engine/manifest';

/** One row of `models/index.json`, by which a page without a server knows what lies beside it. */
interface ModelIndexEntry {
  readonly name: string;
  readonly title: string;
  /** First paragraph of the card, without Markdown's marks. */
  readonly summary: string;
  /** Bytes of all its files. */
  readonly bytes: number;
}

/**
 * `models/index.json`: the models in `public/models/<name>/manifest.json`. Served from the folder as it is now while
 * developing, written into a build. A folder without a manifest is left out; a manifest that cannot be read is an error.
 */
export function modelIndex(publicFolder: string): Plugin {
  const fileName = 'models/index.json';
  return {
    name: 'lavin:model-index',
    configureServer(server) {
      server.middlewares.use(`/${fileName}`, (_request, response, next) => {
        try {
          const body = listModels(join(publicFolder, 'models'));
          response.setHeader('Content-Type', 'application/json');
          response.setHeader('Cache-Control', 'no-cache');
          response.end(body);
        } catch (error) {
          next(error);
        }
      });
    },
    generateBundle() {
      if (this.environment.name !== 'client') return;
      this.emitFile({ type: 'asset', fileName, source: listModels(join(publicFolder, 'models')) });
    },
  };
}

function listModels(folder: string): string {
  const names = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'manifest.json')));
  const entries = names.sort().map((name): ModelIndexEntry => {
    const path = join(folder, name, 'manifest.json');
    let manifest: Manifest;
    try {
      manifest = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
    } catch (error) {
      throw new Error(`${path} is not JSON`, { cause: error });
    }
    const files = [manifest.llama, manifest.vision, manifest.adapters, manifest.tokenizer];
    return {
      name,
      title: manifest.title,
      summary: (manifest.card.split('\n\n')[0] ?? '').replace(/[*_`]/g, ''),
      bytes: files.reduce((sum, file) => sum + (file ? bytesOf(join(folder, name), file) : 0), 0),
    };
  });
  return JSON.stringify(entries, null, 1);
}

function bytesOf(folder: string, { file, bytes }: FileReference): number {
  return bytes ?? (existsSync(join(folder, file)) ? statSync(join(folder, file)).size : 0);
}
