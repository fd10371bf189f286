import { Arena } from '../gpu/arena';
import type { KernelChoices } from '../gpu/choices';
import type { Gpu } from '../gpu/device';
import { type Plan, Recorder } from '../gpu/plan';
import { Replayer } from '../gpu/replay';
import type { Lavin } from '../models/lavin';
import { RouterTable } from '../models/router-table';
import { microBatch, type Sequence, targetCount } from './batch';
import type { TrainEvent } from './events';
import { allocateGradients, type GradientSet, trainableTensors } from './gradient-set';
import { recordMicroBatch, StepInputs, type StepShape, type Vision } from './micro-batch';
import { Optimiser, type OptimiserSnapshot, type StepReport } from './optimiser';
import {
  foremost,
  microBatches,
  paddedLength,
  shapeKey,
  shapeOf,
  shapesOfRun,
  stepsPerEpoch,
  targetRoom,
  windowOf,
} from './order';
import { checkRecipe, learningRate, type Recipe } from './recipe';

/** Examples ready to be trained on: sequences in memory, pictures asked for when their turn comes. */
export interface TrainingData {
  readonly sequences: readonly Sequence[];
  /**
   * What the vision part reads for example `index` (modality 1): its pixels, f32 [3, S, S], normalised; or in Quick mode its
   * class-token features, f32 [F, W].
   */
  picture(index: number): Promise<Float32Array<ArrayBuffer>>;
}

export interface TrainerOptions {
  readonly recipe: Recipe;
  readonly choices: KernelChoices;
  /** `features`: Quick mode, the vision tower and its adapters frozen, its class-token features cached. Default `images`. */
  readonly vision?: Vision;
  /** Compute each block's insides again in the backward pass: less memory, about a third more time. */
  readonly recompute?: boolean;
  readonly validation?: TrainingData;
  /** Steps between validations; 0 for none. */
  readonly validateEvery?: number;
}

/** A run at a step, complete: continuing from it gives what an uninterrupted run gives. */
export interface TrainerState extends OptimiserSnapshot {
  readonly step: number;
  readonly rateFactor: number;
  readonly skippedInAll: number;
}

/** Steps between looks at the routing table. */
const ROUTING_EVERY = 25;
/** Good steps between copies to roll back to; bad steps in a row that make it happen. */
const REMEMBER_EVERY = 25;
const BAD_IN_ROW = 3;
/** Steps that speed is averaged over. */
const SPEED_STEPS = 8;

/**
 * Trains a LaVIN's adapters: batches by length, gradients, AdamW, validation, pause and exact resume. One class for Node and for
 * the worker. Plans are recorded at first use and replayed from then on; nothing else is allocated.
 */
export class Trainer {
  private readonly gradients: GradientSet;
  private readonly optimiser: Optimiser;
  private readonly inputs: StepInputs;
  private readonly arena: Arena;
  private readonly replayer: Replayer;
  private readonly plans = new Map<string, Plan>();
  private routing!: RouterTable;
  private readonly targets: readonly number[];
  private readonly times: { at: number; tokens: number }[] = [];
  private step = 0;
  private rateFactor = 1;
  private skippedInAll = 0;
  /** Steps submitted before this one no longer count as bad: the run was rolled back since. */
  private judgedFrom = 0;
  private gate: { readonly open: Promise<void>; release(): void } | undefined;
  private running = false;

  private constructor(
    private readonly gpu: Gpu,
    private readonly lavin: Lavin,
    private readonly data: TrainingData,
    private readonly options: TrainerOptions,
  ) {
    const { recipe, vision = 'images', validation } = options;
    const adapters = lavin.adapters!;
    this.targets = data.sequences.map(targetCount);
    this.gradients = allocateGradients(gpu, adapters, trainableTensors(adapters, { visual: vision === 'images' }));
    this.optimiser = new Optimiser(gpu, adapters, this.gradients);
    this.inputs = new StepInputs(gpu, lavin, largest(recipe, [data, ...(validation ? [validation] : [])]), vision);
    this.arena = new Arena(gpu);
    this.replayer = new Replayer(gpu);
  }

  /**
   * @throws RangeError for a recipe or data that make no sense; GpuError when the device cannot hold the run
   */
  static async create(gpu: Gpu, lavin: Lavin, data: TrainingData, options: TrainerOptions): Promise<Trainer> {
    checkRecipe(options.recipe);
    if (!lavin.adapters) throw new RangeError('this model has no adapters: there is nothing to train');
    if (data.sequences.length === 0) throw new RangeError('there are no examples to train on');
    const cut = data.sequences.findIndex(({ slots }) => slots.length > options.recipe.maxLength);
    if (cut >= 0)
      throw new RangeError(`example ${cut} is longer than the ${options.recipe.maxLength} slots of the recipe`);
    const trainer = new Trainer(gpu, lavin, data, options);
    await trainer.optimiser.compile(trainer.arena);
    trainer.routing = await RouterTable.create(gpu, lavin, options.choices, trainer.arena, trainer.replayer);
    const { training, validation } = trainer.shapes();
    for (const shape of foremost(training)) await trainer.planFor(shape, true);
    for (const shape of foremost(validation)) await trainer.planFor(shape, false);
    return trainer;
  }

  /** Optimiser steps done, and in the whole run. */
  get done(): number {
    return this.step;
  }

  get steps(): number {
    const { recipe } = this.options;
    return Math.max(1, Math.round(recipe.epochs * stepsPerEpoch(this.data.sequences.length, recipe)));
  }

  /**
   * Trains to the end, or until `until` steps are done.
   * @throws the signal's reason when cancelled: the step under way is dropped, the run stands at the last whole one;
   *   GpuError when the device is lost
   */
  async run(
    onEvent: (event: TrainEvent) => void,
    { signal, until = this.steps }: { signal?: AbortSignal; until?: number } = {},
  ): Promise<void> {
    if (this.running) throw new Error('this run is under way already');
    this.running = true;
    let late: { step: number; rate: number; report: Promise<StepReport> } | undefined;
    const tell = async () => {
      if (late) this.judge(late.step, late.rate, await late.report, onEvent);
      late = undefined;
    };
    try {
      if (this.step === 0) await this.tellRouting(onEvent);
      while (this.step < Math.min(until, this.steps)) {
        const { tokens, rate } = await this.accumulate(signal);
        const report = this.optimiser.step(this.replayer, this.options.recipe, rate);
        report.catch(() => {});
        await tell();
        this.step++;
        this.times.push({ at: performance.now(), tokens });
        if (this.times.length > SPEED_STEPS + 1) this.times.shift();
        late = { step: this.step, rate, report };
        if (this.step % ROUTING_EVERY === 0 || this.step === this.steps) await this.tellRouting(onEvent);
        const { validateEvery = 0 } = this.options;
        if (validateEvery > 0 && this.step % validateEvery === 0) {
          await tell();
          const { step } = this;
          onEvent({ type: 'validation', step, ...(await this.validate(signal)) });
        }
      }
      await tell();
    } catch (error) {
      await tell().catch(() => {});
      if (!this.gpu.loss) this.optimiser.clearGradients();
      throw error;
    } finally {
      this.running = false;
    }
  }

  /** Holds the run before its next micro-batch. */
  pause(): void {
    if (this.gate) return;
    let release = () => {};
    const open = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.gate = { open, release };
  }

  resume(): void {
    this.gate?.release();
    this.gate = undefined;
  }

  /** Mean loss per example's micro-batch over the validation data (without dropout). */
  async validate(signal?: AbortSignal): Promise<{ loss: number; examples: number }> {
    const data = this.options.validation;
    if (!data) throw new Error('there are no examples to validate on');
    const { recipe } = this.options;
    const window = microBatches(
      data.sequences,
      data.sequences.map((_, i) => i),
      recipe.microBatch,
    );
    const total = { loss: 0, targets: 0 };
    for (const batch of window) {
      const targets = batch.reduce((sum, i) => sum + targetCount(data.sequences[i]), 0);
      // The loss is the mean over the micro-batch's targets: weighed by them, the whole is the mean over all.
      const loss = await this.lossOf(data, batch, targets, signal);
      total.loss += loss * targets;
      total.targets += targets;
    }
    return { loss: total.loss / Math.max(1, total.targets), examples: data.sequences.length };
  }

  /** Every shape that the run and its validations are recorded for, sooner or later. */
  shapes(): { readonly training: readonly StepShape[]; readonly validation: readonly StepShape[] } {
    const { recipe, validation } = this.options;
    const of = (data: TrainingData) => (batch: readonly number[]) =>
      this.shape(
        data,
        batch,
        batch.reduce((sum, i) => sum + targetCount(data.sequences[i]), 0),
      );
    const all = validation?.sequences ?? [];
    const batches = microBatches(
      all,
      all.map((_, i) => i),
      recipe.microBatch,
    );
    const validated = validation ? batches.map(of(validation)) : [];
    return {
      training: shapesOfRun(this.data.sequences, recipe, this.steps, of(this.data)),
      validation: [...new Map(validated.map((shape) => [shapeKey(shape), shape])).values()],
    };
  }

  /** Everything needed to go on later; waits for the GPU. Not while a step is under way. */
  async state(): Promise<TrainerState> {
    if (this.running && !this.gate) throw new Error('pause or end the run before saving its state');
    const { step, rateFactor, skippedInAll } = this;
    return { ...(await this.optimiser.snapshot()), step, rateFactor, skippedInAll };
  }

  /** Goes on from a saved state. @throws RangeError when it belongs to another adapter set */
  restore(state: TrainerState): void {
    this.optimiser.restore(state);
    this.step = state.step;
    this.rateFactor = state.rateFactor;
    this.skippedInAll = state.skippedInAll;
    this.judgedFrom = state.step;
  }

  destroy(): void {
    this.resume();
    for (const plan of this.plans.values()) plan.destroy();
    this.optimiser.destroy();
    this.routing.destroy();
    this.inputs.destroy();
    this.arena.destroy();
    this.gpu.destroyBuffer(this.gradients.buffer);
  }

  private async tellRouting(onEvent: (event: TrainEvent) => void): Promise<void> {
    await this.routing.find();
    onEvent({ type: 'routing', step: this.step, weights: await this.routing.read() });
  }

  /** One window's gradients. */
  private async accumulate(signal?: AbortSignal): Promise<{ tokens: number; rate: number }> {
    const { recipe } = this.options;
    const { sequences } = this.data;
    const perEpoch = stepsPerEpoch(sequences.length, recipe);
    const window = windowOf(sequences, recipe, this.step);
    let tokens = 0;
    for (const [index, batch] of window.entries()) {
      await this.gate?.open;
      signal?.throwIfAborted();
      const shape = this.shape(this.data, batch, this.sumTargets(batch));
      const plan = await this.planFor(shape, true);
      const numbers = microBatch(
        batch.map((i) => sequences[i]),
        shape.length,
        shape.targets,
      );
      const pictures = await this.pictures(this.data, batch, shape);
      this.inputs.write(numbers, pictures, window.length);
      this.inputs.writeDropout(recipe.seed, this.step * recipe.accumulation + index, recipe.dropout);
      await this.replayer.run(plan, { signal });
      for (const i of batch) tokens += sequences[i].slots.length;
    }
    return { tokens, rate: this.rateFactor * learningRate(recipe, this.step / perEpoch) };
  }

  private judge(step: number, rate: number, report: StepReport, onEvent: (event: TrainEvent) => void): void {
    if (report.skipped) this.skippedInAll++;
    const perEpoch = stepsPerEpoch(this.data.sequences.length, this.options.recipe);
    const [oldest, newest] = [this.times[0], this.times.at(-1)!];
    const seconds = Math.max(1e-3, (newest.at - oldest.at) / 1000);
    const between = this.times.slice(1);
    const { loss, norm, skipped } = report;
    onEvent({
      type: 'step',
      step,
      steps: this.steps,
      epoch: step / perEpoch,
      loss,
      rate,
      norm,
      skipped,
      skippedInAll: this.skippedInAll,
      tokensPerSecond: between.reduce((sum, { tokens }) => sum + tokens, 0) / seconds,
      secondsLeft: between.length ? ((this.steps - step) * seconds) / between.length : Number.NaN,
      gpuBytes: this.gpu.ledger.current,
    });
    if (report.skippedInRow >= BAD_IN_ROW && step > this.judgedFrom) {
      this.optimiser.rollBack();
      this.rateFactor /= 2;
      // The step submitted meanwhile began from the bad parameters.
      this.judgedFrom = step + 1;
      onEvent({ type: 'rolled-back', step, rateFactor: this.rateFactor });
    } else if (!skipped && step % REMEMBER_EVERY === 0) {
      this.optimiser.remember();
    }
  }

  private async lossOf(data: TrainingData, batch: readonly number[], targets: number, signal?: AbortSignal) {
    const shape = this.shape(data, batch, targets);
    const plan = await this.planFor(shape, false);
    const numbers = microBatch(
      batch.map((i) => data.sequences[i]),
      shape.length,
      shape.targets,
    );
    this.optimiser.clearLoss();
    this.inputs.write(numbers, await this.pictures(data, batch, shape), 1);
    await this.replayer.run(plan, { signal });
    const loss = await this.optimiser.readLoss();
    this.optimiser.clearLoss();
    return loss;
  }

  /** Pictures of the samples that have one, in order; blank for the others where every sample sees. */
  private async pictures(
    data: TrainingData,
    batch: readonly number[],
    shape: StepShape,
  ): Promise<Float32Array<ArrayBuffer> | undefined> {
    if (shape.images === 0) return undefined;
    const all = await Promise.all(
      batch.slice(0, shape.images).map((i) => (data.sequences[i].modality === 1 ? data.picture(i) : undefined)),
    );
    const size = all.find((picture) => picture !== undefined)!.length;
    const joined = new Float32Array(shape.images * size);
    all.forEach((picture, i) => {
      if (picture) joined.set(picture, i * size);
    });
    return joined;
  }

  private shape(data: TrainingData, batch: readonly number[], targets: number): StepShape {
    return shapeOf(data.sequences, batch, targets, {
      maxLength: this.options.recipe.maxLength,
      everySampleSees: this.lavin.adapters!.visual?.routing === 'batch0',
    });
  }

  private sumTargets(batch: readonly number[]): number {
    return batch.reduce((sum, i) => sum + this.targets[i], 0);
  }

  private async planFor(shape: StepShape, grad: boolean): Promise<Plan> {
    const key = `${shapeKey(shape)} ${grad}`;
    const found = this.plans.get(key);
    if (found) return found;
    const { choices, recompute, recipe } = this.options;
    const recorder = new Recorder(this.gpu, `train ${key}`, choices);
    recordMicroBatch(recorder, this.inputs, {
      shape,
      state: this.optimiser.state,
      trainables: grad ? this.gradients.trainables : undefined,
      dropout: grad && recipe.dropout > 0,
      recompute,
    });
    const plan = await this.gpu.checked(recorder.label, () => recorder.compile(this.arena));
    this.plans.set(key, plan);
    return plan;
  }
}

/** Room for any micro-batch of the data. */
function largest(recipe: Recipe, sets: readonly TrainingData[]): StepShape {
  const sequences = sets.flatMap((set) => set.sequences);
  const batch = recipe.microBatch;
  const longest = sequences.reduce((most, { slots }) => Math.max(most, slots.length), 0);
  const most = [...sequences.map(targetCount)].sort((a, b) => b - a).slice(0, batch);
  const sees = sequences.some(({ modality }) => modality === 1);
  const targets = most.reduce((a, b) => a + b, 0);
  return {
    batch,
    length: paddedLength(longest, recipe.maxLength),
    images: sees ? batch : 0,
    targets: targetRoom(targets),
  };
}
