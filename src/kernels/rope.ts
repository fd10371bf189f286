import type { Gpu } from '../gpu/device';
import { gridOf, type Recorder } from '../gpu/plan';
import { Tensor } from '../gpu/tensor';
import { type RowsOperand, viewOf } from './columns';

/** Which channels a pair joins: `interleaved` (2i, 2i + 1), Meta and GGUF; `half` (i, i + ropeDim / 2), Hugging Face. */
export type RopeConvention = 'interleaved' | 'half';

export type RopeScaling =
  /** Positions divided by `factor`. */
  | { readonly kind: 'linear'; readonly factor: number }
  /** `rope_scaling` of Llama 3.1's config.json. */
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalContext: number;
    }
  /** GGUF's tensor `rope_freqs.weight` [ropeDim / 2]: frequency i is divided by factor i. */
  | { readonly kind: 'factors'; readonly factors: ArrayLike<number> };

export interface RopeFrequencyOptions {
  readonly headDim: number;
  /** Channels that turn, from the head's first on; all by default. */
  readonly ropeDim?: number;
  readonly base: number;
  readonly scaling?: RopeScaling;
}

/** Angles per position of the ropeDim / 2 channel pairs, base^(-2i / ropeDim) and scaled, in f64. */
export function ropeFrequencies({ headDim, ropeDim = headDim, base, scaling }: RopeFrequencyOptions): Float64Array {
  if (ropeDim % 2 !== 0 || ropeDim > headDim || ropeDim < 2) {
    throw new Error(`RoPE turns ${ropeDim} of ${headDim} channels; an even number of 2 to ${headDim} is possible`);
  }
  if (scaling?.kind === 'factors' && scaling.factors.length !== ropeDim / 2) {
    throw new Error(`rope_freqs.weight holds ${scaling.factors.length} factors; ${ropeDim / 2} are wanted`);
  }
  return Float64Array.from({ length: ropeDim / 2 }, (_, i) => {
    const frequency = base ** ((-2 * i) / ropeDim);
    if (scaling?.kind === 'linear') return frequency / scaling.factor;
    if (scaling?.kind === 'factors') return frequency / scaling.factors[i];
    if (scaling?.kind === 'llama3') return llama3Frequency(frequency, scaling);
    return frequency;
  });
}

/** Slow pairs are slowed by `factor`, fast ones kept, those between blended (Llama 3.1, `apply_scaling`). */
function llama3Frequency(frequency: number, scaling: Extract<RopeScaling, { kind: 'llama3' }>): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext } = scaling;
  const turns = (originalContext * frequency) / (2 * Math.PI);
  if (turns < low) return frequency / factor;
  if (turns > high) return frequency;
  const smooth = (turns - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/** cos and sin of every position's angles: exact to f32 at any position, one row read per token. */
export interface RopeTable {
  /** f32 [positions, ropeDim / 2, 2], persistent, bound `read`. */
  readonly table: Tensor;
  readonly positions: number;
  readonly ropeDim: number;
  readonly convention: RopeConvention;
  destroy(): void;
}

/**
 * Fills the table for positions 0 to `positions` - 1 in f64. Shared by all layers; positions past its end read garbage,
 * so make it as long as the cache (plus one with LaVIN's modality slot, whose positions run ahead of nothing else).
 */
export function createRopeTable(
  gpu: Gpu,
  options: RopeFrequencyOptions & { positions: number; convention: RopeConvention },
): RopeTable {
  const { positions, convention } = options;
  const frequencies = ropeFrequencies(options);
  const pairs = frequencies.length;
  const data = new Float32Array(positions * pairs * 2);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < pairs; i++) {
      const angle = position * frequencies[i];
      data[(position * pairs + i) * 2] = Math.cos(angle);
      data[(position * pairs + i) * 2 + 1] = Math.sin(angle);
    }
  }
  const buffer = gpu.createBuffer('weights', data.byteLength, undefined, 'rope table');
  gpu.device.queue.writeBuffer(buffer, 0, data);
  const table = new Tensor('rope table', [positions, pairs, 2], 'f32', { buffer, offset: 0, size: data.byteLength });
  return { table, positions, ropeDim: pairs * 2, convention, destroy: () => gpu.destroyBuffer(buffer) };
}

export interface RopeOptions {
  readonly label: string;
  /** [R, heads * headDim], or that many columns of a wider tensor (q and k side by side count as heads + kvHeads). */
  readonly x: RowsOperand;
  /** u32; row r stands at positions[r % positions.size]. */
  readonly positions: Tensor;
  readonly table: RopeTable;
  readonly heads: number;
  readonly headDim: number;
  /** Left out: in place, the way to turn q and k inside a packed tensor. */
  readonly y?: RowsOperand;
  /** Turns back: the gradient of the same call. */
  readonly inverse?: boolean;
}

/** Rotates each head by its row's position; see rope.wgsl. */
export function rope(rec: Recorder, options: RopeOptions): void {
  const { label, positions, table, heads, headDim, inverse } = options;
  if (table.ropeDim > headDim || headDim % 2 !== 0) {
    throw new Error(`${label}: a table of ${table.ropeDim} channels for heads of ${headDim}`);
  }
  const x = viewOf(options.x, heads * headDim, label);
  const y = options.y ? viewOf(options.y, heads * headDim, label) : x;
  const inPlace = x.tensor === y.tensor;
  if (inPlace && x.column !== y.column) throw new Error(`${label}: in place, x and y are the same columns`);
  const rows = x.tensor.rows;
  rec.dispatch({
    label,
    shader: 'rope',
    definitions: { HEAD_DIM: headDim, ROPE_DIM: table.ropeDim, CONVENTION: table.convention, IN_PLACE: inPlace },
    reads: { ...(inPlace ? { y: y.tensor } : { x: x.tensor }), positions, table: table.table },
    writes: { y: y.tensor },
    params: {
      rows,
      heads,
      x_stride: x.stride,
      x_column: x.column,
      y_stride: y.stride,
      y_column: y.column,
      period: positions.size,
      direction: inverse ? -1 : 1,
    },
    workgroups: gridOf(Math.ceil((rows * heads * headDim) / 128)),
    work: rows * heads * headDim * 12,
  });
}
