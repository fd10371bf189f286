import type { Gpu } from '../gpu/device';
import { Tensor } from '../gpu/tensor';

/** Word indices of the step buffer; shaders/step.wgsl holds the same names. */
export const STEP = {
  rows: 0,
  start: 1,
  seed: 2,
  /** Tokens sampled so far in this generation: ring entry, random stream and forced token of the next one. */
  counter: 3,
  /** Words 8 to 13 are packed by src/generate/sampling.ts. */
  temperature: 8,
  topK: 9,
  topP: 10,
  minP: 11,
  repetitionPenalty: 12,
  repetitionWindow: 13,
  /** Ids ever appended to the history ring; set after writing the prompt's ids into it. */
  historyLength: 14,
  /** Leading tokens of this generation that are given instead of chosen. */
  forcedLength: 15,
  /** i32, added once to the next row's position and then cleared. */
  positionOffset: 16,
} as const;
export const STEP_WORDS = 32;

/** The u32 words; `temperature`, `topP`, `minP` and `repetitionPenalty` are f32 and not for {@link writeStep}. */
export type StepField = Exclude<keyof typeof STEP, 'temperature' | 'topP' | 'minP' | 'repetitionPenalty'>;

/** The u32 [32] buffer of what changes between replays: live rows, cache start, seed, counter, the sampler's words. */
export function createStep(gpu: Gpu, label = 'step'): Tensor {
  const bytes = STEP_WORDS * 4;
  const buffer = gpu.createBuffer('state', bytes, undefined, label);
  return new Tensor(label, [STEP_WORDS], 'u32', { buffer, offset: 0, size: bytes });
}

/** Queues a write of the named words; the others keep their values. */
export function writeStep(gpu: Gpu, step: Tensor, values: Partial<Record<StepField, number>>): void {
  if (!step.range) throw new Error(`${step.label}: a step buffer must be persistent`);
  for (const [name, value] of Object.entries(values)) {
    const word = STEP[name as StepField];
    gpu.device.queue.writeBuffer(step.range.buffer, step.range.offset + word * 4, new Uint32Array([value]));
  }
}
