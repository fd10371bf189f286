import type { Recorder } from '../gpu/plan';
import type { Definitions } from '../gpu/shader';
import type { Tensor } from '../gpu/tensor';
import { type AttentionMask, canBroadcast, subgroupLanes } from './attention';
import { type RowsOperand, viewOf } from './columns';

export interface AttentionGradOptions {
  readonly label: string;
  /** The forward's operands: three tensors [batch * length, ...], or columns of one. */
  readonly q: RowsOperand;
  readonly k: RowsOperand;
  readonly v: RowsOperand;
  /** The forward's result [batch * length, heads * headDim], and its logsumexp [batch * length, heads]. */
  readonly y: Tensor;
  readonly logsumexp: Tensor;
  readonly dy: Tensor;
  /** Shaped as the tensors of q, k and v, and written in the same columns: three, or one. */
  readonly dq: Tensor;
  readonly dk: Tensor;
  readonly dv: Tensor;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly batch: number;
  /** Queries, and keys, per sample. */
  readonly length: number;
  readonly keys?: number;
  readonly mask: AttentionMask;
}

/** Multiply-adds after which a launch is cut by rows or keys, as the forward's. */
const LAUNCH_WORK = 2 ** 27;

/** dq, dk and dv of attention without a cache, in two passes; see attention_grad_io.wgsl. */
export function attentionGrad(rec: Recorder, options: AttentionGradOptions): void {
  const { label, heads, kvHeads, headDim, batch, length, keys = length, mask, y, dy, logsumexp } = options;
  const q = viewOf(options.q, heads * headDim, label);
  const k = viewOf(options.k, kvHeads * headDim, label);
  const v = viewOf(options.v, kvHeads * headDim, label);
  const packed = k.tensor === q.tensor && v.tensor === q.tensor;
  const { dq, dk, dv } = options;
  if (packed !== (dk === dq && dv === dq)) throw new Error(`${label}: gradients are one tensor where the operands are`);
  for (const [grad, view] of [
    [dq, q],
    [dk, k],
    [dv, v],
  ] as const) {
    if (grad.cols !== view.stride || grad.rows !== view.tensor.rows)
      throw new Error(`${label}: ${grad.label} has another shape`);
  }
  const { lanes, block, definitions } = variant(rec);
  const delta = rec.tensor(`${label} delta`, [batch * length, heads]);
  const shared = {
    HEAD_DIM: headDim,
    PACKED: packed,
    VEC4: [headDim, ...[q, k, v].flatMap((view) => [view.column, view.stride])].every((n) => n % 4 === 0),
    WG: lanes,
    ...definitions,
  };
  const params = {
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
    scale: 1 / Math.sqrt(headDim),
    quads: Math.ceil(headDim / 4),
  };
  const operands = { q: q.tensor, ...(packed ? {} : { k: k.tensor, v: v.tensor }), dy, logsumexp };
  const seen = mask.causal ? keys / 2 : keys;
  const pass = (count: number, workPerUnit: number, record: (first: number, groups: number, work: number) => void) => {
    const groups = Math.ceil(count / lanes);
    const perLaunch = Math.max(1, Math.floor(LAUNCH_WORK / (workPerUnit * lanes)));
    for (let first = 0; first < groups; first += perLaunch) {
      const here = Math.min(perLaunch, groups - first);
      record(first * lanes, here, Math.ceil(workPerUnit * here * lanes));
    }
  };
  pass(length, 3 * batch * heads * headDim * seen, (first, groups, work) =>
    rec.dispatch({
      label: `${label} rows`,
      shader: 'attention_grad_rows',
      definitions: { ...shared, KEYS: block },
      reads: { ...operands, y },
      writes: { dq, delta },
      params: { ...params, first },
      workgroups: [groups, heads, batch],
      work,
    }),
  );
  pass(keys, 4 * batch * heads * headDim * (seen * (length / keys)), (first, groups, work) =>
    rec.dispatch({
      label: `${label} keys`,
      shader: 'attention_grad_keys',
      definitions: { ...shared, ROWS: block },
      reads: { ...operands, delta },
      writes: packed ? { dk } : { dk, dv },
      params: { ...params, first },
      workgroups: [groups, kvHeads, batch],
      work,
    }),
  );
}

/** Threads of a workgroup, and keys or rows of a block: as many where each thread loads one and hands it round. */
function variant(rec: Recorder): { lanes: number; block: number; definitions: Definitions } {
  if (rec.choices.attention === 'broadcast' && canBroadcast(rec.gpu)) {
    const lanes = subgroupLanes(rec.gpu);
    return { lanes, block: lanes, definitions: { BROADCAST: true, LANES: lanes } };
  }
  return { lanes: 8, block: 4, definitions: { BROADCAST: false } };
}
