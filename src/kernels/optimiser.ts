import { gridOf, type Recorder } from '../gpu/plan';
import type { Tensor } from '../gpu/tensor';

/** Words of the optimiser's state, of the data written before each step, and of one report; see optimiser_state.wgsl. */
export const OPTIMISER_STATE = {
  words: 8,
  loss: 0,
  beta1Power: 1,
  beta2Power: 2,
  skipped: 4,
  skippedInRow: 5,
  steps: 6,
} as const;
export const STEP_DATA_WORDS = 8;
export const REPORT_WORDS = 8;

/** All f32, flat and of equal length but `decays` (u32 bits, one per word). */
export interface OptimiserTensors {
  readonly values: Tensor;
  readonly grad: Tensor;
  readonly mean: Tensor;
  readonly square: Tensor;
  readonly decays: Tensor;
  readonly state: Tensor;
  /** [learning rate, beta1, beta2, epsilon, weight decay, clip, entry, -]. */
  readonly stepData: Tensor;
  /** f32 [entries, 8]: see optimiser_decide.wgsl. */
  readonly ring: Tensor;
}

const SHARE_WORDS = 1024;

/** One AdamW step over all parameters in three launches: norm and finite check, decision, update. */
export function adamW(rec: Recorder, tensors: OptimiserTensors): void {
  const { values, grad, mean, square, decays, state, stepData, ring } = tensors;
  const words = values.size;
  const shares = Math.ceil(words / SHARE_WORDS);
  const sums = rec.tensor('gradient norm', [shares, 2]);
  rec.dispatch({
    label: 'gradient norm',
    shader: 'grad_norm',
    reads: { grad },
    writes: { sums },
    params: { words, share_words: SHARE_WORDS, shares },
    workgroups: [Math.ceil(shares / 64)],
    work: words * 6,
  });
  rec.dispatch({
    label: 'optimiser decision',
    shader: 'optimiser_decide',
    reads: { sums, step_data: stepData },
    writes: { state, ring },
    params: { shares, entries: ring.rows },
    workgroups: [1],
    work: shares * 16,
  });
  rec.dispatch({
    label: 'adamw',
    shader: 'adamw',
    reads: { state, step_data: stepData, decays },
    writes: { values, grad, mean, square },
    params: { words },
    workgroups: gridOf(Math.ceil(words / 64)),
    work: words * 40,
  });
}
