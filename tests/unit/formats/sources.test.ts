import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FileSource } from '../../../src/cli/file-source';
import { BlobSource, type ByteSource, MAX_PIECE_BYTES, MemorySource } from '../../../src/formats/bytes';
import { FormatError, NetworkError } from '../../../src/formats/error';
import { openGguf } from '../../../src/formats/gguf';
import { openUrl, type UrlSourceOptions } from '../../../src/formats/url-source';
import { fixture } from './fixtures';

const SIZE = 300_000;
const DATA = Uint8Array.from({ length: SIZE }, (_, i) => (i * 31 + (i >> 8)) & 255);

type Handler = (request: IncomingMessage, response: ServerResponse, range: [number, number] | undefined) => void;
let server: Server;
let base: string;
let folder: string;
let handler: Handler;
let requests: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    requests.push(`${request.method} ${request.headers.range ?? ''}`);
    handler(request, response, match ? [Number(match[1]), Math.min(Number(match[2]), SIZE - 1)] : undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  folder = await mkdtemp(join(tmpdir(), 'sources-'));
  await writeFile(join(folder, 'data.bin'), DATA);
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});
const openFiles: FileSource[] = [];
afterEach(async () => {
  for (const file of openFiles.splice(0)) await file.close();
  requests = [];
});

/** A well-behaved server, with a change for the n-th request and later. */
const serve =
  (
    change: Partial<{ total: string; etag: string; status: number; shift: number; cut: number; extra: number }> = {},
  ): Handler =>
  (request, response, range) => {
    const [first, last] = range ?? [0, SIZE - 1];
    const body = Buffer.from(DATA.subarray(first, last + 1));
    response.statusCode = change.status ?? 206;
    response.setHeader('etag', change.etag ?? '"v1"');
    if (change.total !== 'hidden') {
      const shift = change.shift ?? 0;
      response.setHeader('content-range', `bytes ${first + shift}-${last + shift}/${change.total ?? SIZE}`);
    }
    if (request.method === 'HEAD') {
      response.setHeader('content-length', SIZE);
      response.end();
    } else if (change.cut !== undefined) {
      response.setHeader('content-length', body.length);
      response.write(body.subarray(0, change.cut), () => response.destroy());
    } else response.end(change.extra ? Buffer.concat([body, Buffer.alloc(change.extra)]) : body);
  };

const url = (options: UrlSourceOptions = {}) =>
  openUrl(`${base}/dir/m%20x.gguf?a=b`, { firstBytes: 1000, retryDelayMs: 1, ...options });
/** The first request is answered well, later ones by `then`. */
const afterOpening = async (then: Handler, options?: UrlSourceOptions) => {
  handler = serve();
  const source = await url(options);
  handler = then;
  return source;
};

async function drain(source: ByteSource, offset: number, length: number, pieceBytes?: number, signal?: AbortSignal) {
  const sizes: number[] = [];
  const pieces: Uint8Array[] = [];
  for await (const piece of source.stream(offset, length, pieceBytes, signal)) {
    sizes.push(piece.length);
    pieces.push(piece.slice());
  }
  return { sizes, bytes: new Uint8Array(Buffer.concat(pieces)) };
}

const kinds: [string, () => Promise<ByteSource>][] = [
  ['memory', async () => new MemorySource(DATA, 'data.bin')],
  ['blob', async () => new BlobSource(new Blob([DATA]), 'data.bin')],
  [
    'disk',
    async () => {
      const file = await FileSource.open(join(folder, 'data.bin'));
      openFiles.push(file);
      return file;
    },
  ],
  ['url', () => afterOpening(serve(), { name: 'data.bin' })],
];

describe.each(kinds)('a source in %s', (_, make) => {
  it('reads and streams exact ranges', async () => {
    const source = await make();
    expect([source.name, source.size]).toEqual(['data.bin', SIZE]);
    expect(await source.read(0, 10)).toEqual(DATA.slice(0, 10));
    expect(await source.read(990, 20)).toEqual(DATA.slice(990, 1010));
    expect(await source.read(SIZE, 0)).toEqual(new Uint8Array(0));
    const { sizes, bytes } = await drain(source, 12_345, 100_000, 30_000);
    expect(sizes).toEqual([30_000, 30_000, 30_000, 10_000]);
    expect(bytes).toEqual(DATA.slice(12_345, 112_345));
    expect((await drain(source, SIZE - 5, 5)).bytes).toEqual(DATA.slice(-5));
    expect((await drain(source, 5, 0)).sizes).toEqual([]);
  });

  it('gives memory of its own on read', async () => {
    const source = await make();
    const once = await source.read(0, 100);
    once.fill(0);
    expect(await source.read(0, 100)).toEqual(DATA.slice(0, 100));
  });

  it('refuses ranges past the end, and pieces above the limit', async () => {
    const source = await make();
    for (const [offset, length] of [
      [SIZE - 1, 2],
      [-1, 1],
      [0.5, 1],
      [0, -1],
      [2 ** 53, 1],
    ]) {
      await expect(source.read(offset, length)).rejects.toMatchObject({ name: 'FormatError', code: 'truncated' });
      await expect(drain(source, offset, length)).rejects.toBeInstanceOf(FormatError);
    }
    for (const pieceBytes of [0, -1, 1.5, MAX_PIECE_BYTES + 1]) {
      await expect(drain(source, 0, 10, pieceBytes)).rejects.toBeInstanceOf(RangeError);
    }
  });

  it('stops when aborted', async () => {
    const source = await make();
    const reason = new Error('enough');
    await expect(source.read(5000, 10, AbortSignal.abort(reason))).rejects.toBe(reason);
    const controller = new AbortController();
    const seen: number[] = [];
    const run = async () => {
      for await (const piece of source.stream(0, SIZE, 1000, controller.signal)) {
        seen.push(piece.length);
        if (seen.length === 3) controller.abort(reason);
      }
    };
    await expect(run()).rejects.toBe(reason);
    expect(seen.length).toBeLessThan(SIZE / 1000);
  });

  it('may be left in the middle of a stream', async () => {
    const source = await make();
    for await (const piece of source.stream(0, SIZE, 1000)) {
      expect(piece.length).toBe(1000);
      break;
    }
    expect(await source.read(1, 1)).toEqual(DATA.slice(1, 2));
  });
});

describe('a file on disk that shrinks while it is read', () => {
  it('gives a typed error', async () => {
    const path = join(folder, 'shrinks.bin');
    await writeFile(path, DATA);
    const source = await FileSource.open(path);
    await truncate(path, 1000);
    await expect(source.read(500, 1000)).rejects.toMatchObject({ name: 'FormatError', code: 'truncated' });
    await source.close();
  });
});

describe('a URL', () => {
  it('costs one request to open, and headers cost none', async () => {
    handler = serve();
    const source = await url();
    expect(source.name).toBe('m x.gguf');
    await source.read(0, 1000);
    expect(requests).toEqual(['GET bytes=0-999']);
    await drain(source, 2000, 5000, 100);
    expect(requests).toEqual(['GET bytes=0-999', 'GET bytes=2000-6999']);
  });

  it('may be shorter than the first request', async () => {
    handler = serve();
    expect((await url({ firstBytes: 2 ** 20 })).size).toBe(SIZE);
  });

  it('is sized by HEAD where Content-Range is hidden from other origins', async () => {
    handler = serve({ total: 'hidden' });
    const source = await url();
    expect(source.size).toBe(SIZE);
    expect(requests).toEqual(['GET bytes=0-999', 'HEAD ']);
    expect(await source.read(5000, 10)).toEqual(DATA.slice(5000, 5010));
  });

  it('resumes from the last byte that arrived', async () => {
    let failures = 0;
    const source = await afterOpening((request, response, range) =>
      (failures++ < 2 ? serve({ cut: 40_000 }) : serve())(request, response, range),
    );
    const { bytes } = await drain(source, 2000, 200_000);
    expect(bytes).toEqual(DATA.slice(2000, 202_000));
    expect(requests.length).toBe(4);
    for (const request of requests.slice(2)) expect(request).toMatch(/-201999$/);
    expect(requests[2]).not.toBe('GET bytes=2000-201999');
  });

  it('fails for good after its retries, and says what to do', async () => {
    const source = await afterOpening(serve({ cut: 0 }), { retries: 2 });
    const error = await source.read(2000, 10).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(NetworkError);
    expect((error as Error).message).toMatch(/try again/i);
    expect(requests.length).toBe(1 + 3);
  });

  it.each([
    [404, 'http', 1],
    [403, 'http', 1],
    [503, 'http', 3],
  ])('answered %i fails as %s after %i requests', async (status, code, count) => {
    handler = serve({ status });
    await expect(url()).rejects.toMatchObject({ name: 'NetworkError', code, status });
    expect(requests.length).toBe(count);
  });

  it('that cannot be reached fails as unreachable', async () => {
    await expect(openUrl('http://127.0.0.1:1/x', { retries: 0 })).rejects.toMatchObject({ code: 'unreachable' });
  });

  it('that is a web page is no file', async () => {
    handler = (_, response) => {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end('<html>');
    };
    await expect(url()).rejects.toMatchObject({ name: 'NetworkError', code: 'not-a-file' });
  });

  it.each([
    ['changed', { total: String(SIZE + 1) }],
    ['changed', { etag: '"v2"' }],
    ['range', { shift: 1 }],
    ['range', { status: 200 }],
    ['range', { extra: 5 }],
    ['range', { total: 'many' }],
  ])('whose server misbehaves later fails as %s: %j', async (code, change) => {
    const source = await afterOpening(serve(change), { retries: 0 });
    await expect(source.read(2000, 10)).rejects.toMatchObject({ name: 'NetworkError', code });
  });

  it.each([
    ['range', { shift: 1 }],
    ['range', { extra: 5 }],
    ['interrupted', { total: String(999) }],
  ])('whose server misbehaves at once fails as %s: %j', async (_, change) => {
    handler = serve(change);
    await expect(url({ retries: 0 })).rejects.toBeInstanceOf(NetworkError);
  });

  it('is taken whole from a server that ignores ranges', async () => {
    handler = (_, response) => response.setHeader('content-length', SIZE).end(Buffer.from(DATA));
    const progress: number[] = [];
    const source = await url({ onWholeFile: (loaded, total) => progress.push(loaded, total ?? -1) });
    expect(source.size).toBe(SIZE);
    expect(progress).toEqual([SIZE, SIZE]);
    expect((await drain(source, 1000, 5000, 700)).bytes).toEqual(DATA.slice(1000, 6000));
    expect(requests.length).toBe(1);
  });

  it('too large to be taken whole says so at once', async () => {
    handler = (_, response) => {
      response.setHeader('content-length', 3 * 1024 ** 3);
      response.flushHeaders();
    };
    await expect(url()).rejects.toMatchObject({ code: 'range', message: expect.stringContaining('open it from disk') });
  });

  it('that is cut short while taken whole fails', async () => {
    handler = (_, response) => {
      response.setHeader('content-length', SIZE);
      response.write(Buffer.from(DATA.subarray(0, 1000)), () => response.destroy());
    };
    await expect(url({ retries: 0 })).rejects.toBeInstanceOf(NetworkError);
  });

  it('can be cancelled while it waits, and while it retries', async () => {
    const reason = new Error('cancelled');
    const waiting = new AbortController();
    handler = () => setTimeout(() => waiting.abort(reason), 5);
    await expect(url({ signal: waiting.signal })).rejects.toBe(reason);
    const retrying = new AbortController();
    handler = serve({ status: 503 });
    setTimeout(() => retrying.abort(reason), 50);
    await expect(url({ signal: retrying.signal, retryDelayMs: 60_000 })).rejects.toBe(reason);
  });

  it('serves the GGUF reader', async () => {
    const bytes = fixture('spm.gguf');
    handler = (request, response) => {
      const [first, last] = /(\d+)-(\d+)/
        .exec(request.headers.range as string)!
        .slice(1)
        .map(Number);
      const part = bytes.subarray(first, Math.min(last + 1, bytes.length));
      response.writeHead(206, { 'content-range': `bytes ${first}-${first + part.length - 1}/${bytes.length}` });
      response.end(part);
    };
    const file = await openGguf(await url());
    expect(await file.read('output_norm.weight')).toEqual(new Uint8Array(new Float32Array(32).fill(1).buffer));
  });
});
