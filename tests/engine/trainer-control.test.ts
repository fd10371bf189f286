/** Controls of the trainer as a whole: what it must learn, what it must not, and that it neither slows down nor grows. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { softwareChoices } from '../../src/engine/kernel-choices';
import type { Gpu } from '../../src/gpu/device';
import { type Lavin, MODALITY_SLOT } from '../../src/models/lavin';
import type { Sequence } from '../../src/train/batch';
import { LAVIN_RECIPE, type Recipe } from '../../src/train/recipe';
import { Trainer, type TrainingData } from '../../src/train/trainer';
import { loadGolden } from '../goldens/golden';
import { goldenLavin } from '../goldens/model-case';
import { closeTestGpus, openTestGpu } from '../gpu';
import { RUN_TIMEOUT } from './support';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu();
});
afterAll(closeTestGpus);

const golden = loadGolden('model_router_per_sample');
const { vocab_size: VOCABULARY } = golden.meta.config.llama;

const BATCH = 8;
const RECIPE: Recipe = {
  ...LAVIN_RECIPE,
  microBatch: BATCH,
  accumulation: 1,
  baseRate: (1e-2 * 256) / BATCH,
  warmupEpochs: 0,
  dropout: 0,
  weightDecay: 0,
  seed: 11,
};

/** Reproducible numbers below `n`. */
function dice(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

const KEYS = 4;
const KEY = (k: number) => 3 + k;
const ANSWER = (k: number) => 3 + KEYS + k;

/** Fillers, then a key; its answer is its own, or in `shuffled` data any. */
function riddles(count: number, seed: number, shuffled: boolean): Sequence[] {
  const roll = dice(seed);
  return Array.from({ length: count }, (_, i) => {
    const key = i % KEYS;
    const fillers = Array.from({ length: 6 }, () => 3 + 2 * KEYS + roll(VOCABULARY - 3 - 2 * KEYS));
    const head = [MODALITY_SLOT, 1, ...fillers, KEY(key)];
    const answer = [ANSWER(shuffled ? roll(KEYS) : key), 2];
    return { slots: [...head, ...answer], labels: [...head.map(() => 0), ...answer], modality: 0 as const };
  });
}

const dataOf = (sequences: readonly Sequence[]): TrainingData => ({
  sequences,
  picture: () => Promise.reject(new Error('nobody sees here')),
});

async function trained(train: readonly Sequence[], recipe: Recipe): Promise<{ before: number; after: number }> {
  const lavin: Lavin = await goldenLavin(gpu, golden);
  const validation = dataOf(riddles(64, 99, false));
  const trainer = await Trainer.create(gpu, lavin, dataOf(train), {
    recipe,
    validation,
    choices: softwareChoices(gpu),
  });
  const { loss: before } = await trainer.validate();
  await trainer.run(() => {});
  const { loss: after } = await trainer.validate();
  trainer.destroy();
  return { before, after };
}

it(
  'right answers carry over to questions that were held out; shuffled ones teach nothing but how often each is given',
  async () => {
    // The end of the answer is certain, its word is one of four: a model that knows only that.
    const guessing = Math.log(KEYS) / 2;
    const recipe = { ...RECIPE, epochs: 12 };
    const right = await trained(riddles(128, 1, false), recipe);
    const shuffled = await trained(riddles(128, 1, true), recipe);
    expect(right.before).toBeGreaterThan(2 * guessing);
    expect(right.after).toBeLessThan(guessing / 2);
    expect(shuffled.after).toBeGreaterThan(guessing * 0.98);
  },
  RUN_TIMEOUT,
);

it(
  '300 steps: none slower than the fiftieth, nothing grows on the GPU or in the heap',
  async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const lavin = await goldenLavin(gpu, golden);
    const recipe = { ...RECIPE, epochs: 300 / (64 / BATCH) };
    const trainer = await Trainer.create(gpu, lavin, dataOf(riddles(64, 1, false)), {
      recipe,
      choices: softwareChoices(gpu),
    });
    expect(trainer.steps).toBe(300);
    // A GPU in software works on this process's threads: their time is told apart from what else the machine does.
    const threadTime = () => Object.values(process.cpuUsage()).reduce((sum, micros) => sum + micros / 1000, 0);
    const clock = gpu.features.fallback ? threadTime : () => performance.now();
    const at: number[] = [];
    const bytes: number[] = [];
    const heap = async (until: number) => {
      await trainer.run(
        (event) => {
          if (event.type !== 'step') return;
          at.push(clock());
          bytes.push(event.gpuBytes);
        },
        { until },
      );
      collect();
      return process.memoryUsage().heapUsed;
    };
    const early = await heap(75);
    const late = await heap(300);
    trainer.destroy();
    const fastest = (from: number, to: number) =>
      Math.min(...at.slice(from, to).map((time, i) => time - at[from + i - 1]));
    expect(bytes[299]).toBe(bytes[50]);
    expect(late - early).toBeLessThan(1e6);
    // Within 5% on a quiet machine; a busy one costs caches. The last report of a run follows at once.
    expect(fastest(250, 298) / fastest(26, 74)).toBeLessThan(1.25);
  },
  RUN_TIMEOUT,
);
