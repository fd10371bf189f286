import type { Gpu } from '../gpu/device';
import type { Recorder } from '../gpu/plan';
import type { Definitions } from '../gpu/shader';
import type { Tensor } from '../gpu/tensor';
import { type RowsOperand, type RowsView, viewOf } from './columns';
import type { KvLayer } from './kv-cache';

/** Which keys a row at key index t sees. */
export interface AttentionMask {
  /** Keys 0 to t alone. */
  readonly causal: boolean;
  /** LaVIN's modality slot: key 0 is seen by row 0 only. */
  readonly hideSlot0: boolean;
}

export interface AttentionOptions {
  readonly label: string;
  /** [batch * length, heads * headDim] or columns of a wider tensor. */
  readonly q: RowsOperand;
  /** [batch * keys, kvHeads * headDim] each. q, k and v are three tensors, or all three columns of one. */
  readonly k: RowsOperand;
  readonly v: RowsOperand;
  /** [batch * length, heads * headDim]. */
  readonly y: Tensor;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly batch: number;
  /** Queries per sample. */
  readonly length: number;
  /** Keys per sample; as many as queries by default. */
  readonly keys?: number;
  readonly mask: AttentionMask;
  /** f32 [batch * length, heads]: written with the natural logarithm of each softmax's denominator, for the backward. */
  readonly logsumexp?: Tensor;
}

/** y = softmax(q k^T / sqrt(headDim) + mask) v without a cache: ViT, training, goldens. */
export function attention(rec: Recorder, options: AttentionOptions): void {
  const { label, heads, kvHeads, headDim, batch, length, keys = length } = options;
  const q = viewOf(options.q, heads * headDim, label);
  const k = viewOf(options.k, kvHeads * headDim, label);
  const v = viewOf(options.v, kvHeads * headDim, label);
  const packed = k.tensor === q.tensor && v.tensor === q.tensor;
  if (!packed && (k.tensor === v.tensor || k.tensor === q.tensor || v.tensor === q.tensor)) {
    throw new Error(`${label}: q, k and v are three tensors or columns of one`);
  }
  if (q.tensor.rows !== batch * length || k.tensor.rows !== batch * keys || v.tensor.rows !== batch * keys) {
    throw new Error(
      `${label}: ${q.tensor.rows} queries, ${k.tensor.rows} keys for ${batch} samples of ${length} and ${keys}`,
    );
  }
  if (options.mask.causal && keys !== length) throw new Error(`${label}: a causal mask wants as many keys as queries`);
  recordRows(rec, {
    ...options,
    views: [q, k, v],
    keys,
    definitions: { CACHED: false, KV_F16: false, PACKED: packed },
    reads: packed ? {} : { k: k.tensor, v: v.tensor },
    visible: options.mask.causal ? keys / 2 : keys,
  });
}

export interface CachedAttentionOptions {
  readonly label: string;
  /** Rotated queries [R, heads * headDim] or columns of a wider tensor; rows past step.rows give zeros. */
  readonly q: RowsOperand;
  readonly cache: KvLayer;
  readonly step: Tensor;
  readonly y: Tensor;
  readonly heads: number;
  readonly mask: Pick<AttentionMask, 'hideSlot0'>;
}

/** Prefill: row r attends to the cache's keys 0 to step.start + r, which kvStore has stored. */
export function cachedAttention(rec: Recorder, options: CachedAttentionOptions): void {
  const { label, cache, step, heads, mask } = options;
  const { kvHeads, headDim, capacity, format } = cache;
  const q = viewOf(options.q, heads * headDim, label);
  recordRows(rec, {
    label,
    y: options.y,
    heads,
    kvHeads,
    headDim,
    batch: 1,
    length: q.tensor.rows,
    keys: capacity,
    mask: { causal: true, ...mask },
    views: [q],
    definitions: { CACHED: true, KV_F16: format === 'f16', PACKED: false },
    reads: { cache: cache.cache, step },
    visible: Math.min(capacity, Math.max(q.tensor.rows, capacity / 2)),
  });
}

interface RowsLaunch extends Omit<AttentionOptions, 'q' | 'k' | 'v' | 'keys'> {
  readonly keys: number;
  /** q, and k and v where they are not the cache's. */
  readonly views: readonly RowsView[];
  readonly definitions: Definitions;
  readonly reads: Readonly<Record<string, Tensor>>;
  /** Keys a row sees on average, for the cost. */
  readonly visible: number;
}

/** Multiply-adds after which a launch is cut by rows: about 50 ms of a slow adapter, the replayer's slice. */
const LAUNCH_WORK = 2 ** 27;

function recordRows(rec: Recorder, launch: RowsLaunch): void {
  const { label, y, heads, kvHeads, headDim, batch, length, keys, mask, logsumexp, views, visible } = launch;
  if (heads % kvHeads !== 0) throw new Error(`${label}: ${heads} heads cannot share ${kvHeads} kv heads evenly`);
  if (y.cols !== heads * headDim || y.rows !== batch * length) {
    throw new Error(`${label}: y is ${y.shape.join(' x ')}; ${batch * length} x ${heads * headDim} is wanted`);
  }
  const [q, k = q, v = q] = views;
  const { shader, rowsPerGroup, definitions } = rowsVariant(rec, headDim);
  const workPerRow = 2 * batch * heads * headDim * visible;
  const groupsPerLaunch = Math.max(1, Math.floor(LAUNCH_WORK / (workPerRow * rowsPerGroup)));
  const groups = Math.ceil(length / rowsPerGroup);
  for (let first = 0; first < groups; first += groupsPerLaunch) {
    const count = Math.min(groupsPerLaunch, groups - first);
    rec.dispatch({
      label,
      shader,
      definitions: {
        HEAD_DIM: headDim,
        ...launch.definitions,
        ...definitions,
        VEC4: [headDim, ...views.flatMap((view) => [view.column, view.stride])].every((n) => n % 4 === 0),
        LOGSUMEXP: logsumexp !== undefined,
      },
      reads: { q: q.tensor, ...launch.reads },
      writes: { y, ...(logsumexp ? { logsumexp } : {}) },
      params: {
        first_row: first * rowsPerGroup,
        length,
        heads,
        kv_heads: kvHeads,
        q_stride: q.stride,
        q_column: q.column,
        k_stride: k.stride,
        k_column: k.column,
        v_stride: v.stride,
        v_column: v.column,
        keys,
        causal: mask.causal ? 1 : 0,
        hide_slot0: mask.hideSlot0 ? 1 : 0,
        scale: Math.LOG2E / Math.sqrt(headDim),
      },
      workgroups: [count, heads, batch],
      work: Math.ceil(workPerRow * Math.min(count * rowsPerGroup, length)),
    });
  }
}

/** Whether attention can run as `broadcast`: all subgroups have 4 or 8 lanes, as CPU adapters' do. */
export function canBroadcast(gpu: Gpu): boolean {
  const { subgroupMinSize, subgroupMaxSize } = gpu.features;
  return subgroupMinSize === subgroupMaxSize && (subgroupMinSize === 4 || subgroupMinSize === 8);
}

/** Lanes of this device's subgroups. Throws where {@link canBroadcast} is false: the self-test never chooses it there. */
export function subgroupLanes(gpu: Gpu): number {
  if (!canBroadcast(gpu)) throw new Error('attention by broadcast wants subgroups of 4 or 8 lanes');
  return gpu.features.subgroupMinSize;
}

/** The kernel of the recorder's choice, and how many rows one of its workgroups takes. */
function rowsVariant(
  rec: Recorder,
  headDim: number,
): { shader: string; rowsPerGroup: number; definitions: Definitions } {
  const choice = rec.choices.attention;
  if (choice === 'broadcast') {
    const lanes = subgroupLanes(rec.gpu);
    const definitions = { WG: lanes, KEYS: lanes, LANES: lanes, BROADCAST: true };
    return { shader: 'attention_thread', rowsPerGroup: lanes, definitions };
  }
  if (choice === 'thread') {
    return { shader: 'attention_thread', rowsPerGroup: 8, definitions: { WG: 8, KEYS: 4, BROADCAST: false } };
  }
  const [TX, TY] = [8, 8];
  const quads = Math.ceil(headDim / 4);
  const limit = rec.gpu.limits.maxComputeWorkgroupStorageSize;
  const bytes = (rows: number, keys: number) => (rows + keys) * (quads + 1) * 16 + rows * (keys + TX) * 4 + 16;
  // Most scores per staged quad first.
  for (const [rowsPer, keys] of [
    [4, 32],
    [2, 32],
    [2, 16],
    [2, 8],
    [1, 8],
    [1, 4],
  ]) {
    if (bytes(TY * rowsPer, keys) <= limit) {
      const definitions = { TX, TY, ROWS_PER: rowsPer, KEYS: keys };
      return { shader: 'attention_tile', rowsPerGroup: TY * rowsPer, definitions };
    }
  }
  throw new Error(`heads of ${headDim} channels exceed the workgroup memory of ${limit} bytes`);
}
