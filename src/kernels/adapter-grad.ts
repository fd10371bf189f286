import { gridOf, type Recorder } from '../gpu/plan';
import type { Tensor } from '../gpu/tensor';
import { type AdapterTensors, adapterLayout, type Dropout, type Norm, rowWorkgroup } from './norm-adapter';

/** dx (+)= gradient of `y = norm(x)` with respect to x; all [R, C]. See norm_grad.wgsl. */
export function normGrad(
  rec: Recorder,
  options: { label: string; x: Tensor; dz: Tensor; dx: Tensor; norm: Norm; accumulate?: boolean },
): void {
  const { label, x, dz, dx, norm, accumulate = false } = options;
  rec.dispatch({
    label,
    shader: 'norm_grad',
    definitions: { NORM: norm.kind, ACCUMULATE: accumulate, WG: rec.choices.rowThreads },
    reads: { x, dz, gain: norm.gain },
    writes: { dx },
    params: { rows: x.rows, cols: x.cols, eps: norm.epsilon },
    workgroups: gridOf(x.rows),
    work: x.size * 20,
  });
}

/** Which routing weights each row used: row i of sample b read row `b * sampleStride + i * rowStride` of `weights`. */
export interface MixedBy {
  readonly weights: Tensor;
  readonly sampleStride: number;
  readonly rowStride: number;
}

export interface AdapterGradOptions {
  readonly label: string;
  /** The adapter's input and its output's gradient, [R, C]. */
  readonly z: Tensor;
  readonly dy: Tensor;
  readonly dz: Tensor;
  readonly accumulate?: boolean;
  readonly adapter: AdapterTensors;
  /** Gradient of the packed adapter, laid out alike; added to. */
  readonly grad: Tensor;
  /** Absent for a plain adapter. */
  readonly mixing?: MixedBy;
  /** [R, 2], with `mixing`: each row's gradient of the pair it used. */
  readonly dw?: Tensor;
  readonly rowsPerSample: number;
  readonly dropout?: Dropout;
}

/** Rows that one thread of adapter_grad_params.wgsl adds up. */
const SHARE_ROWS = 64;

/** Backward of one MM-adapter: its input's gradient, its parameters' and its routing weights'. Router apart. */
export function adapterGrad(rec: Recorder, options: AdapterGradOptions): void {
  const { label, z, dy, dz, adapter, grad, mixing, dw, rowsPerSample, dropout, accumulate = false } = options;
  const { hidden: r, groups, channels } = adapter;
  if (channels < r) throw new Error(`${label}: a bottleneck of ${r} is wider than the adapter's ${channels} channels`);
  if (!mixing !== !dw) throw new Error(`${label}: routing weights and their gradient come together`);
  const kind = mixing ? 'mixed' : 'plain';
  const shape = {
    rows: z.rows,
    cols: channels,
    rows_per_sample: rowsPerSample,
    weight_stride_sample: mixing?.sampleStride ?? 0,
    weight_stride_row: mixing?.rowStride ?? 0,
    scale: adapter.scale,
  };
  const hidden = rec.tensor(`${label} hidden`, [z.rows, 2 * r]);
  rec.dispatch({
    label: `${label} rows`,
    shader: 'adapter_grad_rows',
    definitions: {
      HIDDEN: r,
      GROUPS: groups,
      KIND: kind,
      DROPOUT: dropout !== undefined,
      ACCUMULATE: accumulate,
      WG: rowWorkgroup(rec, r + 4),
    },
    reads: {
      z,
      dy,
      adapter: adapter.packed,
      ...(mixing && { w: mixing.weights }),
      ...(dropout && { dropout: dropout.data }),
    },
    writes: { dz, hidden, ...(dw && { dw }) },
    params: { ...shape, stream: dropout?.stream ?? 0 },
    workgroups: gridOf(z.rows),
    work: z.size * (8 + 6 * r),
  });
  const layout = adapterLayout(adapter);
  const words = mixing ? layout['expert_weights.weight'] : layout['conv_D.weight'];
  const shares = Math.ceil(z.rows / SHARE_ROWS);
  const sums = rec.tensor(`${label} sums`, [shares, words]);
  rec.dispatch({
    label: `${label} params`,
    shader: 'adapter_grad_params',
    definitions: { HIDDEN: r, GROUPS: groups, KIND: kind },
    reads: { z, dy, hidden, ...(mixing && { w: mixing.weights }) },
    writes: { sums },
    params: { ...shape, share_rows: SHARE_ROWS, words },
    workgroups: [Math.ceil(channels / 32), shares],
    work: z.size * (4 + 2 * r),
  });
  rec.dispatch({
    label: `${label} join`,
    shader: 'sum_shares',
    reads: { sums },
    writes: { grad },
    params: { words, shares },
    workgroups: gridOf(Math.ceil(words / 64)),
    work: words * (shares + 2) * 4,
  });
}

export interface RouterGradOptions {
  readonly label: string;
  /** What the router read: pair i from row i * stride. */
  readonly z: Tensor;
  /** Added to: written before by the adapter's own backward. Absent if nothing trainable lies behind z. */
  readonly dz?: Tensor;
  readonly stride: number;
  /** The pairs [n, 2] and the gradients [R, 2] of the rows that used them. */
  readonly weights: Tensor;
  readonly dw: Tensor;
  /** Row `pair * userPair + u * userStep` of dw, u < users, used pair `pair`. */
  readonly users: number;
  readonly userPair: number;
  readonly userStep: number;
  readonly adapter: AdapterTensors;
  readonly grad: Tensor;
}

/** Backward of a router: see router_grad.wgsl. */
export function routerGrad(rec: Recorder, options: RouterGradOptions): void {
  const { label, z, dz, stride, weights, dw, users, userPair, userStep, adapter, grad } = options;
  const pairs = weights.rows;
  const logits = rec.tensor(`${label} logits`, [pairs, 2]);
  const params = {
    pairs,
    cols: z.cols,
    stride,
    users,
    user_pair: userPair,
    user_step: userStep,
    router: adapterLayout(adapter)['expert_weights.weight'],
    temperature: adapter.temperature,
  };
  const part = (
    name: 'logits' | 'rows' | 'params',
    threads: number,
    reads: Record<string, Tensor>,
    writes: Record<string, Tensor>,
    work: number,
  ) =>
    rec.dispatch({
      label: `${label} ${name}`,
      shader: 'router_grad',
      definitions: { PART: name },
      reads,
      writes,
      params,
      workgroups: gridOf(Math.ceil(threads / 64)),
      work,
    });
  part('logits', pairs, { w: weights, dw }, { logits }, pairs * users * 8);
  if (dz) part('rows', pairs * z.cols, { logits, adapter: adapter.packed }, { dz }, pairs * z.cols * 12);
  part('params', z.cols, { logits, z }, { grad }, pairs * z.cols * 8);
}
