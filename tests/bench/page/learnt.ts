/** Whether a contender of the training section has learnt anything, and what its times come to. */
import type { Outcome } from './measure';

/** What a contender came to beside its times. */
export interface Learnt {
  /** Of every step, from the first. */
  readonly losses: number[];
  /** Largest sum of all GPU buffers, where that is known. */
  peakBytes: number;
}

/** Who does not learn has not done the work: its times do not count. */
export function withLosses(outcome: Outcome | undefined, { losses }: Learnt): Outcome | undefined {
  if (!outcome || outcome.rounds.length === 0) return outcome;
  if (losses.every(Number.isFinite) && losses[losses.length - 1] < losses[0]) return outcome;
  return { ...outcome, rounds: [], failed: `the loss does not fall: ${lossNote(losses)}` };
}

export function lossNote(losses: readonly number[]): string | undefined {
  const [first, last] = [losses[0], losses[losses.length - 1]].map((loss) => loss?.toFixed(3));
  return losses.length > 0 ? `loss ${first} to ${last} in ${losses.length} steps` : undefined;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
