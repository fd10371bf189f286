import { type ParseArgsConfig, parseArgs } from 'node:util';
import { openDataset } from '../data/dataset';
import type { Example } from '../data/example';
import { NORMALISATION, type Score } from '../data/scoring';
import { AdapterMisfitError, adapterMisfits } from '../engine/adapter-fit';
import { type Evaluation, evaluate } from '../engine/evaluate';
import { chooseKernels } from '../engine/kernel-choices';
import { Model } from '../engine/model';
import { type ModelFiles, openBareGguf, openManifest } from '../engine/model-files';
import { swapAdapters } from '../engine/swap-adapters';
import { type AdapterFile, openAdapterFile } from '../formats/adapter-file';
import { DEFAULT_CHOICES } from '../gpu/choices';
import { Gpu } from '../gpu/device';
import { datasetFolder } from './dataset-folder';
import { FileSource } from './file-source';
import { nodePorts } from './node-ports';
import { ProgressLine } from './progress-line';
import { UsageError } from './usage';

export const EVAL_USAGE = `lavin eval --dataset DIR --model MANIFEST.json|FILE.gguf
  asks a model every example, greedily, and tells how many it gets right; Ctrl-C tells of those asked so far
  [--adapters FILE]         in the place of the manifest's own
  [--file NAME] [--split S] of the dataset; of ScienceQA "test" by default
  [--limit N]               the first N examples
  [--max-tokens N]          of an answer; default 64. ScienceQA's end with their letter anyhow
  [--wrong-picture]         ask each question about a picture once more, about the next example's picture: the floor
  [--context N] [--kernels auto|plain]
  [--json]                  one JSON object`;

const OPTIONS = {
  dataset: { type: 'string' },
  model: { type: 'string' },
  adapters: { type: 'string' },
  file: { type: 'string' },
  split: { type: 'string' },
  limit: { type: 'string' },
  'max-tokens': { type: 'string', default: '64' },
  'wrong-picture': { type: 'boolean' },
  context: { type: 'string' },
  kernels: { type: 'string', default: 'auto' },
  json: { type: 'boolean' },
} as const satisfies ParseArgsConfig['options'];

/** Status of a process that a person ended with Ctrl-C. */
const INTERRUPTED = 130;

/** `lavin eval`: how many of a dataset's questions a model gets right. */
export async function evalCommand(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: OPTIONS });
  if (!values.dataset || !values.model) throw new UsageError(`--dataset and --model are needed.\n\n${EVAL_USAGE}`);
  const whole = (name: 'limit' | 'max-tokens' | 'context') => {
    if (values[name] === undefined) return undefined;
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < 1)
      throw new UsageError(`--${name} wants a whole number from 1 on, not "${values[name]}"`);
    return value;
  };
  const [limit, maxTokens, context] = [whole('limit'), whole('max-tokens')!, whole('context')];
  if (values.kernels !== 'auto' && values.kernels !== 'plain')
    throw new UsageError(`--kernels is one of auto, plain, not "${values.kernels}"`);

  // Everything that can be wrong with the command line or the files, before the GPU is opened.
  const folder = await datasetFolder(values.dataset);
  const { examples, about } = await readExamples(folder, values, limit);
  const ports = nodePorts();
  const files = values.model.endsWith('.json')
    ? await openManifest(ports, values.model)
    : await openBareGguf(await FileSource.open(values.model));
  const source = values.adapters === undefined ? undefined : await FileSource.open(values.adapters);
  const controller = new AbortController();
  const interrupt = () => controller.abort(new Error('stopped'));
  process.once('SIGINT', interrupt);
  const line = new ProgressLine();
  try {
    const adapters = source && (await openAdapterFile(source));
    if (adapters) await refuseMisfit(adapters, files);
    const gpu = await Gpu.open(ports.gpu);
    const model = await Model.load(gpu, files, {
      choices: values.kernels === 'plain' ? DEFAULT_CHOICES : await chooseKernels(gpu, ports.memory),
      context,
      signal: controller.signal,
      onProgress: ({ phase, loadedBytes, totalBytes }) =>
        phase === 'download' && line.show(`loading ${Math.round((100 * loadedBytes) / totalBytes)}%`),
    });
    if (adapters) await swapAdapters(model, adapters, controller.signal);
    const began = performance.now();
    let right = 0;
    const result = await evaluate(model, examples, {
      folder,
      decode: ports.decodeImage,
      maxTokens,
      wrongPicture: values['wrong-picture'],
      signal: controller.signal,
      onAnswer: ({ verdict, wrongPicture, done, of }) => {
        if (verdict === 'right' && !wrongPicture) right++;
        const secondsLeft = (((performance.now() - began) / done) * (of - done)) / 1000;
        const what = wrongPicture ? 'about wrong pictures' : `${right} right`;
        line.show(`${done} of ${of}, ${what}`, { done: done / of, secondsLeft });
      },
    });
    line.end();
    const seconds = (performance.now() - began) / 1000;
    const named = { model: files.manifest.title, adapters: values.adapters ?? files.manifest.adapters?.file };
    const report = { ...named, dataset: about, maxTokens, normalisation: NORMALISATION, ...result, seconds };
    process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : `${describeEvaluation(result)}\n`);
    model.destroy();
    gpu.destroy();
    return result.stopped ? INTERRUPTED : 0;
  } finally {
    line.end();
    process.off('SIGINT', interrupt);
    await Promise.all([files.close(), source?.close()]);
  }
}

async function readExamples(
  folder: Awaited<ReturnType<typeof datasetFolder>>,
  { file, split }: { file?: string; split?: string },
  limit = Number.POSITIVE_INFINITY,
) {
  const { kind } = await openDataset(folder, { file });
  const chosen = split ?? (kind === 'science-qa' ? 'test' : undefined);
  const dataset = await openDataset(folder, { file, split: chosen });
  const examples: Example[] = [];
  for await (const example of dataset.examples()) {
    examples.push(example);
    if (examples.length >= limit) break;
  }
  const { file: name, bad } = dataset.summary;
  if (bad.count > 0) {
    const [{ line, problem }] = bad.first;
    process.stderr.write(
      `${bad.count} rows could not be used, the first: ${line > 0 ? `line ${line}: ` : ''}${problem}\n`,
    );
  }
  if (examples.length === 0) throw new UsageError(`${folder.name} holds no example that can be used`);
  return { examples, about: { folder: folder.name, file: name, kind, split: chosen, unusable: bad.count } };
}

async function refuseMisfit(adapters: AdapterFile, files: ModelFiles): Promise<void> {
  const host = { base: await files.base, adapterShape: files.adapters?.shape, manifest: files.manifest };
  const misfits = adapterMisfits(adapters, host);
  if (misfits.length > 0)
    throw new AdapterMisfitError(adapters.name, misfits, 'Name the model that they were trained on.');
}

const percent = (share: number) => `${(100 * share).toFixed(2)}%`;

function describeEvaluation(evaluation: Evaluation): string {
  const { score, classes, majority, wrongPicture, skills, problems, stopped } = evaluation;
  const line = (name: string, { questions, right, unparsed, accuracy }: Score) =>
    `${name.padEnd(14)}${percent(accuracy).padStart(8)}  ${right} of ${questions}` +
    (unparsed > 0 ? `, ${unparsed} without an answer that could be read` : '');
  const beside = ({ majority, wrongPicture }: Evaluation['skills'][string]) =>
    [
      ...(wrongPicture ? [`wrong picture ${percent(wrongPicture.accuracy)}`] : []),
      ...(majority ? [`majority ${percent(majority.accuracy)}`] : []),
    ].map((words) => `, ${words}`);
  return [
    ...(stopped ? ['stopped early; of the questions asked so far:'] : []),
    line('all', score),
    ...Object.entries(classes).map(([name, of]) => line(name, of)),
    ...Object.entries(skills).map(([name, of]) => [line(name, of.score), ...beside(of)].join('')),
    ...(wrongPicture ? [line('wrong picture', wrongPicture)] : []),
    ...(majority
      ? [`${'majority'.padEnd(14)}${percent(majority.accuracy).padStart(8)}  always "${majority.answer}"`]
      : []),
    ...problems.slice(0, 10).map(({ id, problem }) => `${id}: ${problem}`),
    ...(problems.length > 10 ? [`... and ${problems.length - 10} more that could not be asked`] : []),
  ].join('\n');
}
