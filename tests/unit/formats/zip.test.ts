import { zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { MemorySource } from '../../../src/formats/bytes';
import { openTorchCheckpoint } from '../../../src/formats/torch-checkpoint';
import { TorchStorage, type TorchTensor, torchRules } from '../../../src/formats/torch-tensors';
import { writeTorchCheckpoint } from '../../../src/formats/torch-writer';
import { crc32, readZipDirectory, zipEntryOffset } from '../../../src/formats/zip';

const files = { 'a/one': Uint8Array.of(1, 2, 3), 'a/two': new Uint8Array(0), 'a/ünï': Uint8Array.of(9) };
const stored = () => zipSync(files, { level: 0 });
const source = (bytes: Uint8Array) => new MemorySource(bytes, 'test.zip');
const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const join = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

async function contents(bytes: Uint8Array): Promise<Record<string, number[]>> {
  const file = source(bytes);
  const found: Record<string, number[]> = {};
  for (const entry of (await readZipDirectory(file)).values()) {
    const offset = await zipEntryOffset(file, entry, (at, length) => file.read(at, length));
    const data = await file.read(offset, entry.bytes);
    expect(crc32(data)).toBe(entry.crc);
    found[entry.name] = [...data];
  }
  return found;
}
const expected = Object.fromEntries(Object.entries(files).map(([name, data]) => [name, [...data]]));

/** The zip with its sizes and offsets told in 64 bits, as files over 4 GB have them. */
function asZip64(zip: Uint8Array): Uint8Array {
  const view = viewOf(zip);
  const end = zip.length - 22;
  const count = view.getUint16(end + 10, true);
  const start = view.getUint32(end + 16, true);
  const directory: Uint8Array[] = [];
  for (let at = start; at < end; ) {
    const nameBytes = view.getUint16(at + 28, true);
    const header = zip.slice(at, at + 46 + nameBytes);
    const small = viewOf(header);
    const extra = new Uint8Array(28);
    const large = viewOf(extra);
    large.setUint16(0, 1, true);
    large.setUint16(2, 24, true);
    [24, 20, 42].forEach((field, i) => {
      large.setBigUint64(4 + 8 * i, BigInt(small.getUint32(field, true)), true);
      small.setUint32(field, 0xffffffff, true);
    });
    at += header.length + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    small.setUint16(30, extra.length, true);
    small.setUint16(32, 0, true);
    directory.push(header, extra);
  }
  const bytes = directory.reduce((sum, part) => sum + part.length, 0);
  const end64 = viewOf(new Uint8Array(56));
  end64.setUint32(0, 0x06064b50, true);
  [44, count, count, bytes, start].forEach((value, i) => {
    end64.setBigUint64([4, 24, 32, 40, 48][i], BigInt(value), true);
  });
  const locator = viewOf(new Uint8Array(20));
  locator.setUint32(0, 0x07064b50, true);
  locator.setBigUint64(8, BigInt(start + bytes), true);
  const last = zip.slice(end);
  last.fill(0xff, 8, 20);
  const rest = [end64, locator].map(({ buffer }) => new Uint8Array(buffer));
  return join(zip.subarray(0, start), ...directory, ...rest, last);
}

describe('a zip of stored entries', () => {
  it('is read through its directory', async () => {
    expect(await contents(stored())).toEqual(expected);
  });

  it('with zip64', async () => {
    expect(await contents(asZip64(stored()))).toEqual(expected);
  });

  it('with a comment, be it one that looks like an end', async () => {
    const bytes = join(stored(), new TextEncoder().encode('PK\x05\x06'), new Uint8Array(40));
    viewOf(bytes).setUint16(stored().length - 2, 44, true);
    expect(await contents(bytes)).toEqual(expected);
  });

  const directory = (edit: (view: DataView, at: number) => void, bytes = stored()) => {
    const view = viewOf(bytes);
    edit(view, view.getUint32(bytes.length - 6, true));
    return bytes;
  };
  it.each<[string, string, RegExp, Uint8Array]>([
    ['compressed', 'unsupported', /compressed/, zipSync({ a: new Uint8Array(1000) }, { level: 6 })],
    ['encrypted', 'unsupported', /encrypted/, directory((view, at) => view.setUint16(at + 8, 1, true))],
    ['longer than it is stored', 'corrupt', /stored in/, directory((view, at) => view.setUint32(at + 24, 4, true))],
    [
      'beyond the file',
      'truncated',
      /after the file/,
      directory((view, at) => view.setUint32(at + 42, 0xfffffff0, true)),
    ],
    ['without its 64 bits', 'corrupt', /not told/, directory((view, at) => view.setUint32(at + 42, 0xffffffff, true))],
    ['without a header', 'corrupt', /no header/, directory((view, at) => view.setUint32(at, 0, true))],
    ['twice', 'corrupt', /twice/, sameNames()],
    ['cut', 'truncated', /ends without/, stored().slice(0, -1)],
  ])('refuses one that is %s', async (_, code, words, bytes) => {
    await expect(readZipDirectory(source(bytes))).rejects.toMatchObject({
      name: 'FormatError',
      code,
      message: expect.stringMatching(words),
    });
  });

  function sameNames(): Uint8Array {
    const bytes = Buffer.from(zipSync({ ab: new Uint8Array(1), ac: new Uint8Array(1) }, { level: 0 }));
    bytes.write('ab', bytes.lastIndexOf('ac'), 'latin1');
    return new Uint8Array(bytes);
  }
});

describe('a zip that is no checkpoint, or two', () => {
  const pickle = { data: Uint8Array.of(0x80, 2, 0x4e, 0x2e) };
  it.each<[string, RegExp, Record<string, Uint8Array>]>([
    ['missing', /no checkpoint of torch/, { 'a/b': pickle.data }],
    ['corrupt', /more than one/, { 'a/data.pkl': pickle.data, 'b/data.pkl': pickle.data }],
    ['unsupported', /no dict/, { 'a/data.pkl': pickle.data }],
    ['missing', /holds no tensors/, { 'a/data.pkl': Uint8Array.of(0x80, 2, 0x7d, 0x2e) }],
    [
      'unsupported',
      /another byte order/,
      { 'a/data.pkl': pickle.data, 'a/byteorder': new TextEncoder().encode('big') },
    ],
    ['corrupt', /bytes follow/, { 'a/data.pkl': Uint8Array.of(0x4e, 0x2e, 0) }],
  ])('%s: %s', async (code, words, entries) => {
    await expect(openTorchCheckpoint(source(zipSync(entries, { level: 0 })))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(words),
    });
  });

  it('a storage that is not there, or of another size than told', async () => {
    const whole = writeTorchCheckpoint(new Map([['t', { format: 'F32', shape: [4], data: new Float32Array(4) }]]));
    const renamed = Buffer.from(whole);
    renamed.write('9', renamed.lastIndexOf('data/0') + 5);
    await expect(openTorchCheckpoint(source(new Uint8Array(renamed)))).rejects.toMatchObject({
      field: 'data/0',
      code: 'missing',
    });
    const view = viewOf(whole);
    const entry = Buffer.from(whole).lastIndexOf('archive/data/0') - 46;
    for (const field of [20, 24]) view.setUint32(entry + field, 12, true);
    await expect(openTorchCheckpoint(source(whole))).rejects.toMatchObject({ field: 'data/0', code: 'corrupt' });
  });
});

describe('tensors that a pickle describes', () => {
  const storage = new TorchStorage('0', 'F32', 4, 12);
  const rebuild = torchRules(new Map()).globals.get('torch._utils._rebuild_tensor_v2')!;
  const fail = (code: string, problem: string): never => {
    throw new Error(`${code}: ${problem}`);
  };
  const made = (offset: unknown, shape: unknown, strides: unknown, from: unknown = storage) =>
    rebuild.call([from, offset, shape, strides, false, new Map()], fail) as TorchTensor;

  it('are views within their storage', () => {
    expect(made(0, [3, 4], [4, 1])).toMatchObject({ elements: 12, contiguous: true });
    expect(made(0, [4, 3], [1, 4])).toMatchObject({ elements: 12, contiguous: false });
    expect(made(11, [1, 1], [99, 7])).toMatchObject({ elements: 1, contiguous: true });
    expect(made(12, [0, 5], [1, 1])).toMatchObject({ elements: 0, contiguous: true });
    expect(made(3, [1000], [0])).toMatchObject({ elements: 1000, contiguous: false });
  });

  it.each<[RegExp, Parameters<typeof made>]>([
    [/reaches beyond/, [1, [3, 4], [4, 1]]],
    [/reaches beyond/, [0, [2], [12]]],
    [/reaches beyond/, [13, [0], [1]]],
    [/reaches beyond/, [0, [2 ** 40], [1]]],
    [/repeats 12 elements/, [0, [2 ** 20, 2], [0, 0]]],
    [/limit: a tensor of shape/, [0, [2 ** 40, 2 ** 40], [0, 0]]],
    [/shape of a tensor/, [-1, [3], [1]]],
    [/shape of a tensor/, [0, [3], [-1]]],
    [/shape of a tensor/, [0, [1.5], [1]]],
    [/shape of a tensor/, [0, [3], [1, 1]]],
    [/shape of a tensor/, [0, 'ab', [1]]],
    [/shape of a tensor/, [0, new Array(17).fill(1), new Array(17).fill(1)]],
    [/no storage/, [0, [3], [1], null]],
  ])('%s', (words, args) => {
    expect(() => made(...args)).toThrow(words);
  });

  it('storages: a known type, a possible size, one description each', () => {
    const storages = new Map<string, TorchStorage>();
    const rules = torchRules(storages);
    const type = (name: string) => rules.globals.get(`torch.${name}`);
    const of = (...id: unknown[]) => rules.persistent!(Object.freeze(id), fail);
    const first = of('storage', type('FloatStorage'), '0', 'cuda:0', 3);
    expect(of('storage', type('FloatStorage'), '0', 'cpu', 3)).toBe(first);
    expect(storages.size).toBe(1);
    expect(() => of('storage', type('HalfStorage'), '0', 'cpu', 3)).toThrow(/two ways/);
    expect(() => of('storage', type('FloatStorage'), '1', 'cpu', -3)).toThrow(/no possible size/);
    expect(() => of('storage', type('FloatStorage'), '1', 'cpu', 2 ** 52)).toThrow(/no possible size/);
    expect(() => of('storage', rules.globals.get('collections.OrderedDict'), '1', 'cpu', 3)).toThrow(/no type/);
    expect(() => of('storage', 'FloatStorage', '1', 'cpu', 3)).toThrow(/no type/);
    expect(() => of('storage', type('FloatStorage'), 1, 'cpu', 3)).toThrow(/not text/);
    expect(() => of('storage', type('FloatStorage'), '1', 'cpu', 3, ['0', 0, 1])).toThrow(/view of another/);
    expect(() => of('module', type('FloatStorage'), '1', 'cpu', 3)).toThrow(/no storage/);
  });
});
