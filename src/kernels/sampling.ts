import type { Recorder } from '../gpu/plan';
import type { Tensor } from '../gpu/tensor';

/** Ids that one workgroup of sample_scan.wgsl reduces. */
const CHUNK = 2048;
/** Ids have three bytes in the radix search of sample_choose.wgsl; 65,535 workgroups of 8 must span them. */
const MAX_VOCABULARY = 500_000;
/** Words of a ring entry: token, its log-probability (f32 bits), argmax, its log-probability (f32 bits). */
export const RING_WORDS = 4;

export interface SampleOptions {
  /** f32 [1, V], V at most 500,000: the last live row's. NaN and -inf are never chosen. */
  readonly logits: Tensor;
  /** u32 [STEP_WORDS]: read, then advanced to the next decode step. */
  readonly step: Tensor;
  /** i32 [>= 1]: slot 0 becomes the token. */
  readonly slots: Tensor;
  /** u32 [>= rows]: entry 0 becomes the last live row's position + 1 (+ the step's position offset). */
  readonly positions: Tensor;
  /** u32 [H]: ring of recent ids that the repetition penalty reads; id number k lies at k % H. */
  readonly history: Tensor;
  /** u32 [entries * RING_WORDS]: entry `counter % entries` is written. */
  readonly ring: Tensor;
  /** i32 [F]: token number k of a generation is forced[k] while k < the step's forcedLength. */
  readonly forced: Tensor;
  /** f32 [V]: receives the probabilities that the token was drawn from. Costs a third dispatch. */
  readonly distribution?: Tensor;
}

/**
 * Chooses the next token on the GPU and prepares the next decode step: two dispatches; see sample_choose.wgsl for the
 * rules. What is sampled how is in the step's words (`packSampling` of src/generate/sampling.ts), so one plan serves
 * every setting. If no logit is finite or +inf, token 0 is written with log-probability NaN.
 */
export function sample(rec: Recorder, options: SampleOptions): void {
  const { logits, step, slots, positions, history, ring, forced, distribution } = options;
  const vocabulary = logits.size;
  if (vocabulary < 1 || vocabulary > MAX_VOCABULARY) throw new Error(`cannot sample from ${vocabulary} logits`);
  if (ring.size % RING_WORDS !== 0) throw new Error(`${ring.label}: ${ring.size} words are no whole ring entries`);
  const chunks = Math.ceil(vocabulary / CHUNK);
  const padded = chunks * CHUNK;
  const scratch = rec.tensor('sampler', [3 * padded + 5 * chunks + 4], 'u32');
  // A CPU adapter runs a workgroup's threads in turns and switches at every barrier: no more of them than its vectors hold.
  const [WG, UNROLL] = rec.choices.rowThreads >= 32 ? [256, 4] : [8, 1];
  rec.dispatch({
    label: 'sample.scan',
    shader: 'sample_scan',
    definitions: { CHUNK, WG },
    reads: { logits, step, history },
    writes: { scratch },
    params: { vocabulary, history: history.size },
    workgroups: [chunks],
    work: padded * 16,
  });
  rec.dispatch({
    label: 'sample.choose',
    shader: 'sample_choose',
    definitions: { CHUNK, WG, UNROLL, READOUT: distribution !== undefined },
    reads: { logits, forced },
    writes: { scratch, step, slots, positions, history, ring },
    params: {
      vocabulary,
      chunks,
      history: history.size,
      entries: ring.size / RING_WORDS,
      forced: forced.size,
      positions: positions.size,
    },
    workgroups: [1],
    work: padded * 32,
  });
  if (!distribution) return;
  rec.dispatch({
    label: 'sample.distribution',
    shader: 'sample_distribution',
    definitions: { CHUNK, WG },
    reads: { scratch },
    writes: { distribution },
    params: { vocabulary, chunks },
    workgroups: [Math.ceil(vocabulary / WG)],
    work: vocabulary * 12,
  });
}
