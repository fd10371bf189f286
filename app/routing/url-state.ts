/**
 * The router view's state in the URL's fragment, `#/router?...`: a link restores it, and no server ever sees it. Pictures
 * never go in; the prompt's words only if the person says so.
 */
import type { AdapterSite, RouterOverrides, RouterRule } from '../../src/workers/api';
import { type Tower, tidy } from './overrides';

export interface ViewState {
  /** Layer of the language model that is read out, from 0. */
  readonly layer: number;
  /** Block of the vision tower that is painted, from 0. */
  readonly block: number;
  readonly site: AdapterSite;
  /** What is painted over the picture: the routers' weights, or each expert's share of what is added. */
  readonly paint: 'weight' | 'share';
  readonly overrides: RouterOverrides;
  /** Name of the model that the numbers were seen on. */
  readonly model?: string;
  /** Only in links that were made with it. */
  readonly prompt?: string;
}

export const FIRST_VIEW: ViewState = { layer: 0, block: 0, site: 'attn', paint: 'weight', overrides: {} };

const PLACE = '#/router';
/** More layers than any model has, so that a link cannot ask for endless lists. */
const MOST_LAYERS = 512;
const MOST_WEIGHT = 10;
const LONGEST_PROMPT = 8000;

export function writeFragment(view: ViewState): string {
  const query = new URLSearchParams();
  if (view.model) query.set('model', view.model);
  if (view.layer > 0) query.set('layer', String(view.layer + 1));
  if (view.block > 0) query.set('block', String(view.block + 1));
  if (view.site !== 'attn') query.set('site', view.site);
  if (view.paint !== 'weight') query.set('paint', view.paint);
  if (view.overrides.modality) query.set('force', view.overrides.modality);
  for (const tower of ['llm', 'vit'] as const) {
    for (const site of ['attn', 'mlp'] as const) {
      const rules = view.overrides[tower]?.[site] ?? [];
      const written = rules.flatMap((rule, layer) => (rule === null ? [] : [`${layer + 1}${writeRule(rule)}`]));
      if (written.length > 0) query.set(`${tower}-${site}`, written.join('_'));
    }
  }
  if (view.prompt) query.set('prompt', view.prompt);
  const text = query.toString();
  return text === '' ? PLACE : `${PLACE}?${text}`;
}

/** A fragment's state, what it does not say as at first; nothing if it is not the router view's or says nothing. */
export function readFragment(fragment: string): ViewState | undefined {
  const match = /^#\/router\?(.+)$/.exec(fragment);
  if (!match) return undefined;
  const query = new URLSearchParams(match[1]);
  const index = (name: string) => {
    const value = Number(query.get(name) ?? 1);
    return Number.isInteger(value) && value >= 1 && value <= MOST_LAYERS ? value - 1 : 0;
  };
  const force = query.get('force');
  const model = query.get('model');
  const prompt = query.get('prompt')?.slice(0, LONGEST_PROMPT);
  const rules = (tower: Tower) => ({
    attn: readRules(query.get(`${tower}-attn`)),
    mlp: readRules(query.get(`${tower}-mlp`)),
  });
  return {
    layer: index('layer'),
    block: index('block'),
    site: query.get('site') === 'mlp' ? 'mlp' : 'attn',
    paint: query.get('paint') === 'share' ? 'share' : 'weight',
    overrides: tidy({
      ...((force === 'text' || force === 'image') && { modality: force }),
      llm: rules('llm'),
      vit: rules('vit'),
    }),
    ...(model && { model }),
    ...(prompt && { prompt }),
  };
}

/** `x` swaps, `o` silences, `w0.25,0.75` sets. */
function writeRule(rule: RouterRule): string {
  if (rule === 'swap') return 'x';
  if (rule === 'silent') return 'o';
  return `w${rule.map((weight) => Number(weight.toFixed(4))).join(',')}`;
}

/** Unreadable parts are left out: half a what-if shows itself, an error page would not. */
function readRules(text: string | null): (RouterRule | null)[] {
  const rules: (RouterRule | null)[] = [];
  for (const part of text?.split('_') ?? []) {
    const match = /^(\d{1,3})(?:(x)|(o)|w(-?[\d.]+),(-?[\d.]+))$/.exec(part);
    const layer = Number(match?.[1]) - 1;
    if (!match || !(layer >= 0 && layer < MOST_LAYERS)) continue;
    const pair = [Number(match[4]), Number(match[5])] as const;
    const isPair = pair.every((weight) => Number.isFinite(weight) && Math.abs(weight) <= MOST_WEIGHT);
    const rule = match[2] ? 'swap' : match[3] ? 'silent' : isPair ? pair : undefined;
    if (rule === undefined) continue;
    while (rules.length < layer) rules.push(null);
    rules[layer] = rule;
  }
  return rules;
}
