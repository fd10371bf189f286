/** A static server on localhost: byte ranges, and the isolation headers without which wllama gets no threads. */
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize, sep } from 'node:path';

const TYPES = /** @type {Record<string, string>} */ ({
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
});

/**
 * @param {readonly { prefix: string, folder: string }[]} mounts the first whose prefix fits serves the request
 * @returns {Promise<{ url: string, close: () => void }>}
 */
export async function serve(mounts) {
  const server = createServer((request, response) => {
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    response.setHeader('Cross-Origin-Resource-Policy', 'same-origin');
    const file = locate(mounts, decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname));
    const size = file && sizeOf(file);
    if (!file || size === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.setHeader('Content-Type', TYPES[extname(file)] ?? 'application/octet-stream');
    response.setHeader('Accept-Ranges', 'bytes');
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const from = range ? Number(range[1]) : 0;
    const to = range?.[2] ? Math.min(Number(range[2]), size - 1) : size - 1;
    if (range && from > to) {
      response.writeHead(416, { 'Content-Range': `bytes */${size}` }).end();
      return;
    }
    if (range) response.setHeader('Content-Range', `bytes ${from}-${to}/${size}`);
    response.writeHead(range ? 206 : 200, { 'Content-Length': to - from + 1 });
    if (request.method === 'HEAD' || size === 0) response.end();
    else createReadStream(file, { start: from, end: to }).pipe(response);
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(undefined));
  });
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/**
 * @param {readonly { prefix: string, folder: string }[]} mounts
 * @param {string} path
 */
function locate(mounts, path) {
  const mount = mounts.find(({ prefix }) => path.startsWith(prefix));
  if (!mount) return undefined;
  const file = normalize(join(mount.folder, path.slice(mount.prefix.length)));
  return file.startsWith(mount.folder + sep) ? file : undefined;
}

/** @param {string} file */
function sizeOf(file) {
  try {
    const stat = statSync(file);
    return stat.isFile() ? stat.size : undefined;
  } catch {
    return undefined;
  }
}
