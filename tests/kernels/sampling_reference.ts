import type { SamplingOptions } from '../../src/generate/sampling';

/** f64 twin of the GPU sampler: same rules, written as a sort. */

/** Philox2x32-10 (Salmon et al. 2011), key `seed`. */
export function philox(counter: readonly [number, number], seed: number): [number, number] {
  let [x, y] = counter;
  let key = seed >>> 0;
  for (let round = 0; round < 10; round++) {
    const product = 0xd256d193n * BigInt(x >>> 0);
    const high = Number(product >> 32n);
    [x, y] = [(high ^ key ^ y) >>> 0, Number(product & 0xffffffffn)];
    key = (key + 0x9e3779b9) >>> 0;
  }
  return [x, y];
}

/** Applies the repetition penalty to each distinct id among the last `window` of `history`; NaN becomes -inf. */
export function penalise(logits: Float32Array, history: readonly number[], penalty: number, window: number): number[] {
  const f32 = Math.fround;
  const out = Array.from(logits, (x) => (Number.isNaN(x) ? Number.NEGATIVE_INFINITY : x));
  for (const id of new Set(window > 0 ? history.slice(-window) : [])) {
    out[id] = out[id] > 0 ? f32(out[id] / f32(penalty)) : f32(out[id] * f32(penalty));
  }
  return out;
}

export interface Candidate {
  readonly id: number;
  readonly probability: number;
}

/** What may be drawn, best first, with its probability; temperature must be positive. */
export function candidates(logits: Float32Array, history: readonly number[], o: SamplingOptions): Candidate[] {
  const adjusted = penalise(logits, history, o.repetitionPenalty, o.repetitionWindow);
  const largest = Math.max(...chunkedMax(adjusted));
  const ranked = adjusted
    .map((x, id) => ({ id, x, probability: Math.exp((x - largest) / Math.fround(o.temperature)) }))
    // The sampler's own resolution: what weighs less than exp(-22) of the best has no weight.
    .filter((c) => (c.x - largest) / Math.fround(o.temperature) > -22)
    .sort((a, b) => b.x - a.x || a.id - b.id);
  let kept = o.topK > 0 ? ranked.slice(0, o.topK) : ranked;
  const mass = kept.reduce((sum, c) => sum + c.probability, 0);
  let before = 0;
  if (o.topP < 1) {
    kept = kept.filter((c) => {
      const keep = before <= Math.fround(o.topP) * mass;
      before += c.probability;
      return keep;
    });
  }
  kept = kept.filter((c) => c.probability >= Math.fround(o.minP));
  const total = kept.reduce((sum, c) => sum + c.probability, 0);
  return kept.map(({ id, probability }) => ({ id, probability: probability / total }));
}

/** Token number `counter`, by inverting the cumulative distribution over the ranking. */
export function draw(kept: readonly Candidate[], seed: number, counter: number): number {
  const u = philox([counter, 0], seed)[0] / 2 ** 32;
  let sum = 0;
  for (const { id, probability } of kept) {
    sum += probability;
    if (u < sum) return id;
  }
  return kept[kept.length - 1].id;
}

/** Plain log-softmax of one id, and the lowest id of the largest logit; NaN counts as -inf. */
export function plainScores(logits: Float32Array, id: number): { logprob: number; argmax: number; best: number } {
  let argmax = 0;
  let largest = Number.NEGATIVE_INFINITY;
  logits.forEach((x, i) => {
    if (x > largest) [largest, argmax] = [x, i];
  });
  let sum = 0;
  for (const x of logits) if (!Number.isNaN(x)) sum += Math.exp(x - largest);
  return { logprob: logits[id] - largest - Math.log(sum), argmax, best: -Math.log(sum) };
}

function chunkedMax(values: readonly number[]): number[] {
  const out: number[] = [];
  for (let i = 0; i < values.length; i += 4096) out.push(Math.max(...values.slice(i, i + 4096)));
  return out;
}
