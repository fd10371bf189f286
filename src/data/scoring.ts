/** What an answer is worth: exact match, and ScienceQA's letters by the paper's classes. Nothing is ever guessed. */
import { type Example, type ScienceQaClass, scienceQaClasses } from './example';

/** How {@link normalizeAnswer} compares, for whoever reads the figures. */
export const NORMALISATION =
  'compatible characters made one (NFKC), lower case, white space collapsed, punctuation and spaces at both ends dropped';

/** "  It is  BLUE. " and "it is blue" are the same answer. */
export function normalizeAnswer(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\s+/gu, ' ')
    .replace(/^[\s\p{P}]+|[\s\p{P}]+$/gu, '');
}

/** `unparsed`: no "The answer is X." in it, or X is none of the choices. Counts as not right. */
export type Verdict = 'right' | 'wrong' | 'unparsed';

/**
 * The letter of the first "The answer is X." The published script's pattern lets any character follow the letter (see
 * firstAnswerLetter in prompts.ts), so that it reads B from "The answer is Because"; answers in LaVIN's format give both
 * the same.
 */
function answerLetter(completion: string): string | undefined {
  return /The answer is ([A-Z])\./.exec(completion)?.[1];
}

const LETTERS = ['A', 'B', 'C', 'D', 'E'];

/**
 * Judges a completion: by its letter where the example is ScienceQA's, else by exact match of the normalised text with one
 * of the right answers.
 */
export function judge(example: Pick<Example, 'answer' | 'accept' | 'science'>, completion: string): Verdict {
  const { science, answer, accept = [] } = example;
  if (!science) {
    const given = normalizeAnswer(completion);
    return [answer, ...accept].some((right) => normalizeAnswer(right) === given) ? 'right' : 'wrong';
  }
  const letter = answerLetter(completion);
  const choice = letter === undefined ? -1 : LETTERS.indexOf(letter);
  if (choice < 0 || choice >= science.choices.length) return 'unparsed';
  return choice === science.answer ? 'right' : 'wrong';
}

/** Whether more text cannot change the verdict: a letter is there. */
export function isSettled({ science }: Pick<Example, 'science'>, completion: string): boolean {
  return science !== undefined && answerLetter(completion) !== undefined;
}

export interface Score {
  /** Asked, whatever came of it. */
  readonly questions: number;
  readonly right: number;
  readonly unparsed: number;
  /** right / questions; unparsed answers are not right. */
  readonly accuracy: number;
}

export type ExampleClass = ScienceQaClass | 'image' | 'text';

/** The classes an example counts in: with a picture or without; of ScienceQA the paper's too. */
function classesOf(example: Example): ExampleClass[] {
  const seen = example.image === undefined ? 'text' : 'image';
  return [seen, ...(example.science ? scienceQaClasses(example.science) : [])];
}

/** Counts verdicts, in all and by class. */
export class Tally {
  private readonly counts = new Map<ExampleClass | 'all', { questions: number; right: number; unparsed: number }>();

  add(example: Example, verdict: Verdict): void {
    for (const name of ['all', ...classesOf(example)] as const) {
      const count = this.counts.get(name) ?? { questions: 0, right: 0, unparsed: 0 };
      this.counts.set(name, count);
      count.questions++;
      if (verdict === 'right') count.right++;
      if (verdict === 'unparsed') count.unparsed++;
    }
  }

  get all(): Score {
    return this.score('all');
  }

  /** In the paper's order; classes that no example is in are left out. */
  get classes(): Partial<Record<ExampleClass, Score>> {
    const order: ExampleClass[] = ['NAT', 'SOC', 'LAN', 'TXT', 'IMG', 'NO', 'G1-6', 'G7-12', 'image', 'text'];
    return Object.fromEntries(
      order.filter((name) => this.counts.has(name)).map((name) => [name, this.score(name)] as const),
    );
  }

  private score(name: ExampleClass | 'all'): Score {
    const { questions, right, unparsed } = this.counts.get(name) ?? { questions: 0, right: 0, unparsed: 0 };
    return { questions, right, unparsed, accuracy: questions > 0 ? right / questions : 0 };
  }
}

/** What always giving the most frequent right answer (of these very examples) would score; its letter for ScienceQA. */
export function majorityBaseline(examples: readonly Example[]): { answer: string; accuracy: number } | undefined {
  const counts = new Map<string, number>();
  for (const { answer, science } of examples) {
    const key = science ? science.letter : normalizeAnswer(answer);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const [most] = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return most && { answer: most[0], accuracy: most[1] / examples.length };
}
