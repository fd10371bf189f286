/** What can be set for a chat, in plain words, with its range. */
import type { Sampling } from '../state/state';

export type SamplingName = 'temperature' | 'topK' | 'topP' | 'minP' | 'repetitionPenalty' | 'maxTokens' | 'seed';

export interface Setting {
  readonly name: SamplingName;
  readonly title: string;
  readonly words: string;
  readonly from: number;
  readonly to: number;
  readonly step: number;
  /** What the engine does where neither model nor person says; see `DEFAULT_SAMPLING` of src/generate/sampling.ts. */
  readonly usual: number | undefined;
}

const UINT32 = 0xffff_ffff;

export const SETTINGS: readonly Setting[] = [
  {
    name: 'temperature',
    title: 'Temperature',
    words: 'How freely words are chosen. 0 always takes the likeliest one; above 1 it gets wild.',
    from: 0,
    to: 2,
    step: 0.05,
    usual: 0.1,
  },
  {
    name: 'topP',
    title: 'Top-p',
    words: 'Only the likeliest words that together reach this share are drawn from. 1 keeps all.',
    from: 0,
    to: 1,
    step: 0.01,
    usual: 0.75,
  },
  {
    name: 'topK',
    title: 'Top-k',
    words: 'Only this many of the likeliest words are drawn from. 0 keeps all.',
    from: 0,
    to: 1000,
    step: 1,
    usual: 0,
  },
  {
    name: 'minP',
    title: 'Min-p',
    words: 'Words less likely than this share of the likeliest one are left out. 0 keeps all.',
    from: 0,
    to: 1,
    step: 0.01,
    usual: 0,
  },
  {
    name: 'repetitionPenalty',
    title: 'Repetition penalty',
    words: 'Above 1, words that came lately get less likely. 1 is off.',
    from: 0.5,
    to: 2,
    step: 0.05,
    usual: 1,
  },
  {
    name: 'maxTokens',
    title: 'Longest answer',
    words: 'Tokens after which an answer is cut; a token is a short word or a piece of one. It can be continued.',
    from: 1,
    to: 100_000,
    step: 1,
    usual: 256,
  },
  {
    name: 'seed',
    title: 'Seed',
    words: 'The same seed with the same words gives the same answer again. Empty: a new one for each answer.',
    from: 0,
    to: UINT32,
    step: 1,
    usual: undefined,
  },
];

/** Whether `value` can be set; steps matter for whole numbers only. */
export function allowed({ from, to, step }: Setting, value: number): boolean {
  return value >= from && value <= to && (step < 1 || Number.isInteger(value));
}

/** What is in effect without the person's word: the model's, else the usual. */
export function defaultOf({ name, usual }: Setting, model: Sampling | undefined): number | undefined {
  return name === 'seed' ? undefined : (model?.[name] ?? usual);
}

export const randomSeed = (): number => crypto.getRandomValues(new Uint32Array(1))[0]!;
