/** The scripted engine's measurements: sines that tests can compute for themselves. */
import { applyRule, ruleOf } from '../../src/engine/overrides';
import type { ChatRequest, Explanation, PatchRouting, RouterReading, RoutingTable } from '../../src/workers/api';

/** Norm of what expert e adds in a layer, for a weight of 1: it grows with the prompt's length. */
export function fakeNorm(layer: number, expert: 0 | 1, prompt: string): number {
  return 1 + 0.1 * layer + 0.5 * expert + 0.01 * prompt.length;
}

/** Norm of every adapter's input. */
export const FAKE_INPUT = 8;

export function fakeExplanation(
  { turns, image, overrides = {} }: ChatRequest,
  table: RoutingTable,
  patches: PatchRouting,
): Explanation {
  const prompt = turns.at(-1)?.text ?? '';
  const modality = image ? 'image' : 'text';
  const reading = (layer: number, weights: readonly [number, number]): RouterReading => {
    const contributions = [weights[0] * fakeNorm(layer, 0, prompt), weights[1] * fakeNorm(layer, 1, prompt)] as const;
    return {
      layer,
      site: 'attn',
      weights,
      contributions,
      together: contributions[0] + contributions[1],
      input: FAKE_INPUT,
    };
  };
  const llm = table[overrides.modality ?? modality].map((pair, layer) =>
    reading(layer, applyRule(ruleOf(overrides.llm, 'attn', layer), pair)),
  );
  const explanation = { modality, promptTokens: 12 * turns.length, llm } as const;
  if (!image) return explanation;
  const { layers, tokens } = patches;
  const norms = Float32Array.from({ length: layers * tokens * 4 }, (_, i) => {
    const weight = patches.weights[Math.floor(i / 4)] ?? 0.5;
    return [weight, 1 - weight, 1, FAKE_INPUT][i % 4] ?? 0;
  });
  const readings = Array.from({ length: layers }, (_, layer) => {
    const own = patches.weights.subarray(layer * tokens, (layer + 1) * tokens);
    const mean = own.reduce((a, b) => a + b, 0) / tokens;
    return reading(layer, [mean, 1 - mean]);
  });
  return { ...explanation, vit: { readings, patches, norms } };
}
