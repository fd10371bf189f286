import { instructionPrompt } from './prompts';

/** What an example asks. */
export type Ask =
  /** To be put into the model's prompt format; `input` is what Alpaca calls so, and follows after a blank. */
  | { readonly kind: 'instruction'; readonly text: string; readonly input?: string }
  /** Stands in the context as it is, and the answer right behind it. */
  | { readonly kind: 'prompt'; readonly text: string };

/** One example to train on or to be asked, whatever file it comes from. */
export interface Example {
  readonly id: string;
  readonly ask: Ask;
  readonly answer: string;
  /** Other answers that are as right: synonyms. Trained on is `answer`. */
  readonly accept?: readonly string[];
  /** What is asked for, as the dataset names it: results are broken down by it. */
  readonly skill?: string;
  /** The picture's path in the dataset's folder, with "/". */
  readonly image?: string;
  /** Of ScienceQA: what its results are broken down by. */
  readonly science?: ScienceQaLabels;
}

export interface ScienceQaLabels {
  readonly split: string;
  readonly subject: string;
  readonly grade: string;
  readonly topic: string;
  readonly category: string;
  readonly skill: string;
  /** The question comes with a text as context. */
  readonly hasText: boolean;
  readonly hasImage: boolean;
  readonly choices: readonly string[];
  /** Index of the right choice, and its letter. */
  readonly answer: number;
  readonly letter: string;
}

/** The example's prompt as LaVIN would train on it. */
export function lavinPrompt({ ask }: Pick<Example, 'ask'>): string {
  return ask.kind === 'prompt' ? ask.text : instructionPrompt(ask.text, ask.input);
}

/** The classes of the paper's table. */
export type ScienceQaClass = 'NAT' | 'SOC' | 'LAN' | 'TXT' | 'IMG' | 'NO' | 'G1-6' | 'G7-12';

const SUBJECTS: Readonly<Record<string, ScienceQaClass>> = {
  'natural science': 'NAT',
  'social science': 'SOC',
  'language science': 'LAN',
};

/**
 * The classes that a question counts in: its subject, TXT and IMG (both, if it has both) or NO, its grades.
 * Source: `get_scores` of LaVIN's `eval.py`.
 */
export function scienceQaClasses({ subject, grade, hasText, hasImage }: ScienceQaLabels): ScienceQaClass[] {
  const number = Number(/^grade(\d+)$/.exec(grade)?.[1] ?? Number.NaN);
  const classes: (ScienceQaClass | undefined)[] = [
    Object.hasOwn(SUBJECTS, subject) ? SUBJECTS[subject] : undefined,
    hasText ? 'TXT' : undefined,
    hasImage ? 'IMG' : undefined,
    hasText || hasImage ? undefined : 'NO',
    number >= 1 && number <= 6 ? 'G1-6' : number >= 7 && number <= 12 ? 'G7-12' : undefined,
  ];
  return classes.filter((name) => name !== undefined);
}
