/** How long each dispatch of a plan keeps the GPU, by timestamp queries. For benchmarks and tuning. */
import type { BufferRange, Gpu } from './device';
import type { Plan, PlanStep } from './plan';

export interface StepTime {
  readonly label: string;
  readonly shader: string;
  /** Median over the runs. */
  readonly microseconds: number;
  /** Launches timed together; the microseconds are of one. */
  readonly repeats: number;
}

/** Browsers round timestamps to 100 us: shorter dispatches are timed several at once, to at least this many together. */
const RESOLVED_US = 2000;
const MOST_REPEATS = 64;
/** A query set holds 4096 timestamps. */
const STEPS_PER_SET = 2048;
/** Persistent results up to this size (step counter, positions, sampled tokens) are put back after a repeated step. */
const SMALL_STATE_BYTES = 1 << 20;

/**
 * Times every step of `plan` in a compute pass of its own, `runs` times after three that warm up.
 *
 * Short steps are launched several times in one pass. Small persistent results are then put back, so that a step that
 * advances a counter does so once; larger ones (KV caches) are rewritten by the same values. Values that are updated in
 * place drift: the plan's results mean nothing after timing, and its state has advanced by `runs` + 3 replays.
 *
 * @returns the times in the plan's order, or null without the feature `timestamp-query`
 * @throws GpuError `lost` when the device goes away
 */
export async function timePlan(gpu: Gpu, plan: Plan, runs = 3): Promise<StepTime[] | null> {
  if (!gpu.features.timestamps) return null;
  const once = plan.steps.map(() => 1);
  await timeSteps(gpu, plan.steps, once);
  const estimates = [await timeSteps(gpu, plan.steps, once), await timeSteps(gpu, plan.steps, once)];
  const repeats = plan.steps.map((_, i) => {
    // The lesser of two: what another program took is not the step's.
    const us = Math.max(1, Math.min(estimates[0][i], estimates[1][i]));
    return us >= RESOLVED_US ? 1 : Math.min(MOST_REPEATS, Math.ceil(RESOLVED_US / us));
  });
  const samples: Float64Array[] = [];
  for (let run = 0; run < Math.max(1, runs); run++) samples.push(await timeSteps(gpu, plan.steps, repeats));
  return plan.steps.map(({ label, shader }, i) => ({
    label,
    shader,
    microseconds: median(samples.map((times) => times[i])) / repeats[i],
    repeats: repeats[i],
  }));
}

/** Microseconds of each step's pass, in which it is launched `repeats[i]` times. */
async function timeSteps(gpu: Gpu, steps: readonly PlanStep[], repeats: readonly number[]): Promise<Float64Array> {
  const times = new Float64Array(steps.length);
  for (let first = 0; first < steps.length; first += STEPS_PER_SET) {
    const part = steps.slice(first, first + STEPS_PER_SET);
    times.set(await timeSet(gpu, part, repeats.slice(first, first + STEPS_PER_SET)), first);
  }
  return times;
}

async function timeSet(gpu: Gpu, steps: readonly PlanStep[], repeats: readonly number[]): Promise<Float64Array> {
  const { device } = gpu;
  const bytes = steps.length * 16;
  const querySet = device.createQuerySet({ type: 'timestamp', count: steps.length * 2 });
  const resolved = gpu.createBuffer('staging', bytes, GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC);
  const saved = gpu.createBuffer('staging', largestState(steps), GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC);
  try {
    for (const [i, step] of steps.entries()) {
      // A submit each: none keeps the GPU long, and what one step leaves in the queue is not charged to the next.
      const encoder = device.createCommandEncoder();
      const launch = (count: number, timestampWrites?: GPUComputePassTimestampWrites) => {
        const pass = encoder.beginComputePass({ timestampWrites });
        pass.setPipeline(step.pipeline);
        pass.setBindGroup(0, step.bindGroup);
        for (let n = 0; n < count; n++) pass.dispatchWorkgroups(...step.workgroups);
        pass.end();
      };
      const writes = { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 };
      const state = repeats[i] > 1 ? smallState(step) : [];
      copyState(encoder, state, saved, 'save');
      launch(repeats[i], writes);
      copyState(encoder, state, saved, 'restore');
      if (state.length > 0) launch(1);
      device.queue.submit([encoder.finish()]);
    }
    const encoder = device.createCommandEncoder();
    encoder.resolveQuerySet(querySet, 0, steps.length * 2, resolved, 0);
    device.queue.submit([encoder.finish()]);
    const stamps = new BigUint64Array(await gpu.read({ buffer: resolved, offset: 0, size: bytes }));
    // Nanoseconds; a pass may seem to end before it began where a clock was reset.
    return Float64Array.from(steps, (_, i) => Math.max(0, Number(stamps[2 * i + 1] - stamps[2 * i])) / 1000);
  } finally {
    querySet.destroy();
    gpu.destroyBuffer(resolved);
    gpu.destroyBuffer(saved);
  }
}

/** Persistent results small enough to be put back. */
function smallState(step: PlanStep): BufferRange[] {
  return step.outputs.filter((o) => o.persistent && o.range.size <= SMALL_STATE_BYTES).map((o) => o.range);
}

function largestState(steps: readonly PlanStep[]): number {
  return Math.max(0, ...steps.map((step) => smallState(step).reduce((total, { size }) => total + size, 0)));
}

function copyState(
  encoder: GPUCommandEncoder,
  state: readonly BufferRange[],
  saved: GPUBuffer,
  direction: 'save' | 'restore',
): void {
  let at = 0;
  for (const { buffer, offset, size } of state) {
    if (direction === 'save') encoder.copyBufferToBuffer(buffer, offset, saved, at, size);
    else encoder.copyBufferToBuffer(saved, at, buffer, offset, size);
    at += size;
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
