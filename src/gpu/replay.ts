import { FiniteCheck, findNonFinite, NonFiniteError } from './check-finite';
import type { Gpu } from './device';
import type { Plan, PlanStep } from './plan';

/** Longest time one submit should keep the GPU, in ms: longer ones freeze the page and trip GPU watchdogs. */
const SLICE_MS = 50;
/** Work per ms assumed before anything was measured: a slow software adapter's. */
const FIRST_GUESS = 400_000;
/** How much faster than thought one slice may make the unmeasured rest look: kernels differ in what their work costs. */
const MOST_FASTER = 4;

export interface ReplayerOptions {
  /** Debug mode: every f32 and f16 output of every dispatch is searched for NaN and infinities. Slow. */
  readonly checkFinite?: boolean;
}

export interface ReplayOptions {
  /** Checked between slices. */
  readonly signal?: AbortSignal;
  /** Called after each finished slice with the share of the plan's work that is done, 0 to 1. */
  readonly onProgress?: (done: number) => void;
}

/** Milliseconds of each step as measured, 0 where nothing was, and the steps' work. */
interface Costs {
  readonly ms: Float64Array;
  readonly work: Float64Array;
  measured: boolean;
}

/** Replays plans: whole in one submit when they are short, in slices of about {@link SLICE_MS} when not. */
export class Replayer {
  private readonly costs = new WeakMap<Plan, Costs>();
  /** Work per ms of steps that were never measured. */
  private rate = FIRST_GUESS;
  /** When the last measured slice finished. */
  private finishedAt = 0;
  /** Submits made so far: a test holds decode to one per token. */
  submits = 0;
  private readonly checkFinite: boolean;
  private readonly checks = new Set<Promise<void>>();
  private nonFinite: NonFiniteError | undefined;

  constructor(
    private readonly gpu: Gpu,
    { checkFinite = false }: ReplayerOptions = {},
  ) {
    this.checkFinite = checkFinite;
  }

  /** Milliseconds a replay is expected to take. */
  estimate(plan: Plan): number {
    const costs = this.costsOf(plan);
    let total = 0;
    for (let i = 0; i < costs.ms.length; i++) total += this.stepMs(costs, i);
    return total;
  }

  /** Tells how long a whole replay took, measured by the caller: the decode loop knows it from its readbacks. */
  learn(plan: Plan, ms: number): void {
    if (ms <= 0 || plan.steps.length === 0) return;
    const costs = this.costsOf(plan);
    const expected = this.estimate(plan);
    // Rates are averaged, not times: one slow outlier (a compilation, another program) is soon forgotten.
    const believed = costs.measured ? 1 / (0.7 / expected + 0.3 / ms) : ms;
    for (let i = 0; i < costs.ms.length; i++) costs.ms[i] = (this.stepMs(costs, i) * believed) / expected;
    costs.measured = true;
  }

  /**
   * Encodes and submits the plan without waiting, followed by `after` (copies to staging) in the same submit.
   * Slices it only if it is known to be long. For decode, where readbacks pace the loop.
   * @throws NonFiniteError, in debug mode, of an earlier submit; {@link settled} tells of the last ones
   */
  submit(plan: Plan, after?: (encoder: GPUCommandEncoder) => void): void {
    if (this.checkFinite) {
      this.submitChecked(plan, after);
      return;
    }
    const costs = this.costsOf(plan);
    let at = 0;
    do {
      const end = this.sliceEnd(costs, at);
      const last = end === plan.steps.length;
      this.submitSteps(at === 0 && last ? plan.steps : plan.steps.slice(at, end), last ? after : undefined);
      at = end;
    } while (at < plan.steps.length);
  }

  /**
   * Runs the plan to its end. At most two slices are in flight, so an abort takes effect within two.
   * @throws the signal's reason when aborted; GpuError `lost` when the device goes away, `validation` or `out-of-memory`
   *   for what no error scope caught; NonFiniteError in debug mode
   */
  async run(plan: Plan, { signal, onProgress }: ReplayOptions = {}): Promise<void> {
    if (this.gpu.loss) throw this.gpu.loss;
    if (this.checkFinite) {
      await this.settled();
      const found = await findNonFinite(this.gpu, plan, { signal, onProgress });
      if (found) throw new NonFiniteError(plan.label, found);
      return;
    }
    const costs = this.costsOf(plan);
    const totalWork = costs.work.reduce((sum, work) => sum + work, 0);
    let doneWork = 0;
    let previous: Promise<void> | undefined;
    let at = 0;
    while (at < plan.steps.length) {
      signal?.throwIfAborted();
      const [from, to] = [at, this.sliceEnd(costs, at)];
      this.submitSteps(plan.steps.slice(from, to));
      const began = performance.now();
      const finished = this.gpu.device.queue.onSubmittedWorkDone().then(() => {
        this.measure(costs, from, to, began);
        doneWork += sum(costs.work, from, to);
        onProgress?.(Math.min(1, doneWork / totalWork));
      });
      // An abort leaves it unawaited; its failure must not count as unhandled.
      finished.catch(() => {});
      if (previous) await this.gpu.orLost(previous);
      previous = finished;
      at = to;
    }
    if (previous) await this.gpu.orLost(previous);
    this.gpu.throwUncaught();
    signal?.throwIfAborted();
  }

  /**
   * Waits for the checks of all submits, in debug mode; else does nothing.
   * @throws NonFiniteError of the first bad output
   */
  async settled(): Promise<void> {
    await Promise.all(this.checks);
    if (this.nonFinite) throw this.nonFinite;
  }

  private submitChecked(plan: Plan, after?: (encoder: GPUCommandEncoder) => void): void {
    if (this.nonFinite) throw this.nonFinite;
    const check = new FiniteCheck(this.gpu, plan);
    const encoder = this.gpu.device.createCommandEncoder();
    plan.steps.forEach((_, i) => check.encodeStep(encoder, i));
    check.encodeReadback(encoder);
    after?.(encoder);
    this.gpu.device.queue.submit([encoder.finish()]);
    this.submits++;
    const pending = check
      .read()
      .then((found) => {
        if (found) this.nonFinite ??= new NonFiniteError(plan.label, found);
      })
      .finally(() => {
        check.destroy();
        this.checks.delete(pending);
      });
    this.checks.add(pending);
    pending.catch(() => {});
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

  private costsOf(plan: Plan): Costs {
    let costs = this.costs.get(plan);
    if (!costs) {
      const work = Float64Array.from(plan.steps, (step) => Math.max(1, step.work));
      costs = { ms: new Float64Array(plan.steps.length), work, measured: false };
      this.costs.set(plan, costs);
    }
    return costs;
  }

  private stepMs({ ms, work }: Costs, i: number): number {
    return ms[i] > 0 ? ms[i] : work[i] / this.rate;
  }

  /** End of the slice that begins at step `from`: at least one step, else as many as fit the slice's time. */
  private sliceEnd(costs: Costs, from: number): number {
    let end = from;
    let total = 0;
    while (end < costs.ms.length) {
      total += this.stepMs(costs, end);
      if (end > from && total > SLICE_MS) break;
      end++;
    }
    return end;
  }

  /**
   * Learns from a finished slice. Faster than thought is believed at once; slower only half, since a kernel's first
   * launch may include its compilation.
   */
  private measure(costs: Costs, from: number, to: number, began: number): void {
    const now = performance.now();
    const ms = Math.max(0.01, now - Math.max(began, this.finishedAt));
    this.finishedAt = now;
    let expected = 0;
    for (let i = from; i < to; i++) expected += this.stepMs(costs, i);
    const believed = ms < expected ? ms : (ms + expected) / 2;
    for (let i = from; i < to; i++) costs.ms[i] = (this.stepMs(costs, i) * believed) / expected;
    costs.measured = true;
    this.rate = Math.min(this.rate * MOST_FASTER, sum(costs.work, from, to) / believed);
  }
}

function sum(values: Float64Array, from: number, to: number): number {
  let total = 0;
  for (let i = from; i < to; i++) total += values[i];
  return total;
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
