import { describe, expect, it } from 'vitest';
import { type ByteSource, MemorySource } from '../../../src/formats/bytes';
import { FormatError } from '../../../src/formats/error';
import { openTensorFile } from '../../../src/formats/open';
import {
  openSafetensors,
  openShardedSafetensors,
  type TensorToWrite,
  writeSafetensors,
} from '../../../src/formats/safetensors';

const open = (bytes: Uint8Array) => openSafetensors(new MemorySource(bytes, 'test.safetensors'));

/** A file with this header text and so many data bytes. */
function build(header: unknown, dataBytes = 0, told?: bigint): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, told ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

const tensors = new Map<string, TensorToWrite>([
  ['b', { format: 'F16', shape: [3], data: Uint8Array.of(1, 2, 3, 4, 5, 6) }],
  ['a', { format: 'F32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }],
  ['ids', { format: 'I32', shape: [2], data: Int32Array.of(7, -7) }],
  ['scalar', { format: 'F32', shape: [], data: Float32Array.of(9) }],
  ['empty', { format: 'F32', shape: [0, 4], data: new Float32Array(0) }],
]);

describe('written and read again', () => {
  it('gives the same tensors and metadata', async () => {
    const file = await open(writeSafetensors(tensors, { by: 'test' }));
    expect(file.metadata.get('by')).toBe('test');
    expect([...file.tensors.keys()].sort()).toEqual([...tensors.keys()].sort());
    for (const [name, { format, shape, data }] of tensors) {
      expect(file.tensors.get(name)).toMatchObject({ format, shape, bytes: data.byteLength });
      expect(await file.read(name)).toEqual(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      expect(file.tensors.get(name)!.offset % 2).toBe(0);
    }
  });

  it('gives equal bytes whatever the order', () => {
    expect(writeSafetensors(new Map([...tensors].reverse()))).toEqual(writeSafetensors(tensors));
  });

  it('refuses data that is not as long as type and shape say', () => {
    const wrong = new Map([['a', { format: 'F32', shape: [3], data: new Float32Array(2) } as const]]);
    expect(() => writeSafetensors(wrong)).toThrow(RangeError);
  });
});

describe('a file that lies gives an error that names the field', () => {
  const one = (change: object, dataBytes = 8) =>
    build({ t: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...change } }, dataBytes);
  const lies: [field: string, code: string, bytes: Uint8Array][] = [
    ['header length', 'truncated', new Uint8Array(7)],
    ['header length', 'truncated', build('{}', 0, 3n)],
    ['header length', 'limit', build('{}', 0, 2n ** 63n)],
    ['header', 'corrupt', build('{')],
    ['header', 'corrupt', build('[]')],
    ['header', 'corrupt', build('null')],
    ['__metadata__', 'corrupt', build({ __metadata__: [] })],
    ['__metadata__ "a"', 'corrupt', build({ __metadata__: { a: 1 } })],
    ['tensor "t"', 'corrupt', build({ t: 1 })],
    ['tensor "t" dtype', 'corrupt', one({ dtype: 32 })],
    ['tensor "t" dtype', 'unsupported', one({ dtype: 'toString' })],
    ['tensor "t" shape', 'corrupt', one({ shape: '2' })],
    ['tensor "t" shape', 'corrupt', one({ shape: [-2] })],
    ['tensor "t" shape', 'corrupt', one({ shape: [2.5] })],
    ['tensor "t" shape', 'corrupt', one({ shape: [3] })],
    ['tensor "t" shape', 'corrupt', one({ shape: [2 ** 40, 2 ** 40] })],
    ['tensor "t" data_offsets', 'corrupt', one({ data_offsets: [0] })],
    ['tensor "t" data_offsets', 'corrupt', one({ data_offsets: [8, 0] })],
    ['tensor "t" data_offsets', 'corrupt', one({ data_offsets: [0, 2 ** 60] })],
    ['tensor "t" data_offsets', 'truncated', one({}, 7)],
    ['tensor "t" data_offsets', 'corrupt', one({ data_offsets: [4, 12] }, 12)],
    ['data', 'corrupt', one({}, 9)],
    [
      'tensor "u" data_offsets',
      'corrupt',
      build(
        { t: { dtype: 'U8', shape: [4], data_offsets: [0, 4] }, u: { dtype: 'U8', shape: [4], data_offsets: [2, 6] } },
        6,
      ),
    ],
  ];
  it.each(lies)('%s: %s', async (field, code, bytes) => {
    const error = await open(bytes).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(FormatError);
    expect(error).toMatchObject({ code, field, file: 'test.safetensors' });
  });

  it('cut anywhere or flipped anywhere in the header: a FormatError, or a sound file', async () => {
    const whole = writeSafetensors(tensors);
    for (let i = 0; i < 50; i++) {
      const cut = whole.slice(0, Math.floor((whole.length * i) / 50));
      await expect(open(cut)).rejects.toBeInstanceOf(FormatError);
    }
    for (let at = 0; at < whole.length - 34; at++) {
      for (const flip of [1, 0x20, 0xff]) {
        const bytes = whole.slice();
        bytes[at] ^= flip;
        const result = await open(bytes).catch((e: unknown) => e);
        if (!(result instanceof FormatError)) expect(result).toMatchObject({ tensors: expect.any(Map) });
      }
    }
  });
});

describe('a sharded model', () => {
  const shards: Record<string, Uint8Array> = {
    'model-1.safetensors': writeSafetensors(new Map([['a', { format: 'F32', shape: [1], data: Float32Array.of(1) }]])),
    'model-2.safetensors': writeSafetensors(new Map([['b', { format: 'F32', shape: [1], data: Float32Array.of(2) }]])),
  };
  const index = (value: unknown) =>
    new MemorySource(new TextEncoder().encode(JSON.stringify(value)), 'model.safetensors.index.json');
  const opened: string[] = [];
  const openShard = async (name: string): Promise<ByteSource> => {
    opened.push(name);
    return new MemorySource(shards[name], name);
  };
  const good = {
    metadata: { total_size: 8 },
    weight_map: { a: 'model-1.safetensors', b: 'model-2.safetensors' },
  };

  it('reads each tensor from its shard', async () => {
    const file = await openTensorFile(index(good), openShard);
    expect(new Float32Array((await file.read('a')).buffer)).toEqual(Float32Array.of(1));
    expect(new Float32Array((await file.read('b')).buffer)).toEqual(Float32Array.of(2));
    expect(file.sourceOf('b').name).toBe('model-2.safetensors');
    expect(file.metadata.get('total_size')).toBe('8');
    expect(() => file.sourceOf('c')).toThrow(FormatError);
  });

  it.each([
    ['weight_map', 'missing', {}],
    ['weight_map', 'missing', { weight_map: [] }],
    ['metadata', 'corrupt', { ...good, metadata: 1 }],
    ['weight_map "a"', 'corrupt', { weight_map: { a: 1 } }],
    ['weight_map "a"', 'corrupt', { weight_map: { a: '../model-1.safetensors' } }],
    ['weight_map "a"', 'corrupt', { weight_map: { a: '/etc/model-1.safetensors' } }],
    ['weight_map "a"', 'corrupt', { weight_map: { a: 'https:model-1.safetensors' } }],
    ['weight_map "a"', 'corrupt', { weight_map: { a: 'C:\\model-1.safetensors' } }],
    ['weight_map "a"', 'corrupt', { weight_map: { a: 'passwd' } }],
    ['weight_map "a"', 'corrupt', { weight_map: { a: 'model-2.safetensors' } }],
  ])('a lying index: %s %s %j', async (field, code, value) => {
    const error = await openShardedSafetensors(index(value), openShard).catch((e: unknown) => e);
    expect(error).toMatchObject({ name: 'FormatError', field, code });
  });

  it('never asks for a file outside the folder, and needs a way to open those in it', async () => {
    expect(opened.every((name) => name in shards)).toBe(true);
    await expect(openTensorFile(index(good))).rejects.toMatchObject({ code: 'missing', field: 'shards' });
  });
});
