import type { Tensor } from '../gpu/tensor';
import type { AttentionMask } from '../kernels/attention';
import type { KvLayer } from '../kernels/kv-cache';
import type { AdapterTensors, Dropout, Mixing, Norm } from '../kernels/norm-adapter';
import type { PointwiseOp } from '../kernels/pointwise';
import type { RopeTable } from '../kernels/rope';
import type { Weight } from '../kernels/weights';

/**
 * The primitive operations models are written in, over rows [batch * length, width]. `in` and `out` name every tensor an
 * op reads and writes, so that passes over the list (fusion here, the tape of the trainer) need not know the ops.
 */
interface OpOf<Kind extends string, In, Attributes, Out = { readonly y: Tensor }> {
  readonly kind: Kind;
  readonly label: string;
  readonly in: In;
  readonly out: Out;
  readonly attributes: Attributes;
}

export interface HeadShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** `weights` where the op routes its rows itself. */
interface AdaptOut {
  readonly y: Tensor;
  readonly weights?: Tensor;
}

/** Token codes to rows; see kernels/embedding.ts for the codes. */
export type EmbedOp = OpOf<
  'embed',
  { slots: Tensor; modality?: Tensor; modalityTable?: Tensor; imageTokens?: Tensor },
  { table: Weight; featuresPerImage: number; rowsPerSample: number }
>;
export type NormOp = OpOf<'norm', { x: Tensor }, { norm: Norm }>;
/** A matrix [N, K]: frozen in its file's format, or plain f32 numbers that training may change. */
export type Matrix = Weight | Tensor;
/** y = x W^T + bias, [R, K] x [N, K] -> [R, N]. */
export type LinearOp = OpOf<'linear', { x: Tensor; bias?: Tensor }, { weight: Matrix }>;
export type PointwiseGraphOp = OpOf<'pointwise', { a: Tensor; b?: Tensor }, { op: PointwiseOp }>;
/** Routing weights of rows i * stride: y [n, 2]. */
export type RouteOp = OpOf<'route', { z: Tensor }, { adapter: AdapterTensors; stride: number }>;
export type AdaptOp = OpOf<
  'adapt',
  { z: Tensor },
  { adapter: AdapterTensors; mixing: Mixing; rowsPerSample: number; dropout: Dropout | undefined },
  AdaptOut
>;
export type RopeOp = OpOf<
  'rope',
  { x: Tensor; positions: Tensor },
  { heads: number; headDim: number; table: RopeTable }
>;
/**
 * Attention among the rows given. `columns` are the first columns of q, k and v in tensors they may share. `logsumexp`
 * [batch * length, heads] where a backward pass follows.
 */
export type AttentionOp = OpOf<
  'attention',
  { q: Tensor; k: Tensor; v: Tensor },
  HeadShape & { batch: number; length: number; mask: AttentionMask; columns: readonly [number, number, number] },
  { readonly y: Tensor; readonly logsumexp?: Tensor }
>;
/** Writes live rows of k and v into the cache, then attends to it: one op, since the order matters. */
export type CachedAttentionOp = OpOf<
  'cachedAttention',
  { q: Tensor; k: Tensor; v: Tensor; step: Tensor },
  HeadShape & { cache: KvLayer; mask: AttentionMask }
>;
export type PatchesOp = OpOf<'patches', { images: Tensor }, { patchSize: number }>;
export type VitTokensOp = OpOf<'vitTokens', { patches: Tensor; classToken: Tensor; position: Tensor }, object>;
/** Rows `first + i * stride` of x into rows `to + i * toStride` of y, which several ops may fill. */
export type RowsOp = OpOf<
  'rows',
  { x: Tensor; step?: Tensor },
  { rows: number; from: number; fromStride: number; to: number; toStride: number }
>;

// The router view's: experts kept apart, measured, and mixed by hand. See kernels/router-study.ts.
export type ExpertNormsOp = OpOf<
  'expertNorms',
  { z: Tensor; weights: Tensor },
  { adapter: AdapterTensors; mixing: Mixing & { kind: 'mixed' }; rowsPerSample: number }
>;
export type ReweighOp = OpOf<'reweigh', { w: Tensor; rules: Tensor }, { rule: number }>;
/** Adds live rows from `first` on to row `to` of y. */
export type SumRowsOp = OpOf<'sumRows', { x: Tensor; step: Tensor }, { first: number; to: number }>;

// What the fusion pass makes of neighbours where no gradient is asked.
export type NormAdaptOp = OpOf<
  'normAdapt',
  { x: Tensor },
  { norm: Norm; adapter: AdapterTensors; mixing: Mixing; rowsPerSample: number; dropout: Dropout | undefined },
  AdaptOut
>;
/** Linear with what follows it folded into its epilogue. */
export type FusedLinearOp = OpOf<
  'fusedLinear',
  { x: Tensor; bias?: Tensor; residual?: Tensor },
  { weight: Matrix; epilogue: 'none' | 'quick_gelu' | 'silu' }
>;
/** y = silu(x G^T) * (x U^T). */
export type GatedLinearOp = OpOf<'gatedLinear', { x: Tensor }, { gate: Weight; up: Weight }>;
/** Several linears of one input, in one launch where their formats agree. */
export interface LinearManyOp {
  readonly kind: 'linearMany';
  readonly label: string;
  readonly in: { readonly x: Tensor };
  readonly out: Readonly<Record<string, Tensor>>;
  readonly attributes: { readonly weights: readonly Weight[] };
}
/** RoPE on the newest q and k, their place in the cache, and attention to it, for a single row. */
export type DecodeAttentionOp = OpOf<
  'decodeAttention',
  { q: Tensor; k: Tensor; v: Tensor; positions: Tensor; step: Tensor },
  HeadShape & { cache: KvLayer; mask: AttentionMask; table: RopeTable }
>;

export type Op =
  | EmbedOp
  | NormOp
  | LinearOp
  | PointwiseGraphOp
  | RouteOp
  | AdaptOp
  | RopeOp
  | AttentionOp
  | CachedAttentionOp
  | PatchesOp
  | VitTokensOp
  | RowsOp
  | ExpertNormsOp
  | ReweighOp
  | SumRowsOp
  | NormAdaptOp
  | FusedLinearOp
  | GatedLinearOp
  | LinearManyOp
  | DecodeAttentionOp;

/** Every tensor an op reads, the given weights of a mixing included. */
export function inputsOf(op: Op): Tensor[] {
  const inputs = Object.values(op.in).filter((t): t is Tensor => t !== undefined);
  if ((op.kind === 'adapt' || op.kind === 'normAdapt') && op.attributes.mixing.kind === 'mixed') {
    inputs.push(op.attributes.mixing.weights);
  }
  return inputs;
}
