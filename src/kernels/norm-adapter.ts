import { gridOf, type Recorder } from '../gpu/plan';
import type { Tensor } from '../gpu/tensor';

/** `rms`: gain [C]. `layer`: gain and shift [C]. */
export type Norm =
  | { readonly kind: 'rms'; readonly gain: Tensor; readonly epsilon: number }
  | { readonly kind: 'layer'; readonly gain: Tensor; readonly shift: Tensor; readonly epsilon: number };

/** Shape of one MM-adapter: C channels, r hidden units in g groups. */
export interface AdapterShape {
  readonly channels: number;
  readonly hidden: number;
  readonly groups: number;
}

/** Word offsets of an adapter's tensors in its packed buffer; the checkpoint's names. */
export interface AdapterLayout {
  readonly 'conv_A.weight': number;
  readonly 'conv_A.bias': number;
  readonly 'conv_B.weight': number;
  readonly 'conv_B.bias': number;
  readonly 'conv_D.weight': number;
  readonly 'conv_D.bias': number;
  readonly 'expert_weights.weight': number;
  readonly 'expert_weights.bias': number;
  readonly words: number;
}

/**
 * Where norm_adapter.wgsl expects each tensor of a packed adapter. A plain adapter leaves the second expert and the
 * router unused.
 */
export function adapterLayout({ channels: c, hidden: r, groups: g }: AdapterShape): AdapterLayout {
  const up = (c * r) / g;
  let at = 0;
  const take = (words: number) => {
    const here = at;
    at += words;
    return here;
  };
  return {
    'conv_A.weight': take(r * c),
    'conv_A.bias': take(r),
    'conv_B.weight': take(up),
    'conv_B.bias': take(c),
    'conv_D.weight': take(up),
    'conv_D.bias': take(c),
    'expert_weights.weight': take(2 * c),
    'expert_weights.bias': take(2),
    get words() {
      return at;
    },
  };
}

/** Words of an adapter merged for both modalities: [E_0 | e_0 | E_1 | e_1]. */
export function mergedWords({ channels: c, hidden: r, groups: g }: AdapterShape): number {
  return 2 * ((c * r) / g + c);
}

export interface AdapterTensors extends AdapterShape {
  /** Packed as {@link adapterLayout}. */
  readonly packed: Tensor;
  /** Residual scale s. */
  readonly scale: number;
  /** Router temperature t. */
  readonly temperature: number;
}

/** How the adapter mixes its experts; see norm_adapter.wgsl. */
export type Mixing =
  /** One expert, no residual. */
  | { readonly kind: 'plain' }
  /** Each row routes itself; `weights` [R, 2] is written. */
  | { readonly kind: 'routed'; readonly weights: Tensor }
  /**
   * Given weights. Row i of sample b reads weight row `b * sampleStride + i * rowStride`: (1, 0) one pair per sample,
   * (0, 1) one per token shared by the batch.
   */
  | { readonly kind: 'mixed'; readonly weights: Tensor; readonly sampleStride: number; readonly rowStride: number }
  /** Experts merged per modality (see {@link adapterMerge}); `modality` u32 [B]. */
  | { readonly kind: 'merged'; readonly merged: Tensor; readonly modality: Tensor };

/** Dropout on an adapter's hidden units, while training; see dropout.wgsl. */
export interface Dropout {
  /** [seed, step, keep threshold, bits of 1 / (1 - rate)], u32; written before each step. */
  readonly data: Tensor;
  /** Tells this adapter's random numbers from all others'. */
  readonly stream: number;
}

export interface NormAdapter {
  readonly label: string;
  /** [R, C] */
  readonly x: Tensor;
  /** [R, C] */
  readonly y: Tensor;
  readonly norm?: Norm;
  readonly adapter?: AdapterTensors & { readonly mixing: Mixing };
  /** Rows of one sample; default all. */
  readonly rowsPerSample?: number;
  readonly dropout?: Dropout;
}

/** Threads that share one row: as many as workgroup memory holds partial sums for (16 KiB by default limits). */
export function rowWorkgroup(rec: Recorder, exchanged: number): number {
  const fits = Math.floor(16_384 / 4 / (exchanged + 1)) - 1;
  let size = rec.choices.rowThreads;
  while (size > fits && size > 1) size /= 2;
  return size;
}

/** y = adapter(norm(x)) in one dispatch, either part optional (not both absent). */
export function normAdapter(rec: Recorder, options: NormAdapter): void {
  const { label, x, y, norm, adapter, dropout, rowsPerSample = x.rows } = options;
  if (adapter && adapter.channels % adapter.groups !== 0) {
    throw new Error(`${label}: ${adapter.channels} channels do not split into ${adapter.groups} groups`);
  }
  if (adapter && adapter.hidden % adapter.groups !== 0) {
    throw new Error(`${label}: ${adapter.hidden} hidden units do not split into ${adapter.groups} groups`);
  }
  const mixing = adapter?.mixing;
  const reads: Record<string, Tensor> = { x };
  const writes: Record<string, Tensor> = { y };
  if (norm) reads.gain = norm.gain;
  if (norm?.kind === 'layer') reads.shift = norm.shift;
  if (adapter) reads.adapter = adapter.packed;
  if (mixing?.kind === 'mixed') reads.w = mixing.weights;
  if (mixing?.kind === 'routed') writes.w = mixing.weights;
  if (mixing?.kind === 'merged') {
    reads.merged = mixing.merged;
    reads.modality = mixing.modality;
  }
  if (dropout) reads.dropout = dropout.data;
  const hidden = adapter?.hidden ?? 0;
  rec.dispatch({
    label,
    shader: 'norm_adapter',
    definitions: {
      NORM: norm?.kind ?? 'none',
      ADAPTER: mixing?.kind ?? 'none',
      HIDDEN: hidden,
      GROUPS: adapter?.groups ?? 1,
      DROPOUT: dropout !== undefined,
      WG: rowWorkgroup(rec, adapter ? hidden + 2 : 0),
    },
    reads,
    writes,
    params: {
      rows: x.rows,
      cols: x.cols,
      rows_per_sample: rowsPerSample,
      weight_stride_sample: mixing?.kind === 'mixed' ? mixing.sampleStride : 0,
      weight_stride_row: mixing?.kind === 'mixed' ? mixing.rowStride : 0,
      eps: norm?.epsilon ?? 0,
      scale: adapter?.scale ?? 1,
      temperature: adapter?.temperature ?? 1,
      stream: dropout?.stream ?? 0,
    },
    workgroups: gridOf(x.rows),
    work: x.size * (8 + 2 * hidden),
  });
}

/**
 * Routing weights of chosen rows: w [n, 2] = softmax((R z_i + r0) / t), row i of w from row `i * stride` of z [R, C].
 */
export function router(
  rec: Recorder,
  {
    label,
    z,
    adapter,
    weights,
    stride,
  }: { label: string; z: Tensor; adapter: AdapterTensors; weights: Tensor; stride: number },
): void {
  rec.dispatch({
    label,
    shader: 'router',
    definitions: { WG: rec.choices.rowThreads },
    reads: { z, adapter: adapter.packed },
    writes: { w: weights },
    params: {
      rows: weights.rows,
      cols: z.cols,
      stride,
      router: adapterLayout(adapter)['expert_weights.weight'],
      temperature: adapter.temperature,
    },
    workgroups: gridOf(weights.rows),
    work: weights.rows * z.cols * 4,
  });
}

/**
 * Merges an adapter's experts per modality into `merged` ({@link mergedWords} words), from the weight pairs in rows
 * `weightRow` (text) and `weightRow + weightStride` (image) of `weights` [n, 2].
 */
export function adapterMerge(
  rec: Recorder,
  options: {
    label: string;
    adapter: AdapterTensors;
    weights: Tensor;
    weightRow: number;
    weightStride: number;
    merged: Tensor;
  },
): void {
  const { label, adapter, weights, weightRow, weightStride, merged } = options;
  const words = mergedWords(adapter);
  rec.dispatch({
    label,
    shader: 'adapter_merge',
    reads: { adapter: adapter.packed, weights },
    writes: { merged },
    params: {
      cols: adapter.channels,
      hidden: adapter.hidden,
      groups: adapter.groups,
      weight_row: weightRow,
      weight_stride: weightStride,
      scale: adapter.scale,
    },
    workgroups: gridOf(Math.ceil(words / 64)),
    work: words * 4,
  });
}
