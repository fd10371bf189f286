import type { Recorder } from '../gpu/plan';
import type { Tensor } from '../gpu/tensor';
import { normGrad } from '../kernels/adapter-grad';
import { linear } from '../kernels/linear';
import { linearInputGrad } from '../kernels/linear-grad';
import { crossEntropy } from '../kernels/loss';
import { normAdapter } from '../kernels/norm-adapter';
import { copyRows } from '../kernels/pointwise';
import { gatherRows } from '../kernels/pointwise-grad';
import type { Llama } from '../models/llama';

/** Which rows of a batch are scored, and against what; all data, written before each step. */
export interface TargetTensors {
  /** u32 [T]: rows of the hidden state; past its end for unused entries. */
  readonly rows: Tensor;
  /** u32 [B * L]: the entry of each row, past T's end for rows that are not scored. */
  readonly entries: Tensor;
  /** i32 [T]: the id to be predicted at each row, -1 for unused entries. */
  readonly ids: Tensor;
  /** f32 [1 / kept targets, 1 / micro-batches in a window]. */
  readonly weight: Tensor;
  /** f32 [T]: each row's share of the micro-batch's mean loss; written. */
  readonly losses: Tensor;
}

/** Logits that exist at one time: the answer positions pass through the output layer in chunks. */
const LOGITS_BYTES = 16 << 20;

/**
 * Mean cross-entropy of the last hidden state's answer positions: gathers them, normalises, and passes them through the
 * output layer in chunks of logits, each turned into its own gradient at once.
 *
 * @param hidden [B * L, D], the last block's output
 * @returns the gradient of `hidden`, with `grad`
 */
export function recordLoss(
  rec: Recorder,
  { config, weights }: Llama,
  hidden: Tensor,
  targets: TargetTensors,
  grad: boolean,
): Tensor | undefined {
  const { rows, entries, ids, weight, losses } = targets;
  const norm = { kind: 'rms', gain: weights.norm, epsilon: config.normEpsilon } as const;
  const count = rows.size;
  const x = rec.tensor('loss.rows', [count, config.dim]);
  gatherRows(rec, { label: 'loss.rows', x: hidden, rows, y: x });
  const dx = rec.tensor('loss.rows.grad', [count, config.dim]);
  const chunk = Math.max(1, Math.min(count, Math.floor(LOGITS_BYTES / (4 * config.vocabulary))));
  for (let first = 0; first < count; first += chunk) {
    const here = Math.min(chunk, count - first);
    const label = `loss.${first}`;
    // A whole chunk is used as it is; a part is copied out and back.
    const part = here === count ? x : rec.tensor(`${label}.rows`, [here, config.dim]);
    if (part !== x) copyRows(rec, { label: `${label}.rows`, x, y: part, rows: here, from: first });
    const z = rec.tensor(`${label}.norm`, part.shape);
    normAdapter(rec, { label: `${label}.norm`, x: part, y: z, norm });
    const logits = rec.tensor(`${label}.logits`, [here, config.vocabulary]);
    linear(rec, { label: `${label}.output`, x: z, weight: weights.output, y: logits });
    crossEntropy(rec, { label: `${label}.cross_entropy`, logits, targets: ids, losses, weight, first, grad });
    if (!grad) continue;
    const dz = rec.tensor(`${label}.norm.grad`, part.shape);
    linearInputGrad(rec, { label: `${label}.output.grad`, dy: logits, weight: weights.output, dx: dz });
    const dpart = part === x ? dx : rec.tensor(`${label}.rows.grad`, part.shape);
    normGrad(rec, { label: `${label}.norm.grad`, x: part, dz, dx: dpart, norm });
    if (part !== x) copyRows(rec, { label: `${label}.rows.grad`, x: dpart, y: dx, rows: here, to: first });
  }
  if (!grad) return undefined;
  const dhidden = rec.tensor('loss.hidden.grad', hidden.shape);
  gatherRows(rec, { label: 'loss.hidden.grad', x: dx, rows: entries, y: dhidden });
  return dhidden;
}
