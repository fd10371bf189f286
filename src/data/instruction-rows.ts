/**
 * Instructions with answers, from four kinds of file: JSONL and CSV with a picture's path per row, Alpaca's JSON list,
 * LaVIN's `all_data.json`. Field names of all four are understood everywhere.
 */
import type { ByteSource } from '../formats/bytes';
import { readCsv } from './csv';
import type { Ask, Example } from './example';
import { type DatasetFolder, firstPresent, plainPath } from './folder';
import { readJsonElements } from './json-elements';
import { type ReadOptions, readRecords } from './records';

/** One row of a dataset: an example, or why it is none. `line` counts from 1. */
export type DatasetRow =
  | { readonly line: number; readonly example: Example; readonly problem?: undefined }
  | { readonly line: number; readonly example?: undefined; readonly problem: string };

/** Names that fields go by; the first that a row has is taken. */
const FIELDS = {
  instruction: ['instruction', 'question'],
  answer: ['answer', 'output', 'response'],
  id: ['id', 'qid'],
} as const;

/**
 * One JSON object per line: `{"instruction", "input"?, "answer", "image"?, "id"?, "skill"?, "accept"?}`. `accept` is other
 * right answers in one text, with "|" between them.
 */
export async function* readJsonl(
  source: ByteSource,
  folder: DatasetFolder,
  options?: ReadOptions,
): AsyncGenerator<DatasetRow> {
  for await (const { line, text, problem } of readRecords(source, undefined, options)) {
    if (text?.trim() === '') continue;
    let row: unknown;
    try {
      row = text && JSON.parse(text);
    } catch (error) {
      yield { line, problem: `the row is not JSON (${(error as Error).message})` };
      continue;
    }
    yield problem === undefined ? await rowOf(row, line, `${source.name}:${line}`, folder) : { line, problem };
  }
}

/** A header with the same names, then one row per example. */
export async function* readCsvExamples(
  source: ByteSource,
  folder: DatasetFolder,
  options?: ReadOptions,
): AsyncGenerator<DatasetRow> {
  let header: string[] | undefined;
  for await (const { line, cells, problem } of readCsv(source, options)) {
    if (problem !== undefined) {
      yield { line, problem };
    } else if (!header) {
      header = cells.map((cell) => cell.trim().toLowerCase());
      const missing = (['instruction', 'answer'] as const).find(
        (name) => !FIELDS[name].some((f) => header!.includes(f)),
      );
      if (missing) {
        yield { line, problem: `the first row names no column "${missing}"; it has ${header.join(', ')}` };
        return;
      }
    } else if (cells.length !== header.length) {
      yield { line, problem: `the row has ${cells.length} cells, the first row ${header.length}` };
    } else {
      // An empty cell is a field that is not there.
      const entries = header.map((name, i) => [name, cells[i]] as const).filter(([, cell]) => cell !== '');
      yield await rowOf(Object.fromEntries(entries), line, `${source.name}:${line}`, folder);
    }
  }
}

/** A JSON list of `{"instruction", "input", "output"}`, as Stanford Alpaca's. */
export async function* readAlpaca(
  source: ByteSource,
  folder: DatasetFolder,
  options?: ReadOptions,
): AsyncGenerator<DatasetRow> {
  for await (const { path, line, value, problem } of readJsonElements(source, 1, options)) {
    if (problem !== undefined) yield { line, problem };
    else yield await rowOf(value, line, `alpaca_${path[0]}`, folder);
  }
}

/**
 * LaVIN's `{"all": [{"instruction", "answer", "image", "image_source", "qid"}, ...]}`: instructions are whole prompts.
 * @param split one of the file's keys; all of them by default
 */
export async function* readAllData(
  source: ByteSource,
  folder: DatasetFolder,
  { split, ...options }: ReadOptions & { readonly split?: string } = {},
): AsyncGenerator<DatasetRow> {
  for await (const { path, line, value, problem } of readJsonElements(source, 2, options)) {
    if (problem !== undefined) {
      if (path.length === 0 || split === undefined || path[0] === split) yield { line, problem };
    } else if (path.length === 2 && (split === undefined || path[0] === split)) {
      yield await rowOf(value, line, path.join('_'), folder, 'prompt');
    }
  }
}

async function rowOf(
  row: unknown,
  line: number,
  defaultId: string,
  folder: DatasetFolder,
  kind: Ask['kind'] = 'instruction',
): Promise<DatasetRow> {
  const bad = (problem: string): DatasetRow => ({ line, problem });
  if (typeof row !== 'object' || row === null || Array.isArray(row)) return bad('the row is not an object of fields');
  const fields = row as Readonly<Record<string, unknown>>;
  const field = (names: readonly string[]) => {
    const name = names.find((n) => Object.hasOwn(fields, n)) ?? names[0];
    return { name, value: Object.hasOwn(fields, name) ? (fields[name] ?? undefined) : undefined };
  };
  const [instruction, answer, id] = [field(FIELDS.instruction), field(FIELDS.answer), field(FIELDS.id)];
  const [input, image, skill, accept] = ['input', 'image', 'skill', 'accept'].map((name) => field([name]));
  for (const { name, value } of [instruction, answer]) {
    if (value === undefined) return bad(`"${name}" is missing`);
    if (typeof value === 'string' && value.trim() === '') return bad(`"${name}" is empty`);
  }
  for (const { name, value } of [instruction, answer, input, image, skill, accept]) {
    if (value !== undefined && typeof value !== 'string') return bad(`"${name}" is not text`);
  }
  if (id.value !== undefined && typeof id.value !== 'string' && typeof id.value !== 'number') {
    return bad(`"${id.name}" is neither text nor a number`);
  }
  const name = String(id.value ?? defaultId);
  const text = instruction.value as string;
  const ask: Ask =
    kind === 'prompt'
      ? { kind, text }
      : { kind, text, ...(input.value !== undefined && { input: input.value as string }) };
  const example: Example = {
    id: name,
    ask,
    answer: answer.value as string,
    ...(accept.value !== undefined && { accept: (accept.value as string).split('|') }),
    ...(skill.value !== undefined && { skill: skill.value as string }),
  };
  if (image.value === undefined || image.value === '') return { line, example };

  const told = plainPath(image.value as string);
  if (told === undefined) return bad(`the picture ${JSON.stringify(image.value)} is no path within the folder`);
  const path = await firstPresent(folder, picturePaths(told, fields.image_source, name));
  if (path === undefined) return bad(`the picture "${told}" is not in the folder`);
  return { line, example: { ...example, image: path } };
}

/** Where a picture may lie. `sqa` and `mscoco` as LaVIN's `util/datasets.py` has them, below the folder's `images`. */
function picturePaths(told: string, source: unknown, id: string): string[] {
  const known: string[] = [];
  const within = plainPath(id);
  if (source === 'sqa' && within) known.push(`train/${within}/image.png`);
  if (source === 'mscoco') known.push(`train2014/COCO_train2014_${told}`);
  return [...known, told].flatMap((path) => [path, `images/${path}`]);
}
