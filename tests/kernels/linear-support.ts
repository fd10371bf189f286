import { blockSize, dequantize } from '../../src/formats/ggml';
import type { Gpu } from '../../src/gpu/device';
import type { WeightFormat } from '../../src/kernels/weights';
import { uploadWeight, type Weight } from '../../src/kernels/weights';
import { noise } from './attention-support';

/** Byte offsets of the f16 scales in a block. */
const SCALES: Partial<Record<WeightFormat, number[]>> = {
  Q8_0: [0],
  Q4_0: [0],
  Q4_1: [0, 2],
  Q5_0: [0],
  Q5_1: [0, 2],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
};

/** GGUF bytes of a matrix of random weights with sane scales. */
export function randomBlocks(format: WeightFormat, rows: number, cols: number, seed: number): Uint8Array<ArrayBuffer> {
  const { elements, bytes } = blockSize(format)!;
  const count = (rows * cols) / elements;
  if (!SCALES[format]) {
    const values = noise(count, seed);
    if (format === 'F32') return new Uint8Array(values.buffer);
    if (format === 'BF16') {
      const bits = new Uint32Array(values.buffer);
      return new Uint8Array(Uint16Array.from(bits, (b) => b >>> 16).buffer);
    }
    // Halves: sign and mantissa from the f32's bits, exponents of 2^-3 to 1.
    const bits = new Uint32Array(values.buffer);
    return new Uint8Array(
      Uint16Array.from(bits, (b, i) => ((b >>> 16) & 0x8000) | (0x3000 + ((b >>> 7) & 0xbff) + (i & 1))).buffer,
    );
  }
  let state = (seed * 2654435761) >>> 0;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
  const out = new Uint8Array(count * bytes);
  for (let i = 0; i < out.length; i++) out[i] = random() >>> 5;
  const view = new DataView(out.buffer);
  for (let b = 0; b < count; b++) {
    // +-2^-7 to 2^-5.
    for (const at of SCALES[format]!)
      view.setUint16(b * bytes + at, 0x2000 + (random() & 0x7ff) + ((random() & 1) << 15), true);
  }
  return out;
}

export interface Matrix {
  readonly weight: Weight;
  /** Dequantized on the CPU, [rows, cols]. */
  readonly values: Float32Array;
}

/** A random matrix on the GPU, uploaded in pieces that do not respect blocks, and its values. */
export async function randomMatrix(
  gpu: Gpu,
  format: WeightFormat,
  rows: number,
  cols: number,
  seed: number,
  pieceBytes = 100_003,
): Promise<Matrix> {
  const bytes = randomBlocks(format, rows, cols, seed);
  const weight = await uploadWeight(
    gpu,
    { label: `${format} ${rows}x${cols}`, format, rows, cols },
    cut(bytes, pieceBytes),
  );
  return { weight, values: dequantize(format, bytes, rows * cols) };
}

export function* cut(bytes: Uint8Array, pieceBytes: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

/** x [M, K] times w [N, K] transposed, in f64. */
export function product(x: ArrayLike<number>, w: ArrayLike<number>, m: number, n: number, k: number): Float64Array {
  const y = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let c = 0; c < k; c++) sum += x[i * k + c] * w[j * k + c];
      y[i * n + j] = sum;
    }
  }
  return y;
}

/** x as quantize_q8.wgsl leaves it: whole steps of a 127th of the peak of each 32. */
export function roundToInt8(x: Float32Array): Float32Array {
  const rounded = new Float32Array(x.length);
  for (let b = 0; b < x.length; b += 32) {
    const d = x.subarray(b, b + 32).reduce((max, v) => Math.max(max, Math.abs(v)), 0) / 127;
    for (let i = b; i < b + 32; i++) rounded[i] = d > 0 ? Math.round(x[i] / d) * d : 0;
  }
  return rounded;
}
