import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { download } from '../../tools/model.mjs';

const whole = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 2654435761) >>> 24);
let server: Server;
let folder: string;
let ranges: (string | undefined)[];
/** Bytes after which the next response breaks off; a moment later, since a broken connection drops what waits in it. */
let breakAfter: number[];
let knowsRanges: boolean;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'download-'));
  [ranges, breakAfter, knowsRanges] = [[], [], true];
  server = createServer((request, response) => {
    ranges.push(request.headers.range);
    const start = knowsRanges ? Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0) : 0;
    response.writeHead(start ? 206 : 200, { 'Content-Length': whole.length - start });
    const stop = breakAfter.shift();
    if (stop === undefined) response.end(whole.subarray(start));
    else response.write(whole.subarray(start, start + stop), () => setTimeout(() => response.destroy(), 400));
  });
  await new Promise<void>((done) => {
    server.listen(0, '127.0.0.1', done);
  });
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.gguf`;

it('goes on where the connection broke', async () => {
  breakAfter = [100_000, 50_000];
  const target = join(folder, 'model.part');
  await download(url(), target, whole.length);
  expect(readFileSync(target).equals(whole)).toBe(true);
  expect(ranges.length).toBe(3);
  // How much of a broken response arrives is the network's affair; that none of it is asked for twice is ours.
  expect(ranges[0]).toBeUndefined();
  expect(ranges[1]).toMatch(/^bytes=[1-9]\d*-$/);
  expect(ranges[2]).toMatch(/^bytes=[1-9]\d*-$/);
});

it('goes on from an earlier run, and starts again where the server knows no ranges', async () => {
  const target = join(folder, 'model.part');
  writeFileSync(target, whole.subarray(0, 1000));
  await download(url(), target, whole.length);
  expect(ranges).toEqual(['bytes=1000-']);
  knowsRanges = false;
  writeFileSync(target, whole.subarray(0, 1000));
  await download(url(), target, whole.length);
  expect(readFileSync(target).equals(whole)).toBe(true);
});

it('gives up after the tries it was given', async () => {
  breakAfter = [0, 0];
  await expect(download(url(), join(folder, 'model.part'), whole.length, 2)).rejects.toThrow();
  expect(ranges.length).toBe(2);
});
