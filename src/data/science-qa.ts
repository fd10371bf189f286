/**
 * ScienceQA as its authors publish it and LaVIN reads it: `problems.json`, `pid_splits.json`, pictures at
 * `images/SPLIT/ID/image.png`, and, for prompts with captions, `captions.json`. Source: LaVIN's `util/datasets.py`.
 */
import type { Example } from './example';
import { type DatasetFolder, firstPresent, plainPath } from './folder';
import type { DatasetRow } from './instruction-rows';
import { readJsonElements } from './json-elements';
import { isScienceQaFormat, type ScienceQaFormat, type ScienceQaProblem, scienceQaPrompt } from './prompts';
import type { ReadOptions } from './records';

export interface ScienceQaOptions extends ReadOptions {
  /** A key of `pid_splits.json`: train, val, test, trainval, minitrain, ... */
  readonly split?: string;
  readonly format?: ScienceQaFormat;
  readonly useCaption?: boolean;
  readonly letters?: readonly string[];
}

interface Problem extends ScienceQaProblem {
  readonly image: string | null;
  readonly split: string;
  readonly grade: string;
  readonly subject: string;
  readonly topic: string;
  readonly category: string;
  readonly skill: string;
}

/**
 * The split's questions in the order of `problems.json`; ids that the split names and the file lacks come last, as bad
 * rows.
 * @throws RangeError for an unknown prompt format or split, FormatError, NetworkError, or the signal's reason
 */
export async function* readScienceQa(
  folder: DatasetFolder,
  { split = 'train', format = 'QCM-ALE', useCaption = false, letters, signal, onBytes }: ScienceQaOptions = {},
): AsyncGenerator<DatasetRow> {
  if (!isScienceQaFormat(format)) throw new RangeError(`"${format}" is no prompt format; QCM-ALE is one`);
  const wanted = await readSplit(folder, split, signal);
  const captions = useCaption ? await readCaptions(folder, signal) : new Map<string, string>();
  const source = await folder.open('problems.json');
  try {
    for await (const { path, line, value, problem } of readJsonElements(source, 1, { signal, onBytes })) {
      const [id] = path;
      if (problem !== undefined) {
        if (id === undefined || wanted.delete(id))
          yield { line, problem: id === undefined ? problem : `${id}: ${problem}` };
        continue;
      }
      if (!wanted.delete(id)) continue;
      const found = problemOf(value, captions.get(id) ?? '');
      if (typeof found === 'string') yield { line, problem: `${id}: ${found}` };
      else yield await rowOf(id, found, line, folder, { split, format, useCaption, letters });
    }
  } finally {
    await source.close?.();
  }
  for (const id of wanted) yield { line: 0, problem: `${id}: problems.json has no such question` };
}

async function readSplit(folder: DatasetFolder, split: string, signal?: AbortSignal): Promise<Set<string>> {
  const source = await folder.open('pid_splits.json');
  const names: string[] = [];
  try {
    for await (const { path, value, problem } of readJsonElements(source, 1, { signal })) {
      if (problem !== undefined) throw new RangeError(`pid_splits.json: ${problem}`);
      names.push(path[0]);
      if (path[0] !== split) continue;
      if (!Array.isArray(value)) throw new RangeError(`pid_splits.json: "${split}" is not a list`);
      return new Set(value.map(String));
    }
  } finally {
    await source.close?.();
  }
  throw new RangeError(`there is no split "${split}" in pid_splits.json; it has ${names.join(', ')}`);
}

/** `{"captions": {id: text}}`; none where there is no such file. */
async function readCaptions(folder: DatasetFolder, signal?: AbortSignal): Promise<Map<string, string>> {
  const captions = new Map<string, string>();
  if (!(await folder.has('captions.json'))) return captions;
  const source = await folder.open('captions.json');
  try {
    for await (const { path, value } of readJsonElements(source, 2, { signal })) {
      if (path[0] === 'captions' && path.length === 2 && typeof value === 'string') captions.set(path[1], value);
    }
  } finally {
    await source.close?.();
  }
  return captions;
}

/** The problem, or what is wrong with it. */
function problemOf(value: unknown, caption: string): Problem | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'the entry is not an object';
  const entry = value as Readonly<Record<string, unknown>>;
  const texts = ['question', 'hint', 'lecture', 'solution', 'split', 'grade', 'subject', 'topic', 'category', 'skill'];
  const wrong = texts.find((name) => entry[name] !== undefined && typeof entry[name] !== 'string');
  if (wrong) return `"${wrong}" is not text`;
  const { choices, answer, image = null } = entry;
  const text = (name: string) => (entry[name] as string | undefined) ?? '';
  if (text('question').trim() === '') return '"question" is missing';
  if (!Array.isArray(choices) || choices.length === 0 || !choices.every((choice) => typeof choice === 'string')) {
    return '"choices" is not a list of texts';
  }
  if (!Number.isInteger(answer) || (answer as number) < 0 || (answer as number) >= choices.length) {
    return `"answer" ${JSON.stringify(answer)} is none of ${choices.length} choices`;
  }
  if (image !== null && typeof image !== 'string') return '"image" is not text';
  return {
    question: text('question'),
    hint: text('hint'),
    caption,
    choices,
    answer: answer as number,
    lecture: text('lecture'),
    solution: text('solution'),
    image: image === '' ? null : image,
    split: text('split'),
    grade: text('grade'),
    subject: text('subject'),
    topic: text('topic'),
    category: text('category'),
    skill: text('skill'),
  };
}

async function rowOf(
  id: string,
  problem: Problem,
  line: number,
  folder: DatasetFolder,
  {
    split,
    format,
    useCaption,
    letters,
  }: { split: string; format: ScienceQaFormat } & Pick<ScienceQaOptions, 'useCaption' | 'letters'>,
): Promise<DatasetRow> {
  const bad = (what: string): DatasetRow => ({ line, problem: `${id}: ${what}` });
  const { question: _, caption: __, hint, image, choices, answer, lecture: ___, solution: ____, ...labels } = problem;
  let text: ReturnType<typeof scienceQaPrompt>;
  try {
    text = scienceQaPrompt(problem, format, { useCaption, ...(letters && { letters }) });
  } catch (error) {
    return bad((error as Error).message);
  }
  const letter = (letters ?? ['A', 'B', 'C', 'D', 'E'])[answer];
  const own = labels.split || split;
  const example: Example = {
    id,
    ask: { kind: 'prompt', text: text.prompt },
    answer: text.answer,
    science: { ...labels, split: own, hasText: hint !== '', hasImage: image !== null, choices, answer, letter },
  };
  if (image === null) return { line, example };
  const file = plainPath(`${id}/${image}`);
  if (file === undefined) return bad(`the picture ${JSON.stringify(image)} is no path within the folder`);
  const path = await firstPresent(folder, [`images/${own}/${file}`, `${own}/${file}`, `images/${file}`]);
  return path
    ? { line, example: { ...example, image: path } }
    : bad(`the picture "images/${own}/${file}" is not there`);
}
