import { gridOf, type Recorder } from '../gpu/plan';
import type { Tensor } from '../gpu/tensor';
import { type AttentionMask, subgroupLanes } from './attention';
import { type RowsOperand, viewOf } from './columns';
import type { KvLayer } from './kv-cache';
import type { RopeTable } from './rope';

export interface DecodeAttentionOptions {
  readonly label: string;
  /** The new token's unrotated [1, heads * headDim]. q, k and v are three tensors, or all three columns of one. */
  readonly q: RowsOperand;
  /** [1, kvHeads * headDim]. */
  readonly k: RowsOperand;
  readonly v: RowsOperand;
  /** u32; the token's RoPE position is its first word. */
  readonly positions: Tensor;
  readonly table: RopeTable;
  readonly cache: KvLayer;
  readonly step: Tensor;
  /** [1, heads * headDim]. */
  readonly y: Tensor;
  readonly heads: number;
  readonly mask: Pick<AttentionMask, 'hideSlot0'>;
  /** Most keys, the new one included, this plan will ever meet; the capacity by default. Fewer means fewer idle workgroups. */
  readonly bucket?: number;
}

/** Keys per split: enough to hide a workgroup's start, few enough to spread a context of 1024 over 8 of them per head. */
const SPLIT = 128;

/**
 * Decode: rotates q and k, stores k and v at key step.start and attends to keys 0 to step.start, in one launch; a second
 * joins the splits unless the bucket fits one. The caller keeps step.start below the bucket.
 */
export function decodeAttention(rec: Recorder, options: DecodeAttentionOptions): void {
  const { label, positions, table, cache, step, y, heads, mask } = options;
  const { kvHeads, headDim, capacity } = cache;
  const bucket = Math.min(capacity, options.bucket ?? capacity);
  if (heads % kvHeads !== 0) throw new Error(`${label}: ${heads} heads cannot share ${kvHeads} kv heads evenly`);
  if (table.ropeDim > headDim)
    throw new Error(`${label}: a RoPE table of ${table.ropeDim} channels, heads of ${headDim}`);
  const q = viewOf(options.q, heads * headDim, label);
  const k = viewOf(options.k, kvHeads * headDim, label);
  const v = viewOf(options.v, kvHeads * headDim, label);
  const packed = k.tensor === q.tensor && v.tensor === q.tensor;
  if (!packed && (k.tensor === v.tensor || k.tensor === q.tensor || v.tensor === q.tensor)) {
    throw new Error(`${label}: q, k and v are three tensors or columns of one`);
  }
  const choice = rec.choices.attention;
  const quads = Math.ceil(headDim / 4);
  const headsPerGroup = sharedHeads(heads / kvHeads, quads);
  const split = Math.min(SPLIT, Math.ceil(bucket / 8) * 8);
  const splits = Math.ceil(bucket / split);
  const broadcast = choice === 'broadcast';
  const threads = broadcast ? subgroupLanes(rec.gpu) : choice === 'thread' ? 8 : 64;
  const subgroups = choice === 'subgroup' && rec.gpu.features.subgroupMinSize > 0;
  // Declared u32 so that the NaN finder passes over it: splits past the live length keep what the arena held before.
  const partials = rec.tensor(`${label} partials`, [heads, splits, (quads + 1) * 4], 'u32');
  const direct = splits === 1;
  rec.dispatch({
    label,
    shader: 'attention_decode',
    definitions: {
      HEAD_DIM: headDim,
      ROPE_DIM: table.ropeDim,
      CONVENTION: table.convention,
      KV_F16: cache.format === 'f16',
      PACKED: packed,
      WG: threads,
      HEADS: headsPerGroup,
      SPLIT: split,
      PARTS: broadcast ? 1 : Math.max(1, Math.floor(threads / quads)),
      DIRECT: direct,
      SUBGROUPS: subgroups,
      BROADCAST: broadcast,
      ...(broadcast ? { LANES: threads } : {}),
    },
    reads: { q: q.tensor, ...(packed ? {} : { k: k.tensor, v: v.tensor }), positions, table: table.table, step },
    writes: { cache: cache.cache, ...(direct ? { y } : { partials }) },
    params: {
      heads,
      kv_heads: kvHeads,
      capacity,
      quads,
      q_column: q.column,
      k_column: k.column,
      v_column: v.column,
      hide_slot0: mask.hideSlot0 ? 1 : 0,
      scale: Math.LOG2E / Math.sqrt(headDim),
    },
    workgroups: [heads / headsPerGroup, splits],
    work: bucket * headDim * (heads + 4 * kvHeads),
  });
  if (direct) return;
  rec.dispatch({
    label: `${label} reduce`,
    shader: 'attention_reduce',
    definitions: { HEAD_DIM: headDim, SPLIT: split },
    reads: { partials, step },
    writes: { y },
    params: { heads, splits },
    workgroups: gridOf(Math.ceil((heads * quads) / 64)),
    work: splits * heads * headDim * 5,
  });
}

/** Query heads of one kv head that one workgroup takes: the most, up to 8, that divide the group and fit 4 KiB. */
function sharedHeads(group: number, quads: number): number {
  for (let count = Math.min(8, Math.floor(256 / quads)); count > 1; count--) if (group % count === 0) return count;
  return 1;
}
