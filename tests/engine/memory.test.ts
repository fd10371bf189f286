/** The memory planner against the ledger of what was really run. */
import { afterEach, describe, expect, it } from 'vitest';
import { ClassFeatures } from '../../src/engine/class-features';
import { softwareChoices } from '../../src/engine/kernel-choices';
import { loadLavin } from '../../src/engine/lavin-load';
import { estimateChat, estimateTraining } from '../../src/engine/memory-plan';
import { outlineOf } from '../../src/engine/model-outline';
import { Gpu } from '../../src/gpu/device';
import { clipFeatures } from '../../src/models/clip';
import { imageSlot, type Lavin, MODALITY_SLOT } from '../../src/models/lavin';
import type { Sequence } from '../../src/train/batch';
import { type MemoryEstimate, trainingMemory } from '../../src/train/memory';
import { LAVIN_RECIPE, type Recipe } from '../../src/train/recipe';
import { Trainer, type TrainerOptions, type TrainingData } from '../../src/train/trainer';
import { loadGolden } from '../goldens/golden';
import { goldenLavin } from '../goldens/model-case';
import { closeTestGpus, openTestGpu } from '../gpu';
import { isSwiftShader, loadModel, openPrototype, RUN_TIMEOUT } from './support';

// A ledger's peak never falls: each case has a device of its own.
afterEach(closeTestGpus);

const RECIPE: Recipe = { ...LAVIN_RECIPE, accumulation: 1, epochs: 3, baseRate: 1e-3, seed: 5 };

/** Examples of lengths up to `longest`, every other one with a picture. */
function examples(count: number, longest: number, features: number): Sequence[] {
  return Array.from({ length: count }, (_, n) => {
    const seen = n % 2 === 0;
    const head = [MODALITY_SLOT, 1, ...(seen ? Array.from({ length: features }, (_, k) => imageSlot(k)) : [])];
    const length = Math.max(head.length + 2, Math.floor((longest * (n + 1)) / count));
    const answer = Array.from({ length: length - head.length }, (_, i) => 3 + ((n * 7 + i) % 20));
    return { slots: [...head, ...answer], labels: [...head.map(() => 0), ...answer], modality: seen ? 1 : 0 };
  });
}

function dataOf(lavin: Lavin, sequences: readonly Sequence[], vision: TrainerOptions['vision']): TrainingData {
  const { imageSize, width } = lavin.clip!.config;
  const size = vision === 'features' ? clipFeatures(lavin.clip!.config) * width : 3 * imageSize ** 2;
  return { sequences, picture: async () => new Float32Array(size) };
}

/** The ledger's peak of a run of every shape there is, saved once on the way. */
async function peakOf(gpu: Gpu, lavin: Lavin, sequences: Sequence[], options: TrainerOptions): Promise<number> {
  const data = dataOf(lavin, sequences, options.vision);
  const trainer = await Trainer.create(gpu, lavin, data, { ...options, validation: data });
  await trainer.run(() => {});
  await trainer.validate();
  await trainer.state();
  trainer.destroy();
  return gpu.ledger.peak;
}

function expectWithinTenth({ peakBytes, byPurpose }: MemoryEstimate, peak: number): void {
  const sum = Object.values(byPurpose).reduce((a, b) => a + b, 0);
  expect(Math.abs(sum - peakBytes)).toBeLessThan(peakBytes * 0.01);
  expect(peakBytes / peak).toBeGreaterThan(0.9);
  expect(peakBytes / peak).toBeLessThan(1.1);
}

describe('training, by the plan and by the ledger', () => {
  const golden = loadGolden('model_router_per_sample');
  const { n_features: FEATURES } = golden.meta.config.vit;

  it.each([
    { name: 'one example at a time', microBatch: 1, longest: 40, recompute: false },
    { name: 'four at a time', microBatch: 4, longest: 60, recompute: false },
    { name: 'four at a time, blocks computed again', microBatch: 4, longest: 60, recompute: true },
    { name: 'four at a time, the tower frozen', microBatch: 4, longest: 60, recompute: false, vision: 'features' },
  ] as const)(
    'golden model, $name',
    async ({ microBatch, longest, recompute, ...rest }) => {
      const gpu = await openTestGpu();
      const options = { recipe: { ...RECIPE, microBatch }, choices: softwareChoices(gpu), recompute, ...rest };
      const sequences = examples(10, longest, FEATURES);
      const paper = Gpu.onPaper(gpu.limits, gpu.features);
      const validation = { sequences };
      const planned = await trainingMemory(paper, await goldenLavin(paper, golden), validation, {
        ...options,
        validation,
      });
      expect(paper.ledger.current).toBeLessThan(paper.ledger.peak);
      expectWithinTenth(planned, await peakOf(gpu, await goldenLavin(gpu, golden), sequences, options));
    },
    RUN_TIMEOUT,
  );

  it.each([
    { name: '2 x 64 slots', microBatch: 2, longest: 64, recompute: false },
    { name: '2 x 64 slots, the tower frozen', microBatch: 2, longest: 64, recompute: false, vision: 'features' },
    { name: '2 x 64 slots, blocks computed again', microBatch: 2, longest: 64, recompute: true },
    { name: '1 x 200 slots, blocks computed again', microBatch: 1, longest: 200, recompute: true },
  ] as const)(
    'the starter from its file, $name',
    async ({ microBatch, longest, recompute, ...rest }) => {
      const gpu = await openTestGpu();
      const count = isSwiftShader(gpu) ? 2 : 4;
      const recipe = { ...RECIPE, microBatch, epochs: 1, maxLength: 256 };
      const files = await openPrototype();
      const sequences = examples(count, longest, clipFeatures(files.manifest.vision!.config));
      const choices = softwareChoices(gpu);
      const planned = await estimateTraining(outlineOf(files), {
        ...{ sequences, validation: sequences, recipe, choices, recompute, ...rest },
        device: gpu,
      });
      const free: (() => void)[] = [];
      const { lavin, freeVision } = await loadLavin(gpu, files, { positions: recipe.maxLength }, free);
      await files.close();
      if ('vision' in rest) {
        const { imageSize } = lavin.clip!.config;
        const tower = await ClassFeatures.create(gpu, lavin, choices);
        await tower.of(new Float32Array(3 * imageSize ** 2));
        tower.destroy();
        freeVision();
      }
      expectWithinTenth(planned, await peakOf(gpu, lavin, sequences, { recipe, choices, recompute, ...rest }));
    },
    RUN_TIMEOUT,
  );
});

describe('chatting, by the plan and by the ledger', () => {
  it.each([64, 512])(
    'the starter, a context of %i slots: to the byte, by purpose',
    async (context) => {
      const gpu = await openTestGpu();
      const files = await openPrototype();
      const choices = softwareChoices(gpu);
      const planned = await estimateChat(outlineOf(files), { context, kvFormat: 'f16', choices, device: gpu });
      await loadModel(gpu, files, { context, kvFormat: 'f16', choices });
      expect(planned.byPurpose).toEqual(gpu.ledger.byPurpose());
      expect(planned.peakBytes).toBe(gpu.ledger.peak);
    },
    RUN_TIMEOUT,
  );
});
