/**
 * GGML's tensor formats: block sizes of all that exist, and exact CPU dequantizers of those the engine takes.
 * Source: ggml's `ggml-quants.c` and the PyPI package `gguf` (`constants.py`, `quants.py`), whose results the
 * dequantizers reproduce bit for bit. Plain arithmetic does: a half has 11 significant bits, scales and quants have 14
 * between them at most, so that in their f32 and in our f64 alike only the last operation of each value rounds.
 */
import { bfloatToNumber, halfToNumber } from './half';

export interface BlockSize {
  /** Elements per block; a row's length must be a multiple. */
  readonly elements: number;
  readonly bytes: number;
}

/** Formats that weights may have in this engine. */
export const WEIGHT_FORMATS = [
  'F32',
  'F16',
  'BF16',
  'Q8_0',
  'Q4_0',
  'Q4_1',
  'Q5_0',
  'Q5_1',
  'Q4_K',
  'Q5_K',
  'Q6_K',
] as const;
export type WeightFormat = (typeof WEIGHT_FORMATS)[number];

export function isWeightFormat(format: string): format is WeightFormat {
  return (WEIGHT_FORMATS as readonly string[]).includes(format);
}

/** `enum ggml_type` to name, elements per block, bytes per block. Gaps are formats that ggml has removed. */
const TYPES: Readonly<Record<number, readonly [name: string, elements: number, bytes: number]>> = {
  0: ['F32', 1, 4],
  1: ['F16', 1, 2],
  2: ['Q4_0', 32, 18],
  3: ['Q4_1', 32, 20],
  6: ['Q5_0', 32, 22],
  7: ['Q5_1', 32, 24],
  8: ['Q8_0', 32, 34],
  9: ['Q8_1', 32, 40],
  10: ['Q2_K', 256, 84],
  11: ['Q3_K', 256, 110],
  12: ['Q4_K', 256, 144],
  13: ['Q5_K', 256, 176],
  14: ['Q6_K', 256, 210],
  15: ['Q8_K', 256, 292],
  16: ['IQ2_XXS', 256, 66],
  17: ['IQ2_XS', 256, 74],
  18: ['IQ3_XXS', 256, 98],
  19: ['IQ1_S', 256, 50],
  20: ['IQ4_NL', 32, 18],
  21: ['IQ3_S', 256, 110],
  22: ['IQ2_S', 256, 82],
  23: ['IQ4_XS', 256, 136],
  24: ['I8', 1, 1],
  25: ['I16', 1, 2],
  26: ['I32', 1, 4],
  27: ['I64', 1, 8],
  28: ['F64', 1, 8],
  29: ['IQ1_M', 256, 56],
  30: ['BF16', 1, 2],
  34: ['TQ1_0', 256, 54],
  35: ['TQ2_0', 256, 66],
  39: ['MXFP4', 32, 17],
  40: ['NVFP4', 64, 36],
  41: ['Q1_0', 128, 18],
};

const BLOCKS = new Map<string, BlockSize>(
  Object.values(TYPES).map(([name, elements, bytes]) => [name, { elements, bytes }]),
);

/** Name of a `ggml_type` number, or undefined for one that does not exist (any more, or yet). */
export function ggmlTypeName(type: number): string | undefined {
  return TYPES[type]?.[0];
}

/** Block size of a ggml format by name, or undefined. */
export function blockSize(format: string): BlockSize | undefined {
  return BLOCKS.get(format);
}

/**
 * Bytes of a tensor of `shape` (outermost first) in a ggml format: whole blocks along the last axis.
 * @returns undefined when the last axis is not whole blocks, or the count exceeds 2^53
 */
export function tensorBytes(format: string, shape: readonly number[]): number | undefined {
  const block = BLOCKS.get(format);
  if (!block) return undefined;
  const elements = shape.reduce((product, n) => product * n, 1);
  const cols = shape.length > 0 ? shape[shape.length - 1] : 1;
  if (!Number.isSafeInteger(elements) || cols % block.elements !== 0) return undefined;
  const bytes = (elements / block.elements) * block.bytes;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

type BlockDecoder = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void;

/**
 * The f32 values of `count` elements, bit-equal to `gguf.quants.dequantize`.
 * @param bytes whole blocks from the first element on
 * @throws RangeError when `count` is not whole blocks or `bytes` holds fewer
 */
export function dequantize(format: WeightFormat, bytes: Uint8Array, count: number): Float32Array {
  const block = BLOCKS.get(format) as BlockSize;
  const blocks = count / block.elements;
  if (!Number.isInteger(blocks) || count < 0) throw new RangeError(`${count} elements are not whole ${format} blocks`);
  if (bytes.length < blocks * block.bytes)
    throw new RangeError(`${bytes.length} bytes do not hold ${blocks} ${format} blocks`);
  const out = new Float32Array(count);
  const decode = DECODERS[format];
  for (let b = 0; b < blocks; b++) decode(bytes, b * block.bytes, out, b * block.elements);
  return out;
}

const half = (bytes: Uint8Array, at: number) => halfToNumber(bytes[at] | (bytes[at + 1] << 8));

const word = new DataView(new ArrayBuffer(4));

/** Bits 5 of the 32 values of a Q5_0 or Q5_1 block. */
const highBits = (bytes: Uint8Array, at: number) =>
  bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);

/** 6-bit scales and minima of a Q4_K or Q5_K block's 8 sub-blocks, packed in 12 bytes. */
function scaleAndMin(bytes: Uint8Array, at: number, j: number): [scale: number, min: number] {
  if (j < 4) return [bytes[at + j] & 63, bytes[at + 4 + j] & 63];
  const low = bytes[at + 4 + j];
  return [(low & 15) | ((bytes[at + j - 4] >> 6) << 4), (low >> 4) | ((bytes[at + j] >> 6) << 4)];
}

const DECODERS: Readonly<Record<WeightFormat, BlockDecoder>> = {
  F32(bytes, at, out, to) {
    for (let i = 0; i < 4; i++) word.setUint8(i, bytes[at + i]);
    out[to] = word.getFloat32(0, true);
  },
  F16(bytes, at, out, to) {
    out[to] = half(bytes, at);
  },
  BF16(bytes, at, out, to) {
    out[to] = bfloatToNumber(bytes[at] | (bytes[at + 1] << 8));
  },
  /** d: f16; q: 32 x i8. */
  Q8_0(bytes, at, out, to) {
    const d = half(bytes, at);
    for (let i = 0; i < 32; i++) out[to + i] = d * ((bytes[at + 2 + i] << 24) >> 24);
  },
  /** d: f16; 16 bytes, low nibbles first: d (q - 8). */
  Q4_0(bytes, at, out, to) {
    const d = half(bytes, at);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 2 + i];
      out[to + i] = d * ((q & 15) - 8);
      out[to + i + 16] = d * ((q >> 4) - 8);
    }
  },
  /** d, m: f16; 16 bytes: d q + m. */
  Q4_1(bytes, at, out, to) {
    const d = half(bytes, at);
    const m = half(bytes, at + 2);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 4 + i];
      out[to + i] = d * (q & 15) + m;
      out[to + i + 16] = d * (q >> 4) + m;
    }
  },
  /** d: f16; 32 high bits; 16 bytes: d (q - 16). */
  Q5_0(bytes, at, out, to) {
    const d = half(bytes, at);
    const high = highBits(bytes, at + 2);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 6 + i];
      out[to + i] = d * (((q & 15) | (((high >>> i) & 1) << 4)) - 16);
      out[to + i + 16] = d * (((q >> 4) | (((high >>> (i + 16)) & 1) << 4)) - 16);
    }
  },
  /** d, m: f16; 32 high bits; 16 bytes: d q + m. */
  Q5_1(bytes, at, out, to) {
    const d = half(bytes, at);
    const m = half(bytes, at + 2);
    const high = highBits(bytes, at + 4);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 8 + i];
      out[to + i] = d * ((q & 15) | (((high >>> i) & 1) << 4)) + m;
      out[to + i + 16] = d * ((q >> 4) | (((high >>> (i + 16)) & 1) << 4)) + m;
    }
  },
  /** d, dmin: f16; 12 bytes of scales; 128 bytes, nibbles in runs of 32: d sc q - dmin m. */
  Q4_K(bytes, at, out, to) {
    const d = half(bytes, at);
    const dmin = half(bytes, at + 2);
    for (let j = 0; j < 8; j++) {
      const [scale, min] = scaleAndMin(bytes, at + 4, j);
      const a = d * scale;
      const b = dmin * min;
      const qs = at + 16 + (j >> 1) * 32;
      const shift = (j & 1) * 4;
      for (let i = 0; i < 32; i++) out[to + j * 32 + i] = a * ((bytes[qs + i] >> shift) & 15) - b;
    }
  },
  /** As Q4_K, with 32 bytes of high bits (bit j of byte i for value i of sub-block j) before the nibbles. */
  Q5_K(bytes, at, out, to) {
    const d = half(bytes, at);
    const dmin = half(bytes, at + 2);
    for (let j = 0; j < 8; j++) {
      const [scale, min] = scaleAndMin(bytes, at + 4, j);
      const a = d * scale;
      const b = dmin * min;
      const qs = at + 48 + (j >> 1) * 32;
      const shift = (j & 1) * 4;
      for (let i = 0; i < 32; i++) {
        const q = ((bytes[qs + i] >> shift) & 15) | (((bytes[at + 16 + i] >> j) & 1) << 4);
        out[to + j * 32 + i] = a * q - b;
      }
    }
  },
  /** 128 bytes of low nibbles, 64 of high bit pairs, 16 x i8 scales, d: f16: d sc (q - 32). */
  Q6_K(bytes, at, out, to) {
    const d = half(bytes, at + 208);
    for (let j = 0; j < 8; j++) {
      // Sub-block j of 32 values: half n = j / 4 of the block, quarter k = j % 4 of that half.
      const n = j >> 2;
      const k = j & 3;
      const ql = at + n * 64 + (k & 1) * 32;
      const qh = at + 128 + n * 32;
      for (let i = 0; i < 32; i++) {
        const scale = (bytes[at + 192 + j * 2 + (i >> 4)] << 24) >> 24;
        const q = ((bytes[ql + i] >> ((k >> 1) * 4)) & 15) | (((bytes[qh + i] >> (k * 2)) & 3) << 4);
        out[to + j * 32 + i] = d * scale * (q - 32);
      }
    }
  },
};
