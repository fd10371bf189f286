import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { StoreError, type StoreFailureCode } from '../../../src/store/error';
import { RunningHash } from '../../../src/store/hash';
import { MAX_TRIES } from '../../../src/store/network';
import { type ResumePoint, type TransferEvents, type TransferTask, transfer } from '../../../src/store/transfer';
import { ggufLike, HubServer } from '../../hub-server';
import { MemoryFile, network } from './memory-ports';

const DATA = ggufLike(300_000);
const SHA256 = createHash('sha256').update(DATA).digest('hex');
const hub = new HubServer();

beforeAll(async () => {
  hub.add('o/r', 'm.gguf', DATA);
  await hub.start();
});
afterAll(() => hub.stop());
beforeEach(() => hub.heal());

const task = (more: Partial<TransferTask> = {}): TransferTask => ({
  url: `${hub.url}/o/r/cdn/c0ffee/m.gguf`,
  name: 'm.gguf',
  bytes: DATA.length,
  sha256: SHA256,
  ...more,
});
const ranges = () => hub.requests.map((request) => request.split(' ')[2] ?? '');

/** Runs to the failure that is expected and gives what is then on disk. */
async function fails(code: StoreFailureCode, words: RegExp, given = task(), file = new MemoryFile()) {
  const pauses: number[] = [];
  const error = await transfer(given, file, network(pauses)).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StoreError);
  expect((error as StoreError).code).toBe(code);
  expect((error as StoreError).message).toMatch(words);
  return { file, pauses };
}

/** A download that was paused after at least `bytes`. */
async function paused(bytes: number, given = task()) {
  const file = new MemoryFile();
  const controller = new AbortController();
  const left: { point?: ResumePoint; etag?: string } = {};
  const events: TransferEvents = {
    onProgress: (here) => here >= bytes && controller.abort(new Error('paused')),
    onPoint: (point, etag) => void Object.assign(left, { point, etag }),
  };
  hub.faults.bytesPerSecond = 1_000_000;
  await expect(transfer(given, file, network(), events, controller.signal)).rejects.toThrow('paused');
  hub.faults.bytesPerSecond = undefined;
  hub.requests = [];
  return { file, left: left as { point: ResumePoint; etag: string } };
}

describe('a whole download', () => {
  it('arrives, with size and SHA-256 of the listing, and tells how far it is', async () => {
    const file = new MemoryFile();
    const told: [number, number | undefined][] = [];
    const done = await transfer(task(), file, network(), { onProgress: (...now) => told.push(now) });
    expect(done).toEqual({ bytes: DATA.length, sha256: SHA256, etag: '"v1"' });
    expect(file.bytes).toEqual(DATA);
    expect(file.flushed).toBe(DATA.length);
    expect(told[0]).toEqual([0, DATA.length]);
    expect(told.at(-1)).toEqual([DATA.length, DATA.length]);
  });

  it('finds out the size where there is no listing, also when the server hides Content-Range', async () => {
    for (const hideContentRange of [false, true]) {
      hub.faults.hideContentRange = hideContentRange;
      const file = new MemoryFile();
      const done = await transfer(task({ bytes: undefined, sha256: undefined }), file, network());
      expect(done).toMatchObject({ bytes: DATA.length, sha256: SHA256 });
    }
  });

  it('takes the whole file from a server that knows no ranges', async () => {
    hub.faults.ignoresRanges = true;
    const file = new MemoryFile();
    expect((await transfer(task({ bytes: undefined }), file, network())).sha256).toBe(SHA256);
  });
});

describe('going on', () => {
  it('asks only for what is missing after a pause', async () => {
    const { file, left } = await paused(100_000);
    expect(left.point.bytes).toBe(file.size);
    expect(left.point.bytes).toBeGreaterThanOrEqual(100_000);
    expect(left.point.bytes).toBeLessThan(DATA.length);
    const done = await transfer(task(left), file, network());
    expect(done.sha256).toBe(SHA256);
    expect(ranges()).toEqual([`bytes=${left.point.bytes}-${DATA.length - 1}`]);
  });

  it('cuts what lies beyond the point, hashes what is there when the point is of another build, or the disk lost some', async () => {
    const { file, left } = await paused(100_000);
    const { bytes } = left.point;
    const cases: [string, MemoryFile, ResumePoint, number][] = [
      ['bytes beyond', new MemoryFile(Uint8Array.from([...file.bytes, 1, 2, 3])), left.point, bytes],
      ['foreign state', new MemoryFile(file.bytes), { bytes, hash: new Uint8Array(9) }, bytes],
      ['lost bytes', new MemoryFile(file.bytes.subarray(0, 5000)), left.point, 5000],
    ];
    for (const [what, start, point, from] of cases) {
      hub.requests = [];
      const done = await transfer(task({ point }), start, network());
      expect(done.sha256, what).toBe(SHA256);
      expect(ranges(), what).toEqual([`bytes=${from}-${DATA.length - 1}`]);
    }
  });

  it('starts again where the server has forgotten ranges', async () => {
    const { file, left } = await paused(100_000);
    hub.faults.ignoresRanges = true;
    expect((await transfer(task(left), file, network())).sha256).toBe(SHA256);
    expect(file.bytes).toEqual(DATA);
  });

  it('goes on where connections broke, with growing pauses that progress resets', async () => {
    hub.faults.breakAfter = [50_000, 0, 0, 60_000];
    const pauses: number[] = [];
    const reasons: string[] = [];
    const file = new MemoryFile();
    const done = await transfer(task(), file, network(pauses), { onWait: ({ code }) => reasons.push(code) });
    expect(done.sha256).toBe(SHA256);
    expect(pauses).toEqual([1000, 2000, 4000, 1000]);
    expect(reasons).toEqual(['interrupted', 'interrupted', 'interrupted', 'interrupted']);
  });

  it('gives up after its tries, keeping what arrived', async () => {
    hub.faults.breakAfter = [50_000, 0, 0, 0, 0, 0];
    const { file, pauses } = await fails('interrupted', /kept: resume/);
    expect(pauses.length).toBe(MAX_TRIES - 1);
    expect(file.size).toBeGreaterThan(0);
    expect(file.bytes).toEqual(DATA.subarray(0, file.size));
  });

  it('sits out 5xx and 429, and tells when they last', async () => {
    hub.faults.statuses = [503, 429, 500];
    expect((await transfer(task(), new MemoryFile(), network())).sha256).toBe(SHA256);
    hub.faults.statuses = Array(MAX_TRIES).fill(503);
    await fails('server', /answers 503.*resume in a while/);
  });
});

describe('a server that cannot be trusted', () => {
  it.each<[string, () => void, StoreFailureCode, RegExp]>([
    ['names another range', () => (hub.faults.shift = 7), 'range', /sent bytes 7 to .*another address/],
    ['sends more than was asked for', () => (hub.faults.extra = 5), 'range', /more bytes than were asked for/],
    ['ends before the listing says', () => (hub.faults.shortBy = 10), 'truncated', /ends on the server at byte 299990/],
    ['sends a web page', () => (hub.faults.html = true), 'not-a-file', /a web page instead of m\.gguf/],
    ['wants a sign-in', () => (hub.faults.statuses = [403]), 'refused', /accepted licence.*download it there/],
    ['lost the file', () => (hub.faults.statuses = [404]), 'not-found', /no file m\.gguf there/],
  ])('%s', async (_, spoil, code, words) => {
    spoil();
    await fails(code, words);
  });

  it('changes a bit: the file is refused and removed', async () => {
    hub.faults.corruptFrom = 200_000;
    const { file } = await fails('damaged', /not the file that the listing names.*removed/);
    expect(file.size).toBe(0);
  });

  it('changes the file in mid-download: nothing of the old one stays', async () => {
    const { file, left } = await paused(100_000);
    hub.faults.etag = '"v2"';
    await fails('changed', /changed on the server in mid-download.*again/, task(left), file);
    expect(file.size).toBe(0);
  });

  it('has a longer file than when it was begun', async () => {
    const { file, left } = await paused(100_000);
    const before = { ...left, bytes: DATA.length - 1, sha256: undefined };
    await fails('changed', /changed on the server/, task(before), file);
    expect(file.size).toBe(0);
  });

  it('sends something that is no GGUF', async () => {
    hub.add('o/r', 'text.gguf', Buffer.from('version https://git-lfs.github.com/spec/v1'));
    const url = `${hub.url}/o/r/cdn/c0ffee/text.gguf`;
    const { file } = await fails('not-a-file', /does not begin as a GGUF/, { url, name: 'text.gguf' });
    expect(file.size).toBe(0);
  });

  it('is not there at all', async () => {
    const url = 'http://127.0.0.1:9/m.gguf';
    const pauses: number[] = [];
    await fails('unreachable', /cannot be reached.*Check the address/, task({ url }));
    const error = await transfer(
      task({ url }),
      new MemoryFile(),
      network(pauses, () => false),
    ).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'offline', message: expect.stringMatching(/offline.*goes on/) });
    expect(pauses).toEqual([]);
  });
});

describe('no room', () => {
  const MIB = 1024 * 1024;
  /** Points come every 8 MiB. */
  const big = ggufLike(9.5 * MIB);
  const bigTask = () => task({ url: `${hub.url}/o/r/cdn/c0ffee/big.gguf`, bytes: big.length, sha256: undefined });
  beforeAll(() => hub.add('o/r', 'big.gguf', big));

  it.each([
    ['before the first point', 150_000],
    ['just after a point, which is given back', 8.2 * MIB],
    ['long after a point', 9 * MIB],
  ])('on the disk is told, and what fitted is kept, its hash too: %s', async (_, room) => {
    const file = new MemoryFile(undefined, room);
    let left: ResumePoint | undefined;
    const onPoint = (point: ResumePoint) => {
      left = point;
    };
    await expect(transfer(bigTask(), file, network(), { onPoint })).rejects.toMatchObject({
      code: 'quota',
      message: expect.stringMatching(/no room left.*Delete a model/),
    });
    expect(file.size).toBeGreaterThan(room / 4);
    expect(room - file.size).toBeGreaterThan(Math.min(256 * 1024, room / 4));
    expect(Buffer.compare(file.bytes, big.subarray(0, file.size))).toBe(0);
    const hash = await RunningHash.create();
    expect(left?.bytes).toBe(file.size);
    expect(hash.restore(left!.hash)).toBe(true);
    expect(hash.digest()).toBe(createHash('sha256').update(file.bytes).digest('hex'));
  });

  it('in the database is a full disk as well, not a broken connection', async () => {
    const pauses: number[] = [];
    const full = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
    const file = new MemoryFile();
    const error = await transfer(bigTask(), file, network(pauses), { onPoint: full }).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'quota' });
    expect(pauses).toEqual([]);
    expect(file.size).toBeLessThan(8.2 * MIB);
    expect(Buffer.compare(file.bytes, big.subarray(0, file.size))).toBe(0);
  });
});
