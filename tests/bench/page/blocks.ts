/** Random 4-bit weights, the same numbers as GGUF's Q4_0 blocks and as ONNX's MatMulNBits wants them. */

export interface FourBit {
  readonly rows: number;
  readonly cols: number;
  /** Q4_0: per 32 columns an f16 scale, then bytes of columns i (low) and i + 16. */
  readonly gguf: Uint8Array<ArrayBuffer>;
  /** [rows, cols / 32, 16]: bytes of columns 2 i (low) and 2 i + 1; zero point 8. */
  readonly onnx: Uint8Array<ArrayBuffer>;
  /** [rows, cols / 32] */
  readonly scales: Float32Array<ArrayBuffer>;
  /** Weight [row, column] as f32. */
  at(row: number, col: number): number;
}

/** A generator of u32s (a linear congruential one; its low bits are weak). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
}

/** f32 numbers spread evenly over -1 to 1. */
export function noise(count: number, seed: number): Float32Array<ArrayBuffer> {
  const next = random(seed);
  return Float32Array.from({ length: count }, () => next() / 2 ** 31 - 1);
}

export function fourBit(rows: number, cols: number, seed: number): FourBit {
  const next = random(seed);
  const blocks = (rows * cols) / 32;
  const gguf = new Uint8Array(blocks * 18);
  const onnx = new Uint8Array(blocks * 16);
  const scales = new Float32Array(blocks);
  const view = new DataView(gguf.buffer);
  const nibbles = new Uint8Array(32);
  for (let b = 0; b < blocks; b++) {
    // 2^-7 to 2^-6 in steps that a half holds.
    const mantissa = next() >>> 22;
    scales[b] = 2 ** -7 * (1 + mantissa / 1024);
    view.setUint16(b * 18, (8 << 10) | mantissa, true);
    for (let i = 0; i < 32; i += 4) {
      const bits = next();
      for (let j = 0; j < 4; j++) nibbles[i + j] = (bits >>> (28 - 4 * j)) & 15;
    }
    for (let i = 0; i < 16; i++) {
      gguf[b * 18 + 2 + i] = nibbles[i] | (nibbles[i + 16] << 4);
      onnx[b * 16 + i] = nibbles[2 * i] | (nibbles[2 * i + 1] << 4);
    }
  }
  return {
    rows,
    cols,
    gguf,
    onnx,
    scales,
    at(row, col) {
      const block = (row * cols + col) >> 5;
      const i = col & 31;
      const byte = gguf[block * 18 + 2 + (i & 15)];
      return scales[block] * ((i < 16 ? byte & 15 : byte >> 4) - 8);
    },
  };
}
