import type { Gpu } from '../../../src/gpu/device';
import type { Plan } from '../../../src/gpu/plan';
import { encodeSteps } from '../../../src/gpu/replay';
import type { Precision } from './host';

/** One way of doing a case's work. */
export interface Contender {
  readonly who: string;
  readonly ours: boolean;
  readonly precision?: Precision;
  /** Everything that is not timed; undefined where measuring would tell nothing. */
  make(): Promise<Runner | undefined>;
}

export interface Runner {
  readonly note?: string;
  /** Does the work once and gives its times in ms. */
  run(): Promise<readonly number[]>;
  /** Shorter than `run`, for the warm-up. */
  warm?(): Promise<unknown>;
  dispose?(): Promise<void> | void;
}

export interface Outcome {
  readonly who: string;
  readonly ours: boolean;
  readonly precision: Precision;
  /** [round][figure] */
  readonly rounds: (readonly number[])[];
  note?: string;
  failed?: string;
}

/** A contender stops early once it has used this much, so that a very slow peer does not take the whole run. */
const BUDGET_MS = 60_000;
/** Longest that one making, warm-up or round may take, unless told; past it the contender has failed. */
const LIMIT_MS = 120_000;
/** Preparations longer than this are told while they happen. */
const SLOW_MS = 5000;

/**
 * Measures contenders alternately: one warm-up each, then `rounds` rounds in which each runs once, every second round in
 * reverse. A contender that fails keeps its message and drops out.
 */
export async function alternate(
  contenders: readonly Contender[],
  rounds: number,
  limitMs = LIMIT_MS,
): Promise<Outcome[]> {
  const entries: { outcome: Outcome; runner?: Runner; spent: number }[] = [];
  const attempt = async (entry: (typeof entries)[number], work: () => Promise<void>) => {
    const began = performance.now();
    try {
      await limited(work(), limitMs);
    } catch (error) {
      entry.outcome.failed = error instanceof Error ? error.message : String(error);
      await benchSay(`  ${entry.outcome.who}: ${entry.outcome.failed}`);
      entry.outcome.note = entry.runner?.note;
      // What goes on in the background would slow the others down.
      await entry.runner?.dispose?.();
      entry.runner = undefined;
    }
    entry.spent += performance.now() - began;
  };
  for (const { who, ours, precision = 'f32', make } of contenders) {
    const entry: (typeof entries)[number] = { outcome: { who, ours, precision, rounds: [] }, spent: 0 };
    entries.push(entry);
    await attempt(entry, async () => {
      const runner = await make();
      // Too late: it has failed by the clock meanwhile.
      if (entry.outcome.failed) return runner?.dispose?.();
      entry.runner = runner;
      await (entry.runner?.warm ?? entry.runner?.run)?.();
    });
    if (entry.spent > SLOW_MS) await benchSay(`  ${who}: ${(entry.spent / 1000).toFixed(0)} s to get ready`);
    entry.spent = 0;
  }
  for (let round = 0; round < rounds; round++) {
    for (const entry of round % 2 === 0 ? entries : [...entries].reverse()) {
      const { outcome, runner } = entry;
      if (!runner || (round > 0 && entry.spent > BUDGET_MS)) continue;
      await attempt(entry, async () => {
        outcome.rounds.push(await runner.run());
      });
    }
  }
  for (const { outcome, runner } of entries) {
    outcome.note ??= runner?.note;
    await runner?.dispose?.();
  }
  return entries.map(({ outcome }) => outcome).filter(({ rounds: told, failed }) => told.length > 0 || failed);
}

async function limited(work: Promise<void>, limitMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not finished in ${limitMs / 1000} s`)), limitMs);
  });
  try {
    await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** Milliseconds of one replay of a plan, from `repetitions` of them in one submit, until the GPU is done. */
export async function timePlan(gpu: Gpu, plan: Plan, repetitions: number): Promise<number> {
  const { queue } = gpu.device;
  await queue.onSubmittedWorkDone();
  const began = performance.now();
  const encoder = gpu.device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (let i = 0; i < repetitions; i++) encodeSteps(pass, plan.steps);
  pass.end();
  queue.submit([encoder.finish()]);
  await gpu.orLost(queue.onSubmittedWorkDone());
  return (performance.now() - began) / repetitions;
}

/** Repetitions that take about 100 ms together, 2 to 64, for work that takes `ms` once. */
export function repetitionsFor(ms: number): number {
  return Math.max(2, Math.min(64, Math.round(100 / ms)));
}

/** A runner over {@link timePlan} that finds its own number of repetitions in the warm-up. */
export function planRunner(gpu: Gpu, plan: Plan): Runner {
  let repetitions = 0;
  return {
    async run() {
      if (repetitions === 0) {
        await timePlan(gpu, plan, 1);
        repetitions = repetitionsFor(await timePlan(gpu, plan, 2));
      }
      return [await timePlan(gpu, plan, repetitions)];
    },
    dispose: () => plan.destroy(),
  };
}
