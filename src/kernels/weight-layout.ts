/**
 * From GGUF's blocks to the planes that `shaders/dequant_<format>.wgsl` reads: same numbers, same bits per weight (K-quants
 * with two scales: 2 to 3% more), but every plane aligned, so that a row's quants are consecutive 16-byte words.
 */

export type WeightFormat =
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'Q8_0'
  | 'Q4_0'
  | 'Q4_1'
  | 'Q5_0'
  | 'Q5_1'
  | 'Q4_K'
  | 'Q5_K'
  | 'Q6_K';

/** How a format's integers become weights: not scaled, w = d q, w = d q + m, or w = d q with a d per half block. */
export type Scaling = 'none' | 'symmetric' | 'asymmetric' | 'halves';

export interface FormatLayout {
  readonly scaling: Scaling;
  /** Columns and bytes of one source unit: a GGUF block, or one number. */
  readonly sourceCols: number;
  readonly sourceBytes: number;
  /** Columns of one packed unit, and its bytes in each plane. */
  readonly unitCols: number;
  readonly planes: readonly number[];
  /**
   * Moves `units` units from `source` to the planes' staging arrays, unit 0 of the source to unit 0 of the planes.
   * Absent for plain numbers, which are copied row by row.
   */
  readonly repack?: (source: DataView, units: number, planes: readonly DataView[]) => void;
}

/** Bit i of a byte of Q5's high bits to bit 8 (i & 3) + (i >> 2): the order of dequant_Q5_0.wgsl, for the first byte. */
const SPREAD = Uint32Array.from({ length: 256 }, (_, byte) => {
  let word = 0;
  for (let i = 0; i < 8; i++) if ((byte >> i) & 1) word |= 1 << (8 * (i & 3) + (i >> 2));
  return word >>> 0;
});

function spreadHighBits(bits: number): number {
  return (
    SPREAD[bits & 255] |
    (SPREAD[(bits >>> 8) & 255] << 2) |
    (SPREAD[(bits >>> 16) & 255] << 4) |
    (SPREAD[bits >>> 24] << 6)
  );
}

/** Copies four words of quants, flipping the bits of `flip`. */
function copyQuants(source: DataView, at: number, quants: DataView, to: number, flip: number): void {
  for (let i = 0; i < 16; i += 4) quants.setUint32(to + i, source.getUint32(at + i, true) ^ flip, true);
}

const LOW = 0x0f0f0f0f;
/** Top bits of all nibbles, and of all pairs of bits. */
const FLIP_NIBBLES = 0x88888888;
const FLIP_PAIRS = 0xaaaaaaaa;

/** A half of 64 K-quant nibbles, `words` [8] holding 32 in its bytes from `shift` on, as one block of 32. */
function joinNibbles(source: DataView, at: number, shift: number, quants: DataView, to: number): void {
  for (let j = 0; j < 4; j++) {
    const low = (source.getUint32(at + 4 * j, true) >>> shift) & LOW;
    const high = (source.getUint32(at + 16 + 4 * j, true) >>> shift) & LOW;
    quants.setUint32(to + 4 * j, low | (high << 4), true);
  }
}

/** sc and mn of group g of a Q4_K or Q5_K block, from the 12 packed bytes at `at`, as two bytes. */
function scaleAndMin(source: DataView, at: number, g: number): number {
  if (g < 4) return (source.getUint8(at + g) & 63) | ((source.getUint8(at + 4 + g) & 63) << 8);
  const low = source.getUint8(at + 4 + g);
  const scale = (low & 15) | ((source.getUint8(at + g - 4) >> 6) << 4);
  const min = (low >> 4) | ((source.getUint8(at + g) >> 6) << 4);
  return scale | (min << 8);
}

const number = (bytes: number): FormatLayout => ({
  scaling: 'none',
  sourceCols: 1,
  sourceBytes: bytes,
  unitCols: 32,
  planes: [32 * bytes],
});

export const LAYOUTS: Readonly<Record<WeightFormat, FormatLayout>> = {
  F32: number(4),
  F16: number(2),
  BF16: number(2),
  Q8_0: {
    scaling: 'symmetric',
    sourceCols: 32,
    sourceBytes: 34,
    unitCols: 32,
    planes: [32, 2],
    repack(source, units, [quants, scales]) {
      for (let i = 0; i < units; i++) {
        scales.setUint16(2 * i, source.getUint16(34 * i, true), true);
        copyQuants(source, 34 * i + 2, quants, 32 * i, 0);
        copyQuants(source, 34 * i + 18, quants, 32 * i + 16, 0);
      }
    },
  },
  Q4_0: {
    scaling: 'symmetric',
    sourceCols: 32,
    sourceBytes: 18,
    unitCols: 32,
    planes: [16, 2],
    repack(source, units, [quants, scales]) {
      for (let i = 0; i < units; i++) {
        scales.setUint16(2 * i, source.getUint16(18 * i, true), true);
        copyQuants(source, 18 * i + 2, quants, 16 * i, FLIP_NIBBLES);
      }
    },
  },
  Q4_1: {
    scaling: 'asymmetric',
    sourceCols: 32,
    sourceBytes: 20,
    unitCols: 32,
    planes: [16, 4],
    repack(source, units, [quants, scales]) {
      for (let i = 0; i < units; i++) {
        scales.setUint32(4 * i, source.getUint32(20 * i, true), true);
        copyQuants(source, 20 * i + 4, quants, 16 * i, 0);
      }
    },
  },
  Q5_0: {
    scaling: 'symmetric',
    sourceCols: 32,
    sourceBytes: 22,
    unitCols: 32,
    planes: [16, 4, 2],
    repack(source, units, [quants, high, scales]) {
      for (let i = 0; i < units; i++) {
        scales.setUint16(2 * i, source.getUint16(22 * i, true), true);
        high.setUint32(4 * i, ~spreadHighBits(source.getUint32(22 * i + 2, true)), true);
        copyQuants(source, 22 * i + 6, quants, 16 * i, 0);
      }
    },
  },
  Q5_1: {
    scaling: 'asymmetric',
    sourceCols: 32,
    sourceBytes: 24,
    unitCols: 32,
    planes: [16, 4, 4],
    repack(source, units, [quants, high, scales]) {
      for (let i = 0; i < units; i++) {
        scales.setUint32(4 * i, source.getUint32(24 * i, true), true);
        high.setUint32(4 * i, spreadHighBits(source.getUint32(24 * i + 4, true)), true);
        copyQuants(source, 24 * i + 8, quants, 16 * i, 0);
      }
    },
  },
  Q4_K: {
    scaling: 'asymmetric',
    sourceCols: 256,
    sourceBytes: 144,
    unitCols: 256,
    planes: [128, 16, 4],
    repack(source, units, [quants, scales, d]) {
      for (let i = 0; i < units; i++) {
        const at = 144 * i;
        d.setUint32(4 * i, source.getUint32(at, true), true);
        for (let g = 0; g < 8; g++) {
          scales.setUint16(16 * i + 2 * g, scaleAndMin(source, at + 4, g), true);
          joinNibbles(source, at + 16 + 32 * (g >> 1), 4 * (g & 1), quants, 128 * i + 16 * g);
        }
      }
    },
  },
  Q5_K: {
    scaling: 'asymmetric',
    sourceCols: 256,
    sourceBytes: 176,
    unitCols: 256,
    planes: [128, 32, 16, 4],
    repack(source, units, [quants, high, scales, d]) {
      for (let i = 0; i < units; i++) {
        const at = 176 * i;
        d.setUint32(4 * i, source.getUint32(at, true), true);
        for (let g = 0; g < 8; g++) {
          scales.setUint16(16 * i + 2 * g, scaleAndMin(source, at + 4, g), true);
          joinNibbles(source, at + 48 + 32 * (g >> 1), 4 * (g & 1), quants, 128 * i + 16 * g);
          let bits = 0;
          for (let k = 0; k < 8; k++) bits |= ((source.getUint32(at + 16 + 4 * k, true) >>> g) & 0x01010101) << k;
          high.setUint32(32 * i + 4 * g, bits, true);
        }
      }
    },
  },
  Q6_K: {
    scaling: 'halves',
    sourceCols: 256,
    sourceBytes: 210,
    unitCols: 256,
    planes: [128, 64, 16, 2],
    repack(source, units, [quants, high, scales, d]) {
      for (let i = 0; i < units; i++) {
        const at = 210 * i;
        d.setUint16(2 * i, source.getUint16(at + 208, true), true);
        for (let g = 0; g < 8; g++) {
          const half = g >> 2;
          const t = g & 3;
          scales.setUint16(16 * i + 2 * g, source.getUint16(at + 192 + 2 * g, true), true);
          joinNibbles(source, at + 64 * half + 32 * (t & 1), 4 * (t >> 1), quants, 128 * i + 16 * g);
          const words = [0, 0];
          for (let k = 0; k < 8; k++) {
            const two = (source.getUint32(at + 128 + 32 * half + 4 * k, true) >>> (2 * t)) & 0x03030303;
            const j = k & 3;
            words[j >> 1] |= two << (4 * (j & 1) + 2 * (k >> 2));
          }
          high.setUint32(64 * i + 8 * g, words[0] ^ FLIP_PAIRS, true);
          high.setUint32(64 * i + 8 * g + 4, words[1] ^ FLIP_PAIRS, true);
        }
      }
    },
  },
};

/** Columns of a row as stored: plain numbers are padded with zeros to whole blocks of 32. */
export function storedCols(format: WeightFormat, cols: number): number {
  const { unitCols } = LAYOUTS[format];
  return Math.ceil(cols / unitCols) * unitCols;
}

/** Byte offset of each plane of `rows` rows, and their end. Planes start at multiples of 16. */
export function planeOffsets(format: WeightFormat, rows: number, cols: number): number[] {
  const { planes, unitCols } = LAYOUTS[format];
  const units = rows * (storedCols(format, cols) / unitCols);
  const offsets = [0];
  for (const bytes of planes) offsets.push(offsets[offsets.length - 1] + Math.ceil((units * bytes) / 16) * 16);
  return offsets;
}

/** GPU bytes of a weight in one part. */
export function weightBytes(format: WeightFormat, rows: number, cols: number): number {
  return planeOffsets(format, rows, cols).at(-1) as number;
}
