import type { Example } from '../data/example';
import type { DatasetFolder } from '../data/folder';
import { type ImageDecoder, ImageError } from '../data/image';
import { isSettled, judge, majorityBaseline, type Score, Tally, type Verdict } from '../data/scoring';
import { ContextFullError } from '../generate/generate';
import { resolveSampling } from '../generate/sampling';
import { featuresPerImage } from '../models/lavin';
import { answer } from './answer';
import type { Model } from './model';
import { BlindError, encodeImage } from './picture';
import { examplePrompt } from './training-data';

export interface EvaluateOptions {
  readonly folder: DatasetFolder;
  readonly decode: ImageDecoder;
  readonly maxTokens: number;
  /** Ask each question about a picture once more, about the next example's: what can be had without looking. */
  readonly wrongPicture?: boolean;
  /** Ends the evaluation; what was asked so far is scored. */
  readonly signal?: AbortSignal;
  readonly onAnswer?: (asked: Asked) => void;
}

/** One question and what came of it. */
export interface Asked {
  readonly example: Example;
  readonly completion: string;
  readonly verdict: Verdict;
  /** Why it was not answered: its prompt is longer than the context, or its picture cannot be read. Counts as unparsed. */
  readonly problem?: string;
  /** The picture is another example's. */
  readonly wrongPicture: boolean;
  /** Questions asked so far, this one included, and in all. */
  readonly done: number;
  readonly of: number;
}

export interface Evaluation {
  readonly score: Score;
  readonly classes: Tally['classes'];
  /** Of the examples that were asked; absent if none was. */
  readonly majority: ReturnType<typeof majorityBaseline>;
  readonly wrongPicture?: Score;
  /** The same by skill, in the order in which the dataset comes to them; empty where it names none. */
  readonly skills: Readonly<Record<string, SkillScore>>;
  readonly problems: readonly { readonly id: string; readonly problem: string }[];
  /** Tokens generated. */
  readonly tokens: number;
  /** Cut short by the signal. */
  readonly stopped: boolean;
}

/** How one skill of the dataset went. */
export interface SkillScore {
  readonly score: Score;
  readonly majority: ReturnType<typeof majorityBaseline>;
  readonly wrongPicture?: Score;
}

/**
 * Asks a model every example, greedily, in the prompt format that it was trained with.
 * @throws BlindError before anything is asked, where pictures are to be looked at by a model that cannot; RangeError for wrong
 *   pictures where there are no two different ones; GpuError
 */
export async function evaluate(
  model: Model,
  examples: readonly Example[],
  options: EvaluateOptions,
): Promise<Evaluation> {
  const { wrongPicture, signal, onAnswer } = options;
  if (examples.some(({ image }) => image !== undefined) && !model.vision) throw new BlindError();
  const swapped = wrongPicture ? wrongPictures(examples) : [];
  const all = new Account();
  const skills = new Map<string, Account>();
  const problems: { id: string; problem: string }[] = [];
  let [tokens, done] = [0, 0];
  const questions = [
    ...examples.map((example) => ({ example, image: example.image, wrong: false })),
    ...swapped.map(({ example, image }) => ({ example, image, wrong: true })),
  ];
  for (const { example, image, wrong } of questions) {
    const result = await ask(model, example, image, options);
    if (!result) break;
    tokens += result.tokens;
    const { completion, problem } = result;
    const verdict = problem === undefined ? judge(example, completion) : 'unparsed';
    all.add(example, verdict, wrong);
    const { skill } = example;
    if (skill !== undefined) {
      const account = skills.get(skill) ?? new Account();
      skills.set(skill, account);
      account.add(example, verdict, wrong);
    }
    if (problem !== undefined && !wrong) problems.push({ id: example.id, problem });
    done++;
    onAnswer?.({ example, completion, verdict, problem, wrongPicture: wrong, done, of: questions.length });
  }
  return {
    ...all.scores(wrongPicture),
    classes: all.tally.classes,
    skills: Object.fromEntries([...skills].map(([name, account]) => [name, account.scores(account.floored)])),
    problems,
    tokens,
    stopped: signal?.aborted ?? false,
  };
}

/** What was asked of one kind, about the right pictures and about wrong ones. */
class Account {
  readonly tally = new Tally();
  private readonly floor = new Tally();
  private readonly asked: Example[] = [];

  add(example: Example, verdict: Verdict, wrong: boolean): void {
    (wrong ? this.floor : this.tally).add(example, verdict);
    if (!wrong) this.asked.push(example);
  }

  /** Whether anything was asked about wrong pictures. */
  get floored(): boolean {
    return this.floor.all.questions > 0;
  }

  scores(floor = false): SkillScore {
    return {
      score: this.tally.all,
      majority: majorityBaseline(this.asked),
      ...(floor && { wrongPicture: this.floor.all }),
    };
  }
}

/** Each question about a picture with the next different picture, in a ring. */
function wrongPictures(examples: readonly Example[]): { example: Example; image: string }[] {
  const seeing = examples.filter(({ image }) => image !== undefined);
  return seeing.map((example, i) => {
    for (let step = 1; step < seeing.length; step++) {
      const { image } = seeing[(i + step) % seeing.length];
      if (image !== example.image) return { example, image: image! };
    }
    throw new RangeError('asking about a wrong picture needs examples with two different pictures');
  });
}

/** Undefined when the signal came first. */
async function ask(
  model: Model,
  example: Example,
  image: string | undefined,
  { folder, decode, maxTokens, signal }: EvaluateOptions,
): Promise<{ completion: string; tokens: number; problem?: string } | undefined> {
  if (signal?.aborted) return undefined;
  const settled = new AbortController();
  const { manifest, tokenizer } = model;
  let completion = '';
  try {
    const encoded = image === undefined ? undefined : await look(model, image, { folder, decode, signal });
    const picture = encoded && { hash: encoded.hash, features: featuresPerImage(model.lavin) };
    const { ask: question } = example;
    const prompt = examplePrompt(question, manifest.prompt, tokenizer, picture);
    const { records, ...result } = await answer(model, {
      prompt,
      modality: picture ? 1 : 0,
      sampling: resolveSampling({ temperature: 0, maxTokens }),
      stop: question.kind === 'prompt' ? [] : manifest.prompt.stop,
      signal: signal ? AbortSignal.any([signal, settled.signal]) : settled.signal,
      onToken: (piece) => {
        completion += piece;
        if (isSettled(example, completion)) settled.abort();
      },
    });
    return signal?.aborted ? undefined : { completion: result.text, tokens: records.length };
  } catch (error) {
    if (signal?.aborted) return undefined;
    const understood = error instanceof ContextFullError || error instanceof PictureProblem;
    if (understood) return { completion: '', tokens: 0, problem: error.message };
    throw error;
  }
}

class PictureProblem extends Error {}

async function look(
  model: Model,
  path: string,
  { folder, decode, signal }: Pick<EvaluateOptions, 'folder' | 'decode' | 'signal'>,
) {
  const source = await folder.open(path).catch((error: Error) => {
    throw new PictureProblem(`${path}: ${error.message}`);
  });
  try {
    const bytes = (await source.read(0, source.size, signal)) as Uint8Array<ArrayBuffer>;
    return await encodeImage(model, new Blob([bytes]), decode, signal);
  } catch (error) {
    throw error instanceof ImageError ? new PictureProblem(`${path}: ${error.message}`) : error;
  } finally {
    await source.close?.();
  }
}
