import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { MemorySource } from '../../../src/formats/bytes';
import {
  blockSize,
  dequantize,
  ggmlTypeName,
  isWeightFormat,
  tensorBytes,
  WEIGHT_FORMATS,
  type WeightFormat,
} from '../../../src/formats/ggml';
import { openSafetensors } from '../../../src/formats/safetensors';
import { fixture } from './fixtures';

const file = await openSafetensors(new MemorySource(fixture('dequantize.safetensors'), 'dequantize.safetensors'));

describe('dequantized values equal gguf.quants.dequantize bit for bit', () => {
  const blockFormats = WEIGHT_FORMATS.filter((format) => !['F32', 'F16', 'BF16'].includes(format));
  it.each(blockFormats)('%s', async (format) => {
    const bytes = await file.read(`${format}.bytes`);
    const expected = await file.read(`${format}.values`);
    const values = dequantize(format, bytes, 1024);
    expect(new Uint32Array(values.buffer)).toEqual(new Uint32Array(expected.buffer));
    expect(new Set(values).size).toBeGreaterThan(50);
  });

  it.each(['F16', 'BF16'] as const)('%s, all 65,536', (format) => {
    const bits = Uint16Array.from({ length: 65_536 }, (_, i) => i);
    const values = dequantize(format, new Uint8Array(bits.buffer), 65_536);
    const words = new Uint32Array(values.buffer);
    values.forEach((value, i) => {
      if (Number.isNaN(value)) words[i] = 0x7fc00000;
    });
    expect(createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex')).toBe(file.metadata.get(format));
  });

  it('F32 is a copy, at any alignment', () => {
    const values = Float32Array.of(1.5, -0, 3.4e38, Number.NaN, 1e-45);
    const shifted = new Uint8Array(21);
    shifted.set(new Uint8Array(values.buffer), 1);
    expect(dequantize('F32', shifted.subarray(1), 5)).toEqual(values);
  });

  it('refuses part blocks and too few bytes', () => {
    expect(() => dequantize('Q4_0', new Uint8Array(100), 33)).toThrow(RangeError);
    expect(() => dequantize('Q4_K', new Uint8Array(143), 256)).toThrow(RangeError);
  });
});

describe('block arithmetic', () => {
  it('gives the bytes of whole rows only', () => {
    expect(tensorBytes('Q4_1', [576, 1536])).toBe(552_960);
    expect(tensorBytes('Q6_K', [3, 256])).toBe(630);
    expect(tensorBytes('F16', [])).toBe(2);
    expect(tensorBytes('Q8_0', [32, 33])).toBeUndefined();
    expect(tensorBytes('F32', [2 ** 30, 2 ** 30])).toBeUndefined();
    expect(tensorBytes('F32', [2 ** 26, 2 ** 26])).toBeUndefined();
    expect(tensorBytes('nonsense', [1])).toBeUndefined();
  });

  it('names types by number, and none that do not exist', () => {
    expect(ggmlTypeName(14)).toBe('Q6_K');
    expect(blockSize('Q6_K')).toEqual({ elements: 256, bytes: 210 });
    for (const gone of [4, 5, 31, 36, 1000, -1]) expect(ggmlTypeName(gone)).toBeUndefined();
    for (const format of WEIGHT_FORMATS) expect(blockSize(format satisfies WeightFormat)).toBeDefined();
    expect(isWeightFormat('Q2_K')).toBe(false);
  });
});
