/** Our trainer as a contender. */
import { ClassFeatures } from '../../../src/engine/class-features';
import type { KernelChoices } from '../../../src/gpu/choices';
import { Gpu } from '../../../src/gpu/device';
import type { Lavin } from '../../../src/models/lavin';
import type { Sequence } from '../../../src/train/batch';
import { LAVIN_RECIPE, type Recipe } from '../../../src/train/recipe';
import { Trainer, type TrainerOptions, type TrainingData } from '../../../src/train/trainer';
import { noise } from './blocks';
import type { Learnt } from './learnt';
import type { Contender, Runner } from './measure';

/** LaVIN's recipe with steps of one micro-batch and no warm-up, so that a few steps show. */
export function benchRecipe(microBatch: number, rate: number, changes: Partial<Recipe>): Recipe {
  const steps = { microBatch, accumulation: 1, epochs: 1000, warmupEpochs: 0, baseRate: (rate * 256) / microBatch };
  return { ...LAVIN_RECIPE, ...steps, ...changes };
}

export interface TrainerCase extends Pick<TrainerOptions, 'vision' | 'recompute'> {
  readonly who: string;
  readonly recipe: Recipe;
  readonly choices: KernelChoices;
  readonly sequences: readonly Sequence[];
  load(gpu: Gpu): Promise<Lavin>;
}

/** A trainer that is ready, on a device of its own: what the ledger counts is this run alone. */
export class TrainerRun {
  private readonly cancel = new AbortController();
  private work: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly gpu: Gpu,
    private readonly trainer: Trainer,
    private readonly learnt: Learnt,
  ) {}

  static async open(options: TrainerCase, learnt: Learnt): Promise<TrainerRun> {
    const gpu = await Gpu.open(navigator.gpu);
    try {
      const lavin = await options.load(gpu);
      const { sequences, recipe, choices, vision, recompute } = options;
      const data = await dataOf(gpu, lavin, options);
      // The same examples again: the loss-only plan has the step's shape.
      const trainer = await Trainer.create(gpu, lavin, data, { recipe, choices, vision, recompute, validation: data });
      if (sequences.length !== recipe.microBatch) throw new Error('a step must be one micro-batch, all of the data');
      return new TrainerRun(gpu, trainer, learnt);
    } catch (error) {
      gpu.destroy();
      throw error;
    }
  }

  /** Milliseconds of one optimiser step, its loss read. */
  step(): Promise<number> {
    return this.timed((signal) =>
      this.trainer.run((event) => event.type === 'step' && this.learnt.losses.push(event.loss), {
        ...{ signal, until: this.trainer.done + 1 },
      }),
    );
  }

  /** Milliseconds of the loss alone. */
  forward(): Promise<number> {
    return this.timed((signal) => this.trainer.validate(signal));
  }

  private async timed(work: (signal: AbortSignal) => Promise<unknown>): Promise<number> {
    const began = performance.now();
    this.work = work(this.cancel.signal);
    await this.work;
    this.learnt.peakBytes = this.gpu.ledger.peak;
    return performance.now() - began;
  }

  /** Ends a step under way first. */
  async dispose(): Promise<void> {
    this.cancel.abort(new Error('disposed of'));
    await this.work.catch(() => {});
    this.trainer.destroy();
    this.gpu.destroy();
  }
}

/** @param round a round's times of a run that has made its first step */
export function trainerContender(
  options: TrainerCase,
  round: (run: TrainerRun) => Promise<readonly number[]>,
): { contender: Contender; learnt: Learnt } {
  const learnt: Learnt = { losses: [], peakBytes: 0 };
  const make = async (): Promise<Runner> => {
    const run = await TrainerRun.open(options, learnt);
    const warm = async () => {
      await run.step();
      await run.forward();
    };
    return { warm, run: () => round(run), dispose: () => run.dispose() };
  };
  return { contender: { who: options.who, ours: true, make }, learnt };
}

/** A picture of noise for each example that sees; in Quick mode its features, computed once. */
async function dataOf(gpu: Gpu, lavin: Lavin, { sequences, vision, choices }: TrainerCase): Promise<TrainingData> {
  const { clip } = lavin;
  const pixels = sequences.map((_, i) => noise(3 * (clip?.config.imageSize ?? 0) ** 2, 100 + i));
  if (vision !== 'features') return { sequences, picture: async (i) => pixels[i] };
  const features = await ClassFeatures.create(gpu, lavin, choices);
  const kept: Float32Array<ArrayBuffer>[] = [];
  for (const picture of pixels) kept.push(await features.of(picture));
  features.destroy();
  return { sequences, picture: async (i) => kept[i] };
}
