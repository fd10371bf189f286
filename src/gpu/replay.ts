import { type Gpu, GpuError } from './device';
import type { Plan, PlanStep } from './plan';

/** Longest time one submit should keep the GPU, in ms: longer ones freeze the page and trip GPU watchdogs. */
const SLICE_MS = 50;
/** Work per ms assumed before anything was measured: a slow software adapter's. */
const FIRST_GUESS = 400_000;

export interface ReplayOptions {
  /** Checked between slices. */
  readonly signal?: AbortSignal;
  /** Called after each finished slice with the share of the plan's work that is done, 0 to 1. */
  readonly onProgress?: (done: number) => void;
}

/** Replays plans: whole in one submit when they are short, in slices of about {@link SLICE_MS} when not. */
export class Replayer {
  /** Measured work per ms, by plan: kernels differ too much for one figure per device. */
  private readonly rates = new WeakMap<Plan, number>();
  private deviceRate = FIRST_GUESS;
  /** Submits made so far: a test holds decode to one per token. */
  submits = 0;

  constructor(private readonly gpu: Gpu) {}

  /** Milliseconds a replay is expected to take. */
  estimate(plan: Plan): number {
    return plan.work / (this.rates.get(plan) ?? this.deviceRate);
  }

  /** Tells how long a whole replay took, measured by the caller: the decode loop knows it from its readbacks. */
  learn(plan: Plan, ms: number): void {
    if (ms <= 0) return;
    const rate = plan.work / ms;
    const before = this.rates.get(plan);
    this.rates.set(plan, before === undefined ? rate : 0.7 * before + 0.3 * rate);
    this.deviceRate = rate;
  }

  /**
   * Encodes and submits the plan without waiting, followed by `after` (copies to staging) in the same submit.
   * Slices it only if it is known to be long. For decode, where readbacks pace the loop.
   */
  submit(plan: Plan, after?: (encoder: GPUCommandEncoder) => void): void {
    const slices = this.slicesOf(plan);
    slices.forEach((slice, i) => this.submitSteps(slice, i === slices.length - 1 ? after : undefined));
  }

  /**
   * Runs the plan to its end. At most two slices are in flight, so an abort takes effect within two.
   * @throws the signal's reason when aborted; GpuError `lost` when the device goes away.
   */
  async run(plan: Plan, { signal, onProgress }: ReplayOptions = {}): Promise<void> {
    const queue = this.gpu.device.queue;
    const began = performance.now();
    let doneWork = 0;
    let previous: Promise<void> | undefined;
    for (const slice of this.slicesOf(plan)) {
      signal?.throwIfAborted();
      this.submitSteps(slice);
      const finished = queue.onSubmittedWorkDone();
      if (previous) await previous;
      const work = slice.reduce((sum, step) => sum + step.work, 0);
      previous = finished.then(() => {
        doneWork += work;
        onProgress?.(doneWork / plan.work);
      });
    }
    await this.orLost(previous ?? Promise.resolve());
    this.learn(plan, performance.now() - began);
    signal?.throwIfAborted();
  }

  private async orLost(work: Promise<void>): Promise<void> {
    const lost = this.gpu.lost.then((info) => {
      throw new GpuError(
        'lost',
        `The graphics device was lost (${info.message || info.reason}). Reload the model to go on.`,
      );
    });
    await Promise.race([work, lost]);
  }

  private submitSteps(steps: readonly PlanStep[], after?: (encoder: GPUCommandEncoder) => void): void {
    const encoder = this.gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    encodeSteps(pass, steps);
    pass.end();
    after?.(encoder);
    this.gpu.device.queue.submit([encoder.finish()]);
    this.submits++;
  }

  private slicesOf(plan: Plan): (readonly PlanStep[])[] {
    const rate = this.rates.get(plan) ?? this.deviceRate;
    const budget = rate * SLICE_MS;
    if (plan.work <= budget) return [plan.steps];
    const slices: PlanStep[][] = [];
    let open: PlanStep[] = [];
    let work = 0;
    for (const step of plan.steps) {
      if (open.length > 0 && work + step.work > budget) {
        slices.push(open);
        open = [];
        work = 0;
      }
      open.push(step);
      work += step.work;
    }
    slices.push(open);
    return slices;
  }
}

/** Sets pipeline and bind group and dispatches, step by step; skips the pipeline call where it does not change. */
export function encodeSteps(pass: GPUComputePassEncoder, steps: readonly PlanStep[]): void {
  let pipeline: GPUComputePipeline | undefined;
  for (const step of steps) {
    if (step.pipeline !== pipeline) {
      pipeline = step.pipeline;
      pass.setPipeline(pipeline);
    }
    pass.setBindGroup(0, step.bindGroup);
    pass.dispatchWorkgroups(...step.workgroups);
  }
}
