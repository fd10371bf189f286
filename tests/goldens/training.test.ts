/** 25 optimiser steps of the reference, micro-batch by micro-batch: losses, norms, rates, and the parameters they lead to. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { softwareChoices } from '../../src/engine/kernel-choices';
import { Arena } from '../../src/gpu/arena';
import { DEFAULT_CHOICES, type KernelChoices } from '../../src/gpu/choices';
import type { Gpu } from '../../src/gpu/device';
import { Recorder } from '../../src/gpu/plan';
import { Replayer } from '../../src/gpu/replay';
import { microBatch } from '../../src/train/batch';
import { allocateGradients, trainableTensors } from '../../src/train/gradient-set';
import { recordMicroBatch, StepInputs } from '../../src/train/micro-batch';
import { Optimiser, type StepReport } from '../../src/train/optimiser';
import { LAVIN_RECIPE, learningRate, type Recipe } from '../../src/train/recipe';
import { closeTestGpus, openTestGpu } from '../gpu';
import { type Golden, loadGolden } from './golden';
import { goldenLavin } from './model-case';
import { sequencesOf } from './training-support';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu();
});
afterAll(closeTestGpus);

function recipeOf(golden: Golden): Recipe {
  const { train, adamw, micro_batch: microBatch } = golden.meta;
  return {
    ...LAVIN_RECIPE,
    microBatch,
    accumulation: train.accum_iter,
    baseRate: train.blr,
    minRate: train.min_lr,
    epochs: train.epochs,
    warmupEpochs: train.warmup_epochs,
    beta1: adamw.betas[0],
    beta2: adamw.betas[1],
    epsilon: adamw.eps,
    weightDecay: train.weight_decay,
    dropout: 0,
  };
}

/** 25 steps of plain kernels take minutes on a busy software GPU. */
const TIMEOUT_MS = 400_000;

const VARIANTS: [string, () => KernelChoices, boolean][] = [
  ['plain kernels', () => DEFAULT_CHOICES, false],
  ['kernels without barriers, blocks computed again', () => softwareChoices(gpu), true],
];

describe.each(VARIANTS)('%s', (_, choicesOf, recompute) => {
  it.each(['train_lavin_init', 'train_random_init_clip'])(
    '%s',
    async (name) => {
      const golden = loadGolden(name);
      const lavin = await goldenLavin(gpu, golden);
      const adapters = lavin.adapters!;
      const recipe = { ...recipeOf(golden), clip: golden.meta.train.clip_grad ?? 0 };
      const gradients = allocateGradients(gpu, adapters, trainableTensors(adapters));
      const optimiser = new Optimiser(gpu, adapters, gradients);
      const { slots, labels, indicators, images } = microBatchesOf(golden);
      const [count, batch, length] = golden.shape('in.examples');
      const shape = { batch, length: slots[0].length / batch, images: batch, targets: batch * length };
      const inputs = new StepInputs(gpu, lavin, shape, 'images');
      const arena = new Arena(gpu);
      const recorder = new Recorder(gpu, 'step', choicesOf());
      recordMicroBatch(recorder, inputs, {
        shape,
        state: optimiser.state,
        trainables: gradients.trainables,
        recompute,
      });
      const plan = await gpu.checked('step', () => recorder.compile(arena));
      await optimiser.compile(arena);
      const replayer = new Replayer(gpu);

      const steps = golden.shape('out.step_loss')[0];
      const looks = [
        ['after1', 1],
        ['after2', 2],
        ['after5', 5],
        ['final', steps],
      ] as const;
      const perEpoch = count / recipe.accumulation;
      const reports: StepReport[] = [];
      const rates: number[] = [];
      const after = new Map<number, Float32Array>();
      for (let step = 0; step < steps; step++) {
        for (let micro = 0; micro < recipe.accumulation; micro++) {
          const index = (step * recipe.accumulation + micro) % count;
          const sequences = sequencesOf(slots[index], labels[index], indicators[index], shape.length);
          inputs.write(microBatch(sequences, shape.length, shape.targets), images[index], recipe.accumulation);
          await replayer.run(plan);
        }
        const rate = learningRate(recipe, step / perEpoch);
        rates.push(rate);
        reports.push(await optimiser.step(replayer, recipe, rate));
        if (looks.some(([, at]) => at === step + 1)) after.set(step + 1, (await optimiser.snapshot()).values);
      }
      golden.expect('out.lr', rates);
      golden.expect(
        'out.step_loss',
        reports.map(({ loss }) => loss),
      );
      golden.expect(
        'out.grad_norm',
        reports.map(({ norm }) => norm),
      );
      expect(reports.every(({ skipped }) => !skipped)).toBe(true);
      let compared = 0;
      for (const { name: tensor, shape: dims, offset } of adapters.segments) {
        const size = dims.reduce((a, b) => a * b, 1);
        for (const [prefix, step] of looks) {
          golden.expect(`${prefix}.${tensor}`, after.get(step)!.subarray(offset, offset + size));
          compared++;
        }
      }
      expect(compared).toBe(looks.length * adapters.segments.length);
      plan.destroy();
      optimiser.destroy();
      inputs.destroy();
      arena.destroy();
    },
    TIMEOUT_MS,
  );
});

/** The case's micro-batches: layout as the reference joins prefix, features and text, then cuts to the length. */
function microBatchesOf(golden: Golden) {
  const [count, batch, length] = golden.shape('in.examples');
  const { prefix_img: withImage, prefix_txt: withoutImage, config } = golden.meta;
  const examples = golden.i32('in.examples');
  const labels = golden.i32('in.labels');
  const indicators = golden.i32('in.indicators');
  const features = Array.from({ length: config.vit.n_features }, (_, k) => -2 - k);
  const build = (source: Int32Array, row: number, seen: boolean, mark: boolean) => {
    const ids = [...source.subarray(row * length, (row + 1) * length)];
    const inserted: number[] = seen ? [...withImage, ...features] : withoutImage;
    const head = mark ? [-1, ids[0], ...inserted] : [0, ids[0], ...inserted.map(() => 0)];
    return [...head, ...ids.slice(1)].slice(0, length);
  };
  const batches = Array.from({ length: count }, (_, n) => {
    const rows = Array.from({ length: batch }, (_, b) => n * batch + b);
    const seen = rows.map((row) => indicators[row] === 1);
    return {
      slots: Int32Array.from(rows.flatMap((row, b) => build(examples, row, seen[b], true))),
      labels: Int32Array.from(rows.flatMap((row, b) => build(labels, row, seen[b], false))),
      indicators: Int32Array.from(rows, (row) => indicators[row]),
    };
  });
  const pixels = golden.f32('in.images').length / count;
  return {
    slots: batches.map((b) => b.slots),
    labels: batches.map((b) => b.labels),
    indicators: batches.map((b) => b.indicators),
    images: batches.map((_, n) => golden.f32('in.images').slice(n * pixels, (n + 1) * pixels)),
  };
}
