/** What-ifs as the page handles them: made layer by layer or by a preset, told in words, written into a link. */
import type {
  AdapterSite,
  Modality,
  RouterOverrides,
  RouterRule,
  RouterRules,
  WeightPair,
} from '../../src/workers/api';

export type Tower = 'llm' | 'vit';

export const NO_OVERRIDES: RouterOverrides = {};

export function ruleAt(overrides: RouterOverrides, tower: Tower, site: AdapterSite, layer: number): RouterRule | null {
  return overrides[tower]?.[site]?.[layer] ?? null;
}

/** The same with one layer's rule changed; null ends it. */
export function withRule(
  overrides: RouterOverrides,
  tower: Tower,
  site: AdapterSite,
  layer: number,
  rule: RouterRule | null,
): RouterOverrides {
  const rules = [...(overrides[tower]?.[site] ?? [])];
  while (rules.length < layer) rules.push(null);
  rules[layer] = rule;
  return tidy({ ...overrides, [tower]: { ...overrides[tower], [site]: rules } });
}

/** The same with one rule for all layers of a tower and site. */
export function withAll(
  overrides: RouterOverrides,
  tower: Tower,
  site: AdapterSite,
  layers: number,
  rule: RouterRule | null,
): RouterOverrides {
  const rules = Array.from({ length: layers }, () => rule);
  return tidy({ ...overrides, [tower]: { ...overrides[tower], [site]: rules } });
}

export function withModality(overrides: RouterOverrides, modality: Modality | undefined): RouterOverrides {
  return tidy({ ...overrides, modality });
}

export function isEmpty(overrides: RouterOverrides): boolean {
  return Object.keys(tidy(overrides)).length === 0;
}

/** Without what changes nothing, so that equal what-ifs are equal objects. */
export function tidy({ modality, llm, vit }: RouterOverrides): RouterOverrides {
  return {
    ...(modality && { modality }),
    ...tidyTower('llm', llm),
    ...tidyTower('vit', vit),
  };
}

function tidyTower(tower: Tower, rules: RouterRules | undefined): RouterOverrides {
  const sites = (['attn', 'mlp'] as const).flatMap((site) => {
    const list = rules?.[site] ?? [];
    const end = list.findLastIndex((rule) => rule !== null) + 1;
    return end > 0 ? [[site, list.slice(0, end)] as const] : [];
  });
  return sites.length > 0 ? { [tower]: Object.fromEntries(sites) } : {};
}

/** A pair under a rule, as the engine has it. */
export function weightsUnder(rule: RouterRule | null, [first, second]: WeightPair): WeightPair {
  if (rule === null) return [first, second];
  if (rule === 'swap') return [second, first];
  return rule === 'silent' ? [0, 0] : rule;
}

/** "Language model: experts swapped in every layer; layer 3 silent". */
export function overridesInWords(overrides: RouterOverrides, layers: Readonly<Record<Tower, number>>): string {
  const parts: string[] = [];
  if (overrides.modality) {
    parts.push(overrides.modality === 'image' ? 'routed as if with a picture' : 'routed as if text only');
  }
  for (const [tower, name] of [
    ['llm', 'language model'],
    ['vit', 'vision tower'],
  ] as const) {
    for (const site of ['attn', 'mlp'] as const) {
      const rules = overrides[tower]?.[site] ?? [];
      const groups = new Map<string, number[]>();
      rules.forEach((rule, layer) => {
        if (rule === null) return;
        const words = ruleInWords(rule);
        groups.set(words, [...(groups.get(words) ?? []), layer + 1]);
      });
      for (const [words, where] of groups) {
        const all = where.length === layers[tower];
        const place = all ? 'every layer' : `layer${where.length > 1 ? 's' : ''} ${ranges(where)}`;
        parts.push(`${name}${site === 'mlp' ? ' (MLP side)' : ''}, ${place}: ${words}`);
      }
    }
  }
  return parts.length > 0 ? parts.join('; ') : 'as trained';
}

export function ruleInWords(rule: RouterRule): string {
  if (rule === 'swap') return 'experts swapped';
  if (rule === 'silent') return 'silent';
  return `set to ${rule[0].toFixed(2)} and ${rule[1].toFixed(2)}`;
}

/** "1–3, 5". */
function ranges(numbers: readonly number[]): string {
  const parts: string[] = [];
  for (let at = 0; at < numbers.length; ) {
    let end = at;
    while (numbers[end + 1] === numbers[end]! + 1) end++;
    parts.push(end > at ? `${numbers[at]}–${numbers[end]}` : `${numbers[at]}`);
    at = end + 1;
  }
  return parts.join(', ');
}
