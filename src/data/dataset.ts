/** Any dataset that is understood, as one stream of examples with an account of what could not be used. */
import { FormatError } from '../formats/error';
import type { Example } from './example';
import type { DatasetFolder } from './folder';
import { type DatasetRow, readAllData, readAlpaca, readCsvExamples, readJsonl } from './instruction-rows';
import type { ReadOptions } from './records';
import { readScienceQa, type ScienceQaOptions } from './science-qa';

export type DatasetKind = 'science-qa' | 'all-data' | 'alpaca' | 'jsonl' | 'csv';

export interface DatasetOptions extends ScienceQaOptions {
  /** The file to read, where a folder has more than one. */
  readonly file?: string;
  /** Rows of more tokens than `limit` lose the end of their answer: they are given out all the same, and counted. */
  readonly length?: { readonly limit: number; readonly count: (example: Example) => number };
}

export interface BadRow {
  /** 0 where the row has no line. */
  readonly line: number;
  readonly problem: string;
}

/** What was read so far. Lists are cut after {@link MAX_LISTED}; counts are not. */
export interface DatasetSummary {
  readonly kind: DatasetKind;
  readonly file: string;
  examples: number;
  withImage: number;
  bad: { count: number; first: BadRow[] };
  /** Rows that the length limit cuts, by id, and the longest row's tokens; only with `length` among the options. */
  cut?: { count: number; first: { readonly id: string; readonly tokens: number }[]; longest: number };
}

export const MAX_LISTED = 100;

export interface Dataset {
  readonly kind: DatasetKind;
  readonly summary: DatasetSummary;
  /** Every usable example, once; the summary grows along. To be called once. */
  examples(): AsyncGenerator<Example>;
}

/**
 * Finds out what a folder holds: `problems.json` is ScienceQA, `all_data.json` LaVIN's, else the one `.jsonl`, `.csv` or
 * `.json` (Alpaca) in it.
 * @throws FormatError `missing` where there is none, `unsupported` where it is not told which; RangeError
 */
export async function openDataset(folder: DatasetFolder, options: DatasetOptions = {}): Promise<Dataset> {
  const file = options.file ?? (await theFile(folder));
  const kind = kindOf(file);
  if (!kind) throw new FormatError('unsupported', folder.name, file, 'a dataset is a .jsonl, .csv or .json file.');
  if (kind === 'science-qa' && file !== 'problems.json') {
    throw new FormatError(
      'unsupported',
      folder.name,
      file,
      'open the folder that it is in: its pictures are beside it.',
    );
  }
  if (!(await folder.has(file))) throw new FormatError('missing', folder.name, file, 'there is no such file.');
  const { length } = options;
  const summary: DatasetSummary = {
    kind,
    file,
    examples: 0,
    withImage: 0,
    bad: { count: 0, first: [] },
    ...(length && { cut: { count: 0, first: [], longest: 0 } }),
  };
  async function* examples(): AsyncGenerator<Example> {
    for await (const { line, example, problem } of rowsOf(folder, kind!, file, options)) {
      if (problem !== undefined) {
        list(summary.bad, { line, problem });
        continue;
      }
      summary.examples++;
      if (example.image !== undefined) summary.withImage++;
      if (length && summary.cut) {
        const tokens = length.count(example);
        summary.cut.longest = Math.max(summary.cut.longest, tokens);
        if (tokens > length.limit) list(summary.cut, { id: example.id, tokens });
      }
      yield example;
    }
  }
  return { kind, summary, examples };
}

/** The summary in a few plain lines, bad rows first. */
export function describeDataset({ file, examples, withImage, bad, cut }: DatasetSummary): string {
  const lines = [`${file}: ${examples} examples, ${withImage} of them with a picture`];
  if (cut)
    lines.push(
      `${cut.count} rows are longer than the limit and lose the end of their answer (longest: ${cut.longest} tokens)`,
    );
  if (bad.count > 0) lines.push(`${bad.count} rows could not be used:`);
  for (const { line, problem } of bad.first) lines.push(line > 0 ? `  line ${line}: ${problem}` : `  ${problem}`);
  if (bad.count > bad.first.length) lines.push(`  ... and ${bad.count - bad.first.length} more`);
  return lines.join('\n');
}

function list<T>(into: { count: number; first: T[] }, item: T): void {
  into.count++;
  if (into.first.length < MAX_LISTED) into.first.push(item);
}

function kindOf(file: string): DatasetKind | undefined {
  const name = file.slice(file.lastIndexOf('/') + 1).toLowerCase();
  if (name === 'problems.json') return 'science-qa';
  if (name === 'all_data.json') return 'all-data';
  if (/\.(jsonl|ndjson)$/.test(name)) return 'jsonl';
  if (/\.(csv|tsv)$/.test(name)) return 'csv';
  return name.endsWith('.json') ? 'alpaca' : undefined;
}

async function theFile(folder: DatasetFolder): Promise<string> {
  const names = (await folder.list()).filter((name) => kindOf(name) !== undefined);
  const known = names.find((name) => name === 'problems.json') ?? names.find((name) => name === 'all_data.json');
  if (known) return known;
  if (names.length === 1) return names[0];
  if (names.length === 0) {
    const wanted = 'problems.json, all_data.json, a .jsonl, a .csv or a .json file';
    throw new FormatError('missing', folder.name, 'dataset', `the folder has none of ${wanted}.`);
  }
  const list = names.sort().join(', ');
  throw new FormatError('unsupported', folder.name, 'dataset', `say which file to read: ${list}.`);
}

async function* rowsOf(
  folder: DatasetFolder,
  kind: DatasetKind,
  file: string,
  options: DatasetOptions,
): AsyncGenerator<DatasetRow> {
  if (kind === 'science-qa') {
    yield* readScienceQa(folder, options);
    return;
  }
  const source = await folder.open(file);
  const { signal, onBytes, split } = options;
  const reading: ReadOptions = { signal, onBytes };
  try {
    if (kind === 'all-data') yield* readAllData(source, folder, { ...reading, split });
    else if (kind === 'alpaca') yield* readAlpaca(source, folder, reading);
    else if (kind === 'csv') yield* readCsvExamples(source, folder, reading);
    else yield* readJsonl(source, folder, reading);
  } finally {
    await source.close?.();
  }
}
