import { appendFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { openDataset } from '../data/dataset';
import type { Example } from '../data/example';
import type { LoadProgress } from '../engine/api';
import { chooseKernels } from '../engine/kernel-choices';
import type { MemoryEstimate } from '../engine/memory-plan';
import { openManifest } from '../engine/model-files';
import { type FeatureProgress, Training } from '../engine/training';
import { openSafetensors } from '../formats/safetensors';
import { DEFAULT_CHOICES } from '../gpu/choices';
import { Gpu } from '../gpu/device';
import { dataDigest, type RunIdentity, readCheckpoint, writeCheckpoint } from '../train/checkpoint';
import type { TrainEvent } from '../train/events';
import { datasetFolder } from './dataset-folder';
import { FileSource } from './file-source';
import { nodePorts } from './node-ports';
import { ProgressLine } from './progress-line';
import { parseTrainConfig, type TrainConfig } from './train-config';
import { UsageError } from './usage';

export const TRAIN_USAGE = `lavin train --config FILE.json --out DIR [--resume] [--kernels auto|plain]
  FILE.json: {"model": MANIFEST, "dataset": FOLDER, ...}; every other field has LaVIN's default, see README.md
  DIR receives adapters.safetensors, run.safetensors (to resume from) and log.jsonl; Ctrl-C saves and stops`;

const OPTIONS = {
  config: { type: 'string' },
  out: { type: 'string' },
  resume: { type: 'boolean' },
  kernels: { type: 'string', default: 'auto' },
} as const satisfies ParseArgsConfig['options'];

/** Status of a process that a person ended with Ctrl-C. */
const INTERRUPTED = 130;

/** `lavin train`: adapters for a model from a dataset, resumable at every save. */
export async function trainCommand(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: OPTIONS });
  if (!values.config || !values.out) throw new UsageError(`--config and --out are needed.\n\n${TRAIN_USAGE}`);
  if (values.kernels !== 'auto' && values.kernels !== 'plain')
    throw new UsageError(`--kernels is one of auto, plain, not "${values.kernels}"`);
  const config = parseTrainConfig(await readConfig(values.config), values.config);
  const beside = (path: string) => (isAbsolute(path) ? path : resolve(dirname(values.config!), path));
  const out = values.out;
  const paths = {
    run: join(out, 'run.safetensors'),
    adapters: join(out, 'adapters.safetensors'),
    log: join(out, 'log.jsonl'),
  };

  const examples = await readExamples(config, beside);
  const ports = nodePorts();
  const files = await openManifest(ports, beside(config.model));
  const controller = new AbortController();
  const interrupt = () => controller.abort(new Interrupted());
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  const line = new ProgressLine();
  try {
    const gpu = await Gpu.open(ports.gpu);
    const training = await Training.open(
      gpu,
      files,
      { ...examples, decode: ports.decodeImage },
      {
        ...config,
        choices: values.kernels === 'plain' ? DEFAULT_CHOICES : await chooseKernels(gpu, ports.memory),
        signal: controller.signal,
        onEstimate: ({ peakBytes, byPurpose }) => line.say(memoryWords(peakBytes, byPurpose)),
        onProgress: (progress) => line.show(loadingWords(progress)),
      },
    ).finally(() => files.close());
    const { trainer, data } = training;
    if (data.cut > 0)
      line.say(`${data.cut} examples are longer than ${config.recipe.maxLength} slots and lose their end`);
    const identity: RunIdentity = { recipe: config.recipe, data: dataDigest(data.sequences) };
    await mkdir(out, { recursive: true });
    if (values.resume) {
      trainer.restore(await openRun(paths.run, identity));
      line.say(`resumed at step ${trainer.done} of ${trainer.steps}`);
    }
    const log = new Log(paths.log, trainer.done);
    await log.begin();
    const save = async () => {
      await replace(paths.run, writeCheckpoint(await trainer.state(), identity));
      await log.flush();
    };
    const last: { loss?: number; validation?: number } = {};
    const onEvent = (event: TrainEvent) => {
      log.add(event);
      if (event.type === 'step') last.loss = event.loss;
      if (event.type === 'validation') last.validation = event.loss;
      report(line, event);
    };
    try {
      while (trainer.done < trainer.steps) {
        const until = Math.min(trainer.steps, trainer.done + config.saveEvery);
        await trainer.run(onEvent, { signal: controller.signal, until });
        await save();
      }
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
      await save();
      line.say(`stopped at step ${trainer.done} of ${trainer.steps}; go on with --resume`);
      return INTERRUPTED;
    }
    const { name, licence, notes } = config;
    const metrics = { steps: trainer.done, ...last };
    await replace(paths.adapters, await training.adapterFile({ name, licence, notes, metrics }));
    line.say(`${paths.adapters}: ${trainer.done} steps, last loss ${last.loss?.toFixed(4)}`);
    training.destroy();
    gpu.destroy();
    return 0;
  } finally {
    line.end();
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

class Interrupted extends Error {
  constructor() {
    super('stopped');
  }
}

async function readConfig(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((cause: Error) => {
    throw new UsageError(`${path} cannot be read (${cause.message})`);
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new UsageError(`${path} is not valid JSON: ${(cause as Error).message}`);
  }
}

async function readExamples(config: TrainConfig, beside: (path: string) => string) {
  const folder = await datasetFolder(beside(config.dataset));
  const dataset = await openDataset(folder, { file: config.file, split: config.split });
  const all: Example[] = [];
  for await (const example of dataset.examples()) all.push(example);
  const { bad } = dataset.summary;
  if (bad.count > 0) {
    process.stderr.write(
      `${bad.count} rows could not be used, the first: line ${bad.first[0].line}: ${bad.first[0].problem}\n`,
    );
  }
  if (all.length === 0) throw new UsageError(`${beside(config.dataset)} holds no example that can be used`);
  // Every n-th example, whatever the seed: the same ones in every run on this dataset.
  const every = config.validationShare > 0 ? Math.max(2, Math.round(1 / config.validationShare)) : 0;
  const held = (i: number) => every > 0 && i % every === every - 1;
  return { folder, train: all.filter((_, i) => !held(i)), validation: all.filter((_, i) => held(i)) };
}

async function openRun(path: string, identity: RunIdentity) {
  const source = await FileSource.open(path);
  try {
    return await readCheckpoint(await openSafetensors(source), identity);
  } finally {
    await source.close();
  }
}

/** Whole or not at all: a process killed while it writes leaves the last file in place. */
async function replace(path: string, bytes: Uint8Array): Promise<void> {
  const beside = `${path}.part`;
  await writeFile(beside, bytes);
  await rename(beside, path);
}

/** One JSON object per event; lines past the resumed step, of a run that was killed, are dropped. */
class Log {
  private pending: string[] = [];

  constructor(
    private readonly path: string,
    private readonly step: number,
  ) {}

  async begin(): Promise<void> {
    const text = this.step > 0 ? await readFile(this.path, 'utf8').catch(() => '') : '';
    const kept = text.split('\n').filter((row) => row !== '' && JSON.parse(row).step <= this.step);
    await replace(this.path, new TextEncoder().encode(kept.map((row) => `${row}\n`).join('')));
  }

  add(event: TrainEvent): void {
    this.pending.push(`${JSON.stringify(event)}\n`);
  }

  async flush(): Promise<void> {
    await appendFile(this.path, this.pending.splice(0).join(''));
  }
}

function memoryWords(peakBytes: number, byPurpose: MemoryEstimate['byPurpose']): string {
  const mib = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`;
  const largest = Object.entries(byPurpose).sort(([, a], [, b]) => b - a);
  const parts = largest.slice(0, 3).map(([purpose, bytes]) => `${purpose} ${mib(bytes)}`);
  return `this run needs up to ${mib(peakBytes)} of GPU memory (${parts.join(', ')})`;
}

function loadingWords(progress: LoadProgress | FeatureProgress): string {
  if (progress.phase === 'features') return `looking at picture ${progress.done} of ${progress.total}`;
  return `loading ${Math.round((100 * progress.loadedBytes) / progress.totalBytes)}%`;
}

function report(line: ProgressLine, event: TrainEvent): void {
  if (event.type === 'rolled-back') {
    line.say(`step ${event.step}: three bad steps in a row; returned to the last good ones, rate halved`);
  } else if (event.type === 'routing') {
    // The log has the table; a line is no place for it.
    return;
  } else if (event.type === 'validation') {
    line.say(`step ${event.step}: validation loss ${event.loss.toFixed(4)} over ${event.examples} examples`);
  } else {
    const { step, steps, loss, rate, tokensPerSecond, secondsLeft } = event;
    const speed = Number.isFinite(secondsLeft) ? `, ${Math.round(tokensPerSecond)} tokens/s` : '';
    line.show(`step ${step} of ${steps}, loss ${loss.toFixed(4)}, rate ${rate.toExponential(2)}${speed}`, {
      done: step / steps,
      secondsLeft,
    });
  }
}
