import { gridOf, type Recorder } from '../gpu/plan';
import type { Tensor } from '../gpu/tensor';
import { type AdapterTensors, type Mixing, rowWorkgroup } from './norm-adapter';

/** What {@link expertNorms} writes per row: |s w0 (B a + b0)|, |s w1 (D a + d0)|, the norm of their sum, and |z|. */
export const NORM_WORDS = 4;
/** Numbers of one rule of {@link reweigh}: the matrix row by row, then what is added. */
export const RULE_WORDS = 6;

/** Norms [R, 4] of what each expert adds to rows z [R, C]; see expert_norms.wgsl. */
export function expertNorms(
  rec: Recorder,
  options: {
    label: string;
    z: Tensor;
    adapter: AdapterTensors;
    mixing: Mixing & { kind: 'mixed' };
    rowsPerSample: number;
    y: Tensor;
  },
): void {
  const { label, z, adapter, mixing, rowsPerSample, y } = options;
  rec.dispatch({
    label,
    shader: 'expert_norms',
    definitions: {
      HIDDEN: adapter.hidden,
      GROUPS: adapter.groups,
      // The four squares are exchanged beside the hidden units.
      WG: rowWorkgroup(rec, adapter.hidden + NORM_WORDS),
    },
    reads: { z, adapter: adapter.packed, w: mixing.weights },
    writes: { y },
    params: {
      rows: z.rows,
      cols: z.cols,
      rows_per_sample: rowsPerSample,
      weight_stride_sample: mixing.sampleStride,
      weight_stride_row: mixing.rowStride,
      scale: adapter.scale,
    },
    workgroups: gridOf(z.rows),
    work: z.size * (8 + 3 * adapter.hidden),
  });
}

/** Weight pairs y [n, 2] = rule(w [n, 2]), by row `rule` of `rules` [k, 6]; see reweigh.wgsl. */
export function reweigh(
  rec: Recorder,
  { label, w, rules, rule, y }: { label: string; w: Tensor; rules: Tensor; rule: number; y: Tensor },
): void {
  rec.dispatch({
    label,
    shader: 'reweigh',
    reads: { w, rules },
    writes: { y },
    params: { rows: w.rows, rule },
    workgroups: gridOf(Math.ceil(w.rows / 64)),
    work: w.rows * 16,
  });
}

/** Adds the live rows of x [R, C] from row `first` on to row `to` of y, which keeps what earlier passes added. */
export function sumRows(
  rec: Recorder,
  options: { label: string; x: Tensor; step: Tensor; first: number; y: Tensor; to: number },
): void {
  const { label, x, step, first, y, to } = options;
  rec.dispatch({
    label,
    shader: 'sum_rows',
    reads: { x, step },
    writes: { y },
    params: { rows: x.rows, cols: x.cols, first, destination: to },
    workgroups: gridOf(Math.ceil(x.cols / 64)),
    work: x.size * 4,
  });
}
