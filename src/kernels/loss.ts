import { gridOf, type Recorder } from '../gpu/plan';
import type { Tensor } from '../gpu/tensor';

/**
 * Cross-entropy of rows of logits [R, V] against targets (i32 [T], -1 for none) from entry `first` on; the loss of row i goes to
 * `losses[first + i]` (f32 [T]), weighed by `weight[0]`. With `grad` the logits become their gradient. See cross_entropy.wgsl.
 */
export function crossEntropy(
  rec: Recorder,
  options: {
    label: string;
    logits: Tensor;
    targets: Tensor;
    losses: Tensor;
    weight: Tensor;
    first: number;
    grad: boolean;
  },
): void {
  const { label, logits, targets, losses, weight, first, grad } = options;
  rec.dispatch({
    label,
    shader: 'cross_entropy',
    definitions: { GRAD: grad, WG: rec.choices.rowThreads },
    reads: { targets, weight },
    writes: { logits, losses },
    params: { rows: logits.rows, cols: logits.cols, first },
    workgroups: gridOf(logits.rows),
    work: logits.size * 40,
  });
}

/** Adds the micro-batch's losses, times `weight[1]`, to the optimiser state's loss. */
export function lossTotal(
  rec: Recorder,
  { label, losses, state, weight }: { label: string; losses: Tensor; state: Tensor; weight: Tensor },
): void {
  rec.dispatch({
    label,
    shader: 'loss_total',
    reads: { losses, weight },
    writes: { state },
    params: { count: losses.size },
    workgroups: [1],
    work: losses.size * 16,
  });
}
