#!/usr/bin/env node
/**
 * Two trainings of the same rows from the same state, step by step: `lavin train`'s log and train_adapters.py's (--f32).
 *
 *   node tools/starter/compare-runs.mjs OURS/log.jsonl PYTORCH/log.jsonl [TOLERANCE]
 *
 * Ends with 1 where a step is missing or a loss is further off than the tolerance (a share; by default 0.01).
 */
import { readFileSync } from 'node:fs';

const [ours, theirs, tolerance = '0.01'] = process.argv.slice(2);
/** @param {string} path @returns {Map<number, number>} */
const losses = (path) => {
  const rows = readFileSync(path, 'utf8').trim().split('\n');
  return new Map(
    rows
      .map((line) => JSON.parse(line))
      .filter(({ loss, step, type = 'step' }) => type === 'step' && loss !== undefined && step > 0)
      .map(({ step, loss }) => [step, loss]),
  );
};
const [a, b] = [losses(ours), losses(theirs)];
let worst = { step: 0, by: 0 };
for (const [step, loss] of a) {
  const by = Math.abs(loss - (b.get(step) ?? Number.POSITIVE_INFINITY)) / Math.abs(loss);
  if (by > worst.by) worst = { step, by };
}
const steps = [...a.keys()];
const mean = steps.reduce((sum, step) => sum + Math.abs(a.get(step) - (b.get(step) ?? 0)) / a.get(step), 0) / a.size;
console.log(
  `${a.size} steps; losses ${a.get(steps[0])} to ${a.get(steps.at(-1))}; off by ${(100 * mean).toFixed(3)} % on average, ${(100 * worst.by).toFixed(3)} % at most (step ${worst.step})`,
);
process.exit(a.size > 0 && a.size === b.size && worst.by <= Number(tolerance) ? 0 : 1);
