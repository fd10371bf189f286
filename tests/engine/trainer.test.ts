/** The trainer as a whole, on a small random LaVIN: it learns, stops, resumes to the bit, survives bad steps, grows nowhere. */
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { datasetFolder } from '../../src/cli/dataset-folder';
import { decodeInNode } from '../../src/cli/decode-node';
import type { Example } from '../../src/data/example';
import { softwareChoices } from '../../src/engine/kernel-choices';
import { loadLavin } from '../../src/engine/lavin-load';
import { prepareData } from '../../src/engine/training-data';
import type { Gpu } from '../../src/gpu/device';
import { featuresPerImage, imageSlot, type Lavin, MODALITY_SLOT } from '../../src/models/lavin';
import type { Sequence } from '../../src/train/batch';
import type { TrainEvent } from '../../src/train/events';
import { initialValues } from '../../src/train/init';
import { LAVIN_RECIPE, type Recipe } from '../../src/train/recipe';
import { Trainer, type TrainerOptions, type TrainingData } from '../../src/train/trainer';
import { loadGolden } from '../goldens/golden';
import { goldenLavin } from '../goldens/model-case';
import { closeTestGpus, openTestGpu } from '../gpu';
import { isSwiftShader, openPrototype, PROTOTYPE, RUN_TIMEOUT } from './support';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu();
});
afterAll(closeTestGpus);

const golden = loadGolden('model_router_per_sample');
const { vocab_size: VOCABULARY } = golden.meta.config.llama;
const { image_size: SIZE, n_features: FEATURES } = golden.meta.config.vit;

/** A LaVIN whose second experts begin at zero, as training does. */
const freshLavin = (): Promise<Lavin> => goldenLavin(gpu, golden);

const RECIPE: Recipe = {
  ...LAVIN_RECIPE,
  microBatch: 2,
  accumulation: 1,
  // 4e-3 at this batch.
  baseRate: (4e-3 * 256) / 2,
  warmupEpochs: 2,
  epochs: 200,
  dropout: 0,
  weightDecay: 0,
  seed: 3,
};

/** An example: question ids, answer ids that end in 2 (EOS), with a picture or without. */
function example(question: readonly number[], answer: readonly number[], seen: boolean): Sequence {
  const head = [
    MODALITY_SLOT,
    1,
    ...(seen ? Array.from({ length: FEATURES }, (_, k) => imageSlot(k)) : []),
    ...question,
  ];
  return {
    slots: [...head, ...answer, 2],
    labels: [...head.map(() => 0), ...answer, 2],
    modality: seen ? 1 : 0,
  };
}

/** Noise that differs by index; NaN where told. */
function picture(index: number, poisoned = false): Float32Array<ArrayBuffer> {
  const data = new Float32Array(3 * SIZE * SIZE);
  let state = index * 7919 + 17;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = state / 2 ** 31 - 1;
  }
  if (poisoned) data[5] = Number.NaN;
  return data;
}

const id = (n: number) => 3 + (n % (VOCABULARY - 3));

/** Examples of several lengths, half of them with a picture. */
function manyExamples(count: number): Sequence[] {
  return Array.from({ length: count }, (_, n) =>
    example(
      Array.from({ length: 3 + ((n * 5) % 40) }, (_, i) => id(n * 31 + i * 7)),
      [id(n * 11), id(n * 13 + 1), id(n)],
      n % 2 === 0,
    ),
  );
}

const dataOf = (sequences: readonly Sequence[], poison: (index: number) => boolean = () => false): TrainingData => ({
  sequences,
  picture: async (index) => picture(index, poison(index)),
});

async function withTrainer<T>(
  data: TrainingData,
  options: Partial<TrainerOptions> & { recipe: Recipe },
  work: (trainer: Trainer, lavin: Lavin) => Promise<T>,
): Promise<T> {
  const lavin = await freshLavin();
  const trainer = await Trainer.create(gpu, lavin, data, { choices: softwareChoices(gpu), ...options });
  try {
    return await work(trainer, lavin);
  } finally {
    trainer.destroy();
  }
}

const steps = (events: readonly TrainEvent[]) => events.filter((event) => event.type === 'step');

const valuesOf = async (lavin: Lavin) =>
  new Float32Array(await gpu.read({ buffer: lavin.adapters!.buffer, offset: 0, size: lavin.adapters!.words * 4 }));

describe('learning', () => {
  it.each([
    ['a text-only example', undefined],
    ['an example with a picture', 'blue-disc.png'],
  ])(
    // A tenth of the steps on SwiftShader, which takes ten times as long: there it must only be well on its way.
    '%s is learnt by heart within 200 steps by fresh adapters of the starter: loss below 0.01',
    async (_, image) => {
      const files = await openPrototype();
      const free: (() => void)[] = [];
      const { lavin } = await loadLavin(gpu, files, { positions: 128 }, free).finally(() => files.close());
      const adapters = lavin.adapters!;
      gpu.device.queue.writeBuffer(adapters.buffer, 0, initialValues(adapters, 1));
      const example: Example = {
        id: 'one',
        ask: { kind: 'instruction', text: 'What is written on the wall?' },
        answer: 'seven purple words',
        ...(image && { image }),
      };
      const format = {
        prompt: files.manifest.prompt,
        tokenizer: files.tokenizer,
        features: featuresPerImage(lavin),
        maxLength: 128,
      };
      const folder = await datasetFolder(dirname(PROTOTYPE));
      const data = prepareData([example], format, { folder, decode: decodeInNode, manifest: files.manifest });
      const [epochs, goal] = isSwiftShader(gpu) ? [20, 2] : [200, 0.01];
      const recipe = { ...RECIPE, microBatch: 1, baseRate: 1e-2 * 256, epochs };
      const trainer = await Trainer.create(gpu, lavin, data, { recipe, choices: softwareChoices(gpu) });
      const events: TrainEvent[] = [];
      await trainer.run((event) => events.push(event));
      trainer.destroy();
      for (const release of free.reverse()) release();
      const all = steps(events);
      expect(all).toHaveLength(epochs);
      expect(all[0].loss).toBeGreaterThan(3);
      expect(Math.min(...all.map(({ loss }) => loss))).toBeLessThan(goal);
    },
    RUN_TIMEOUT,
  );

  it('by blocks computed again it goes the same way', async () => {
    const run = async (recompute: boolean) => {
      const events: TrainEvent[] = [];
      await withTrainer(dataOf(manyExamples(6)), { recipe: { ...RECIPE, epochs: 3 }, recompute }, (trainer) =>
        trainer.run((event) => events.push(event)),
      );
      return steps(events).map(({ loss }) => loss);
    };
    const [kept, again] = [await run(false), await run(true)];
    kept.forEach((loss, i) => expect(again[i]).toBeCloseTo(loss, 4));
  });
});

describe('a run', () => {
  const data = dataOf(manyExamples(12));
  const recipe: Recipe = { ...RECIPE, microBatch: 2, accumulation: 2, epochs: 4, dropout: 0.1 };

  it('is the same to the bit when it is done again, and another with another seed', async () => {
    const once = (seed: number) =>
      withTrainer(data, { recipe: { ...recipe, seed } }, async (trainer, lavin) => {
        await trainer.run(() => {});
        return valuesOf(lavin);
      });
    const [first, second, other] = [await once(3), await once(3), await once(4)];
    expect(second).toEqual(first);
    expect(other).not.toEqual(first);
  });

  it('goes on from a saved state, in another trainer, to the same bits', async () => {
    const whole = await withTrainer(data, { recipe }, async (trainer, lavin) => {
      await trainer.run(() => {});
      return valuesOf(lavin);
    });
    const saved = await withTrainer(data, { recipe }, async (trainer) => {
      await trainer.run(() => {}, { until: 5 });
      return trainer.state();
    });
    expect(saved.step).toBe(5);
    const resumed = await withTrainer(data, { recipe }, async (trainer, lavin) => {
      trainer.restore(saved);
      await trainer.run(() => {});
      return valuesOf(lavin);
    });
    expect(resumed).toEqual(whole);
  });

  it('is cancelled between slices, stands at its last whole step, and goes on as if nothing had been', async () => {
    const whole = await withTrainer(data, { recipe }, async (trainer, lavin) => {
      await trainer.run(() => {});
      return valuesOf(lavin);
    });
    const again = await withTrainer(data, { recipe }, async (trainer, lavin) => {
      const controller = new AbortController();
      const run = trainer.run(
        ({ type }) => {
          if (type === 'step' && trainer.done === 3) controller.abort(new Error('enough'));
        },
        { signal: controller.signal },
      );
      await expect(run).rejects.toThrow('enough');
      expect(trainer.done).toBeLessThan(trainer.steps);
      await trainer.run(() => {});
      return valuesOf(lavin);
    });
    expect(again).toEqual(whole);
  });

  it('pauses before its next micro-batch and goes on', async () => {
    await withTrainer(data, { recipe }, async (trainer) => {
      let paused = 0;
      const run = trainer.run(({ type }) => {
        if (type === 'step' && trainer.done === 2 && paused === 0) {
          trainer.pause();
          paused = trainer.done;
        }
      });
      while (paused === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      await new Promise((resolve) => setTimeout(resolve, 300));
      const held = trainer.done;
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(trainer.done).toBe(held);
      trainer.resume();
      await run;
      expect(trainer.done).toBe(trainer.steps);
    });
  });

  it('makes no GPU memory after each plan is there', async () => {
    await withTrainer(data, { recipe: { ...recipe, epochs: 8 } }, async (trainer) => {
      const bytes: number[] = [];
      await trainer.run((event) => {
        if (event.type === 'step') bytes.push(event.gpuBytes);
      });
      // Every epoch brings new mixes of lengths for a while; the second half brings none.
      expect(new Set(bytes.slice(bytes.length / 2)).size).toBe(1);
    });
  });

  it('tells the routing table at the beginning, on the way and at the end, and moves it', async () => {
    const tables: Extract<TrainEvent, { type: 'routing' }>[] = [];
    await withTrainer(data, { recipe: { ...recipe, epochs: 10 } }, (trainer) =>
      trainer.run((event) => event.type === 'routing' && tables.push(event)),
    );
    expect(tables.map(({ step }) => step)).toEqual([0, 25, 30]);
    const pairs = tables.map(({ weights }) => weights.attn.flat());
    expect(pairs[0]).toHaveLength(2 * golden.meta.config.llama.n_layers);
    for (const [first, second] of pairs.flat()) expect(first + second).toBeCloseTo(1, 5);
    expect(pairs[2]).not.toEqual(pairs[0]);
    // The modality decides.
    const { attn } = tables[2].weights;
    expect(attn[0]).not.toEqual(attn[1]);
  });

  it('validates without moving anything', async () => {
    const validation = dataOf(manyExamples(5).slice(2));
    const losses = await withTrainer(data, { recipe, validation, validateEvery: 4 }, async (trainer, lavin) => {
      const before = await valuesOf(lavin);
      const first = await trainer.validate();
      expect(await valuesOf(lavin)).toEqual(before);
      expect((await trainer.validate()).loss).toBe(first.loss);
      const events: TrainEvent[] = [];
      await trainer.run((event) => events.push(event));
      return events.flatMap((event) => (event.type === 'validation' ? [event.loss] : []));
    });
    expect(losses).toHaveLength(3);
  });
});

describe('bad steps', () => {
  it('a NaN in one picture skips that step alone: counted, nothing moved', async () => {
    const sequences = manyExamples(4);
    const recipe = { ...RECIPE, microBatch: 1, accumulation: 1, epochs: 2, warmupEpochs: 0 };
    await withTrainer(
      dataOf(sequences, (index) => index === 2),
      { recipe },
      async (trainer, lavin) => {
        const events: TrainEvent[] = [];
        await trainer.run((event) => events.push(event));
        const skipped = steps(events).filter((event) => event.skipped);
        expect(skipped).toHaveLength(2);
        expect(steps(events).at(-1)!.skippedInAll).toBe(2);
        expect((await valuesOf(lavin)).every(Number.isFinite)).toBe(true);
      },
    );
  });

  it('three in a row roll back and halve the rate', async () => {
    const sequences = manyExamples(12).filter(({ modality }) => modality === 1);
    let poisoned = false;
    const recipe = { ...RECIPE, microBatch: 2, accumulation: 1, epochs: 4, warmupEpochs: 0 };
    await withTrainer(
      dataOf(sequences, () => poisoned),
      { recipe },
      async (trainer, lavin) => {
        const events: TrainEvent[] = [];
        await trainer.run((event) => events.push(event), { until: 4 });
        poisoned = true;
        await trainer.run((event) => events.push(event), { until: 8 });
        poisoned = false;
        await trainer.run((event) => events.push(event));
        const back = events.filter((event) => event.type === 'rolled-back');
        expect(back).toEqual([{ type: 'rolled-back', step: 7, rateFactor: 0.5 }]);
        const all = steps(events);
        const before = all[3].rate;
        expect(all.at(-1)!.rate).toBeLessThan(before);
        expect(all.slice(8).every(({ skipped }) => !skipped)).toBe(true);
        expect((await valuesOf(lavin)).every(Number.isFinite)).toBe(true);
      },
    );
  });
});

describe('what makes no sense is refused', () => {
  it.each([
    ['no examples', [], {}, /no examples to train on/],
    ['an example past the length', manyExamples(3), { maxLength: 8 }, /longer than the 8 slots/],
    ['a rate that is no number', manyExamples(3), { baseRate: Number.NaN }, /baseRate/],
    ['a batch of none', manyExamples(3), { microBatch: 0 }, /microBatch is 0/],
  ] as const)('%s', async (_, sequences, change, words) => {
    await expect(withTrainer(dataOf(sequences), { recipe: { ...RECIPE, ...change } }, async () => {})).rejects.toThrow(
      words,
    );
  });

  it('the recipe is LaVIN’s published one', () => {
    expect(LAVIN_RECIPE).toEqual({
      microBatch: 4,
      accumulation: 8,
      baseRate: 9e-3,
      minRate: 0,
      epochs: 20,
      warmupEpochs: 2,
      beta1: 0.9,
      beta2: 0.95,
      epsilon: 1e-8,
      weightDecay: 0.02,
      clip: 0,
      dropout: 0.1,
      maxLength: 512,
      seed: 0,
    });
  });
});
