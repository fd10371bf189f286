import type { AdapterSetConfig } from '../../../src/models/adapters';
import { type ClipConfig, clipFeatures, clipTokens } from '../../../src/models/clip';
import type { LlamaConfig } from '../../../src/models/llama';

/** A LaVIN and the batch it is trained on, as far as the work depends on them. */
export interface TrainingShape {
  readonly llama: LlamaConfig;
  readonly clip?: ClipConfig;
  readonly adapters: AdapterSetConfig;
  readonly projectorHidden: number;
  readonly batch: number;
  readonly length: number;
  /** Pictures in the batch. */
  readonly images: number;
  /** Scored positions in the batch. */
  readonly targets: number;
}

export interface TrainingFlops {
  /** Loss alone, and a whole step: forward and backward. */
  readonly forward: number;
  readonly step: number;
}

/**
 * FLOPs (a multiplication and an addition are two) of matrix products, from the configuration alone; norms, activations,
 * routers, the embedding and the optimiser are left out, and so is what a backward by recomputation does twice.
 *
 * - A frozen product of R rows by [N, K] is 2 R N K forward, and as much again backward: its input's gradient, none of
 *   its own. The patch embedding has no backward.
 * - Attention is two products of every query with every key that it sees (half of them under a causal mask) forward,
 *   and seven backward: one pass for dQ forms scores, dP and dQ, one for dK and dV forms scores, dP, dK and dV.
 * - A trained product (adapter, projector) is three times its forward: the gradients of input and weight.
 * - `features`, Quick mode: the vision tower does nothing; projector and LLaMA are as before.
 */
export function trainingFlops(shape: TrainingShape, vision: 'images' | 'features' = 'images'): TrainingFlops {
  const { llama, clip, adapters, projectorHidden, batch, length, images, targets } = shape;
  let forward = 0;
  let step = 0;
  const frozen = (rows: number, numbers: number) => {
    forward += 2 * rows * numbers;
    step += 2 * 2 * rows * numbers;
  };
  const trained = (rows: number, numbers: number) => {
    forward += 2 * rows * numbers;
    step += 3 * 2 * rows * numbers;
  };
  const attention = (pairs: number, width: number) => {
    forward += 2 * 2 * pairs * width;
    step += 9 * 2 * pairs * width;
  };
  const adapter = (rows: number, channels: number, experts: number) => {
    trained(rows, channels * adapters.hidden + (experts * channels * adapters.hidden) / adapters.groups);
  };

  const rows = batch * length;
  const { dim, layers, heads, kvHeads, headDim, ffnDim, vocabulary } = llama;
  const perLayer = 2 * dim * heads * headDim + 2 * dim * kvHeads * headDim + 3 * dim * ffnDim;
  frozen(rows, layers * perLayer);
  attention((layers * batch * length * (length + 1)) / 2, heads * headDim);
  adapter(rows, layers * dim * (adapters.llama === 'block' ? 2 : 1), 2);
  frozen(targets, dim * vocabulary);
  if (!clip || images === 0) return { forward, step };

  trained(images * clipFeatures(clip), projectorHidden * (clip.width + dim));
  if (vision === 'features') return { forward, step };
  const tokens = clipTokens(clip);
  const seen = images * tokens;
  const patches = 2 * images * (tokens - 1) * 3 * clip.patchSize ** 2 * clip.width;
  forward += patches;
  step += patches;
  frozen(seen, clip.layers * 12 * clip.width ** 2);
  attention(clip.layers * seen * tokens, clip.width);
  const sites = adapters.visual === 'router_block' ? 2 : 1;
  adapter(seen, clip.layers * clip.width * sites, adapters.visual === 'normal' ? 1 : 2);
  return { forward, step };
}
