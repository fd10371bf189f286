import { describe, expect, it } from 'vitest';
import { FileSource } from '../../../src/cli/file-source';
import { MemorySource } from '../../../src/formats/bytes';
import { FormatError } from '../../../src/formats/error';
import { openGguf } from '../../../src/formats/gguf';
import { openTensorFile } from '../../../src/formats/open';
import { requireTensor, weightFormat } from '../../../src/formats/tensor-file';
import { fixture, NO_SMOLLM2, smollm2Path } from './fixtures';
import { buildGguf, entry, type GgufSpec } from './gguf-builder';

const open = (bytes: Uint8Array) => openGguf(new MemorySource(bytes, 'test.gguf'));

const scalars = [
  entry('u8', 0, (b) => b.u8(200)),
  entry('i8', 1, (b) => b.u8(200)),
  entry('u16', 2, (b) => b.raw(0xff, 0xff)),
  entry('i16', 3, (b) => b.raw(0xff, 0xff)),
  entry('u32', 4, (b) => b.u32(4_000_000_000)),
  entry('i32', 5, (b) => b.u32(0xffff_ffff)),
  entry('f32', 6, (b) => b.f32(0.5)),
  entry('bool', 7, (b) => b.u8(1)),
  entry('string', 8, (b) => b.string('\ufeffhé')),
  entry('u64', 10, (b) => b.u64(2 ** 40)),
  entry('huge', 10, (b) => b.u64(2n ** 63n)),
  entry('i64', 11, (b) => b.u64(2n ** 64n - 5n)),
  entry('f64', 12, (b) => b.raw(...new Uint8Array(Float64Array.of(1e300).buffer))),
];
const arrays = [
  entry('strings', 9, (b) => b.u32(8).u64(3).string('a').string('').string('\u2581long'.repeat(10))),
  entry('floats', 9, (b) => b.u32(6).u64(2).f32(1).f32(-2)),
  entry('bools', 9, (b) => b.u32(7).u64(2).u8(0).u8(1)),
  entry('nested', 9, (b) => b.u32(9).u64(2).u32(5).u64(1).u32(7).u32(5).u64(0)),
];
const tensors = [
  { name: 'w', ne: [64, 3], type: 2, offset: 0 },
  { name: 'v', ne: [5], type: 0, offset: 128 },
];
const good: GgufSpec = { entries: [...scalars, ...arrays], tensors, dataBytes: 148 };

describe('a sound GGUF file', () => {
  it.each([2, 3])('version %i gives metadata and tensors', async (version) => {
    const bytes = buildGguf({ ...good, version });
    const file = await open(bytes);
    expect(file.version).toBe(version);
    expect(Object.fromEntries(file.metadata)).toEqual({
      u8: 200,
      i8: -56,
      u16: 65535,
      i16: -1,
      u32: 4_000_000_000,
      i32: -1,
      f32: 0.5,
      bool: true,
      string: '\ufeffhé',
      u64: 2 ** 40,
      huge: 2n ** 63n,
      i64: -5,
      f64: 1e300,
      strings: ['a', '', '\u2581long'.repeat(10)],
      floats: Float32Array.of(1, -2),
      bools: [false, true],
      nested: [Int32Array.of(7), Int32Array.of()],
    });
    const dataStart = bytes.length - 148;
    expect(file.tensors.get('w')).toEqual({ name: 'w', format: 'Q4_0', shape: [3, 64], offset: dataStart, bytes: 108 });
    expect(file.tensors.get('v')).toEqual({ name: 'v', format: 'F32', shape: [5], offset: dataStart + 128, bytes: 20 });
    expect(await file.read('v')).toEqual(bytes.slice(-20));
    const pieces: number[] = [];
    for await (const piece of file.stream('w', 50)) pieces.push(piece.length);
    expect(pieces).toEqual([50, 50, 8]);
    expect(file.sourceOf('w').name).toBe('test.gguf');
  });

  it('obeys general.alignment', async () => {
    const bytes = buildGguf({
      entries: [entry('general.alignment', 4, (b) => b.u32(8))],
      tensors: [
        { name: 'a', ne: [1], type: 0, offset: 0 },
        { name: 'b', ne: [1], type: 0, offset: 8 },
      ],
      dataBytes: 12,
    });
    const { a, b } = Object.fromEntries((await open(bytes)).tensors);
    expect(a.offset % 8).toBe(0);
    expect(b.offset - a.offset).toBe(8);
  });

  it('is known by its first bytes', async () => {
    const file = await openTensorFile(new MemorySource(buildGguf(good), 'no-extension'));
    expect(file.tensors.size).toBe(2);
  });

  it('lists formats that the engine does not take, and says so when one is used', async () => {
    const file = await open(buildGguf({ tensors: [{ name: 'q', ne: [256], type: 10, offset: 0 }], dataBytes: 84 }));
    expect(requireTensor(file, 'q').format).toBe('Q2_K');
    expect(() => weightFormat(file, requireTensor(file, 'q'))).toThrow(
      expect.objectContaining({ code: 'unsupported', field: 'tensor "q"', message: expect.stringContaining('Q2_K') }),
    );
    expect(() => requireTensor(file, 'p')).toThrow(expect.objectContaining({ code: 'missing', field: 'tensor "p"' }));
    await expect(file.read('p')).rejects.toThrow(FormatError);
  });

  it('reads headers longer than one window', async () => {
    const words = Array.from({ length: 60_000 }, (_, i) => `token-é-${i}`);
    const bytes = buildGguf({
      entries: [
        entry('words', 9, (b) => {
          b.u32(8).u64(words.length);
          for (const word of words) b.string(word);
        }),
      ],
      tensors,
      dataBytes: 148,
    });
    let reads = 0;
    const source = new MemorySource(bytes, 'big.gguf');
    const counted = {
      name: source.name,
      size: source.size,
      read: (...args: Parameters<typeof source.read>) => {
        reads++;
        return source.read(...args);
      },
      stream: source.stream.bind(source),
    };
    const file = await openGguf(counted);
    expect(file.metadata.get('words')).toEqual(words);
    expect(reads).toBeGreaterThan(1);
    expect(reads).toBeLessThan(6);
  });

  it('stops when aborted', async () => {
    const reason = new Error('stop');
    await expect(openGguf(new MemorySource(buildGguf(good)), AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

describe('a file that lies gives an error that names the field', () => {
  const tensor = (change: Partial<(typeof tensors)[number]> | { ne: bigint[] }): GgufSpec => ({
    tensors: [{ ...tensors[0], ...change }],
    dataBytes: 148,
  });
  const lies: [field: string, code: string, spec: GgufSpec][] = [
    ['magic', 'corrupt', { magic: 'GGML' }],
    ['version', 'unsupported', { version: 1 }],
    ['version', 'unsupported', { version: 4 }],
    ['version', 'unsupported', { version: 0x0300_0000 }],
    ['tensor_count', 'truncated', { ...good, tensorCount: 1_000_000 }],
    ['tensor_count', 'truncated', { tensorCount: 5 }],
    ['tensor_count', 'corrupt', { ...good, tensorCount: 2n ** 63n }],
    ['metadata_kv_count', 'truncated', { ...good, entryCount: 1e9 }],
    ['metadata_kv_count', 'corrupt', { ...good, entryCount: 2n ** 64n - 1n }],
    ['metadata key 0', 'corrupt', { entries: [entry('', 0, (b) => b.u8(0))] }],
    ['metadata key 0 length', 'truncated', { entries: [(b) => b.u64(1e12).align(64)] }],
    ['metadata key 0', 'corrupt', { entries: [(b) => b.u64(2).raw(0xc3, 0x28).align(64)] }],
    ['metadata "k"', 'corrupt', { entries: [entry('k', 0, (b) => b.u8(0)), entry('k', 0, (b) => b.u8(0))] }],
    ['metadata "k" type', 'corrupt', { entries: [entry('k', 13, (b) => b.align(64))] }],
    ['metadata "k"', 'corrupt', { entries: [entry('k', 7, (b) => b.u8(2))] }],
    ['metadata "k"', 'corrupt', { entries: [entry('k', 8, (b) => b.u64(1).raw(0xff))] }],
    ['metadata "k" length', 'truncated', { entries: [entry('k', 8, (b) => b.u64(2 ** 40))] }],
    ['metadata "k" type', 'corrupt', { entries: [entry('k', 9, (b) => b.u32(99).u64(1))] }],
    ['metadata "k" length', 'truncated', { entries: [entry('k', 9, (b) => b.u32(6).u64(2 ** 50))] }],
    ['metadata "k"[1]', 'corrupt', { entries: [entry('k', 9, (b) => b.u32(7).u64(2).u8(1).u8(7))] }],
    ['metadata "k"[1]', 'corrupt', { entries: [entry('k', 9, (b) => b.u32(8).u64(2).string('a').u64(1).raw(0x80))] }],
    [
      'metadata "k"[0][0][0][0]',
      'limit',
      {
        entries: [
          entry('k', 9, (b) => {
            for (let i = 0; i < 6; i++) b.u32(9).u64(1);
          }),
        ],
      },
    ],
    ['metadata "general.alignment"', 'corrupt', { entries: [entry('general.alignment', 4, (b) => b.u32(24))] }],
    ['metadata "general.alignment"', 'corrupt', { entries: [entry('general.alignment', 4, (b) => b.u32(0))] }],
    ['metadata "general.alignment"', 'corrupt', { entries: [entry('general.alignment', 8, (b) => b.string('32'))] }],
    ['tensor 0 name', 'corrupt', tensor({ name: '' })],
    ['tensor 0 name length', 'limit', tensor({ name: 'x'.repeat(2000) })],
    ['tensor "w"', 'corrupt', { tensors: [tensors[0], tensors[0]], dataBytes: 148 }],
    ['tensor "w" dimensions', 'corrupt', tensor({ ne: [] })],
    ['tensor "w" dimensions', 'corrupt', tensor({ ne: [32, 1, 1, 1, 1] })],
    ['tensor "w" dimension 1', 'corrupt', tensor({ ne: [32, 0] })],
    ['tensor "w" dimension 0', 'corrupt', tensor({ ne: [2n ** 60n] })],
    ['tensor "w" dimension 1', 'corrupt', tensor({ ne: [2 ** 30, 2 ** 30] })],
    ['tensor "w" type', 'unsupported', tensor({ type: 4 })],
    ['tensor "w" type', 'unsupported', tensor({ type: 4_000_000_000 })],
    ['tensor "w" shape', 'corrupt', tensor({ ne: [33, 32] })],
    ['tensor "w" offset', 'corrupt', tensor({ offset: 7 })],
    ['tensor "w" offset', 'truncated', tensor({ offset: 64 })],
    ['tensor "w" offset', 'truncated', tensor({ offset: 2 ** 52 })],
    ['tensor "v" offset', 'corrupt', { tensors: [tensors[0], { ...tensors[1], offset: 96 }], dataBytes: 148 }],
  ];
  it.each(lies)('%s: %s', async (field, code, spec) => {
    const error = await open(buildGguf(spec)).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(FormatError);
    expect(error).toMatchObject({ code, field, file: 'test.gguf' });
    // Every message ends by saying what to do.
    expect((error as Error).message).toMatch(/^test\.gguf: .+: .+\. .+\.$/s);
  });
});

describe('damage of any kind ends in a FormatError or a sound file, never in anything else', () => {
  it.each(['built', 'spm.gguf'])('cut at every fiftieth: %s', async (which) => {
    const whole = which === 'built' ? buildGguf(good) : fixture(which);
    for (let i = 0; i < 50; i++) {
      const error = await open(whole.slice(0, Math.floor((whole.length * i) / 50))).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(FormatError);
    }
  });

  it('bytes flipped', async () => {
    const whole = buildGguf(good);
    let refused = 0;
    for (let at = 0; at < whole.length - 148; at++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const bytes = whole.slice();
        bytes[at] ^= flip;
        const result = await open(bytes).catch((e: unknown) => e);
        if (result instanceof FormatError) refused++;
        else expect(result).toMatchObject({ tensors: expect.any(Map) });
      }
    }
    expect(refused).toBeGreaterThan(whole.length / 2);
  });
});

describe.skipIf(!smollm2Path())(`SmolLM2 (${NO_SMOLLM2})`, () => {
  it('is read by its header alone', async () => {
    const source = await FileSource.open(smollm2Path()!);
    try {
      const file = await openGguf(source);
      expect(file.tensors.size).toBe(272);
      expect(file.metadata.get('llama.attention.head_count_kv')).toBe(3);
      expect(file.tensors.get('token_embd.weight')).toEqual({
        name: 'token_embd.weight',
        format: 'Q8_0',
        shape: [49152, 576],
        offset: 1785664,
        bytes: 30081024,
      });
      expect([...file.tensors.values()].filter(({ format }) => format === 'Q4_1')).toHaveLength(210);
    } finally {
      await source.close();
    }
  });
});
