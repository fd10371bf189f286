#!/usr/bin/env node
/**
 * Draws a run's losses from its log: every step pale, their running mean dark, validations as dots.
 *
 *   node tools/scenes/loss-curve.mjs OUT/log.jsonl > loss.svg
 */
import { readFileSync } from 'node:fs';

const [path] = process.argv.slice(2);
if (!path) {
  console.error('node tools/scenes/loss-curve.mjs LOG.jsonl > FILE.svg');
  process.exit(2);
}
/** @type {{ type: string, step: number, loss: number }[]} */
const events = readFileSync(path, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line));
const steps = events.filter(({ type }) => type === 'step');
const validations = events.filter(({ type }) => type === 'validation');

const [WIDTH, HEIGHT] = [640, 260];
const plot = { left: 48, right: WIDTH - 12, top: 14, bottom: HEIGHT - 34 };
const most = Math.ceil(Math.max(...steps.map(({ loss }) => loss)));
const last = steps.at(-1)?.step ?? 1;
const x = (/** @type {number} */ step) => plot.left + (step / last) * (plot.right - plot.left);
const y = (/** @type {number} */ loss) => plot.bottom - (loss / most) * (plot.bottom - plot.top);
const point = (/** @type {number} */ step, /** @type {number} */ loss) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`;
const WINDOW = 10;
const means = steps.map(({ step }, i) => {
  const window = steps.slice(Math.max(0, i - WINDOW + 1), i + 1);
  return { step, loss: window.reduce((sum, { loss }) => sum + loss, 0) / window.length };
});
const line = (/** @type {typeof means} */ points) => points.map(({ step, loss }) => point(step, loss)).join(' ');
const every = 10 ** Math.floor(Math.log10(last)) / (last >= 4 * 10 ** Math.floor(Math.log10(last)) ? 1 : 2);
const ticks = Array.from({ length: Math.floor(last / every) + 1 }, (_, i) => i * every);
const levels = Array.from({ length: most + 1 }, (_, i) => i);

// Ink that reads on a white page and on a dark one.
const [PALE, INK, DOT] = ['#9db4d6', '#3b6fc4', '#d2691e'];
console.log(
  [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12" fill="#808080">`,
    `<title>Training loss by step, from ${means[0].loss.toFixed(2)} to ${means.at(-1)?.loss.toFixed(2)}</title>`,
    ...levels.map(
      (loss) =>
        `<path d="M${plot.left} ${y(loss)}H${plot.right}" stroke="#808080" stroke-opacity=".3"/><text x="${plot.left - 8}" y="${y(loss) + 4}" text-anchor="end">${loss}</text>`,
    ),
    ...ticks.map((step) => `<text x="${x(step)}" y="${plot.bottom + 16}" text-anchor="middle">${step}</text>`),
    `<text x="${plot.right}" y="${HEIGHT - 4}" text-anchor="end">step</text>`,
    `<polyline points="${line(steps)}" fill="none" stroke="${PALE}" stroke-opacity=".7"/>`,
    `<polyline points="${line(means)}" fill="none" stroke="${INK}" stroke-width="2"/>`,
    ...validations.map(
      ({ step, loss }) => `<circle cx="${x(step).toFixed(1)}" cy="${y(loss).toFixed(1)}" r="3.5" fill="${DOT}"/>`,
    ),
    `<text x="${plot.right}" y="${plot.top + 10}" text-anchor="end"><tspan fill="${INK}">mean of ${WINDOW} steps</tspan>, <tspan fill="${DOT}">validation</tspan></text>`,
    '</svg>',
  ].join('\n'),
);
