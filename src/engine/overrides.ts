import { RULE_WORDS } from '../kernels/router-study';
import type { AdapterSet } from '../models/adapters';
import type { AdapterSite, RouterOverrides, RouterRule, RouterRules, WeightPair } from './api';

/** Larger weights say nothing that these do not. */
const MOST = 10;

/** Overrides that this model's routers cannot take. */
export class OverrideError extends Error {
  readonly code = 'unsupported';
  constructor(message: string) {
    super(message);
    this.name = 'OverrideError';
  }
}

/** @throws OverrideError naming the first thing that this adapter set has no router for, or that is no weight */
export function checkOverrides(overrides: RouterOverrides, adapters: AdapterSet | undefined): void {
  if (overrideKey(overrides) === '') return;
  if (!adapters) throw new OverrideError('This model has no adapters, so there is no router to override.');
  const { llama, visual, config } = adapters;
  checkRules('the language model', overrides.llm, {
    attn: llama.length,
    mlp: config.llama === 'block' ? llama.length : 0,
  });
  const routed = visual && visual.kind !== 'normal' ? visual.layers.length : 0;
  checkRules('the vision tower', overrides.vit, {
    attn: routed,
    mlp: visual?.kind === 'router_block' ? routed : 0,
  });
  const { modality } = overrides;
  if (modality !== undefined && modality !== 'text' && modality !== 'image') {
    throw new OverrideError(`A router override forces modality “${modality}”; it can be “text” or “image”.`);
  }
}

function checkRules(tower: string, rules: RouterRules | undefined, layers: Record<AdapterSite, number>): void {
  for (const site of ['attn', 'mlp'] as const) {
    rules?.[site]?.forEach((rule, layer) => {
      if (rule === null) return;
      if (layer >= layers[site]) {
        throw new OverrideError(
          `A router override names ${site} layer ${layer + 1} of ${tower}, which has ${layers[site]} such routers.`,
        );
      }
      if (rule === 'swap' || rule === 'silent') return;
      const isPair = Array.isArray(rule) && rule.length === 2;
      if (!isPair || !rule.every((w) => Number.isFinite(w) && Math.abs(w) <= MOST)) {
        throw new OverrideError(
          `A router override of ${tower}, layer ${layer + 1}, is not “swap”, “silent” or two weights from -${MOST} to ${MOST}.`,
        );
      }
    });
  }
}

/** Equal for overrides of equal effect; empty for none. Part of what keys and values depend on. */
export function overrideKey({ modality, llm, vit }: RouterOverrides = {}): string {
  const parts = [modality && `modality=${modality}`, ruleKey('llm', llm), ruleKey('vit', vit)];
  return parts.filter(Boolean).join(';');
}

/** The part of {@link overrideKey} that the picture's tokens depend on. */
export function ruleKey(tower: string, rules: RouterRules | undefined): string {
  return (['attn', 'mlp'] as const)
    .flatMap((site) => (rules?.[site] ?? []).map((rule, layer) => (rule === null ? '' : `${site}${layer}:${rule}`)))
    .filter(Boolean)
    .map((text) => `${tower}.${text}`)
    .join(';');
}

export function ruleOf(rules: RouterRules | undefined, site: AdapterSite, layer: number): RouterRule | null {
  return rules?.[site]?.[layer] ?? null;
}

/** A pair under a rule. */
export function applyRule(rule: RouterRule | null, [first, second]: WeightPair): WeightPair {
  if (rule === null) return [first, second];
  if (rule === 'swap') return [second, first];
  return rule === 'silent' ? [0, 0] : rule;
}

/** Rules as reweigh.wgsl reads them, one after the other. */
export function packRules(rules: readonly (RouterRule | null)[]): Float32Array<ArrayBuffer> {
  const words = new Float32Array(Math.max(1, rules.length) * RULE_WORDS);
  rules.forEach((rule, i) => {
    // The rule is affine: its constant is what it makes of (0, 0), its columns what the unit pairs add to that.
    const constant = applyRule(rule, [0, 0]);
    const [first, second] = [applyRule(rule, [1, 0]), applyRule(rule, [0, 1])];
    const matrix = [0, 1].flatMap((e) => [first[e] - constant[e], second[e] - constant[e]]);
    words.set([...matrix, ...constant], i * RULE_WORDS);
  });
  return words;
}
