import { randomBytes } from 'node:crypto';
import { access, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { type BaseFiles, baseIdentity } from '../engine/base-identity';
import { type LlamaDescription, llamaFromGguf, llamaFromHuggingFace } from '../engine/llama-config';
import { readJson } from '../engine/ports';
import { checkpointRecipe, readAdapterTensors, writeAdapterCheckpoint } from '../formats/adapter-convert';
import {
  type AdapterBase,
  type AdapterDetails,
  type AdapterFile,
  type AdapterFileConfig,
  type BaseIdentity,
  describeBase,
  describeMismatch,
  openAdapterFile,
  writeAdapterFile,
} from '../formats/adapter-file';
import { GgufFile, openTensorFile, TorchCheckpoint } from '../formats/open';
import type { TensorToWrite } from '../formats/safetensors';
import { mergedFile } from './convert-merged';
import { FileSource } from './file-source';
import { UsageError } from './usage';

export const CONVERT_USAGE = `lavin convert IN OUT            adapters, .pth to .safetensors or back (by OUT's ending)
  [--base MANIFEST.json|FILE.gguf]  the model they belong to: checked against them and recorded in OUT
  [--temperature T] [--scale S]     where neither IN nor the manifest tells them (LaVIN: 10 for 7B, 5 for 13B; 1)
  [--name TEXT] [--licence TEXT] [--notes TEXT]
  [--merged text|image]             with --base: the language adapters as a low-rank update of its matrices and a bias,
                                    for prompts without or with a picture, by PEFT's names
  [--force]                         write over OUT`;

const OPTIONS = {
  base: { type: 'string' },
  temperature: { type: 'string' },
  scale: { type: 'string' },
  name: { type: 'string' },
  licence: { type: 'string' },
  notes: { type: 'string' },
  merged: { type: 'string' },
  force: { type: 'boolean' },
} as const satisfies ParseArgsConfig['options'];

/** Adapters have some 20 MB; a checkpoint of a whole model is not what this is for. */
const MAX_BYTES = 1024 ** 3;

/** `lavin convert`: one file of adapters as another. */
export async function convertCommand(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true });
  if (positionals.length !== 2) throw new UsageError(`IN and OUT are needed.\n\n${CONVERT_USAGE}`);
  const [input, output] = positionals;
  const ending = extname(output);
  if (ending !== '.pth' && ending !== '.safetensors') {
    throw new UsageError(`OUT ends in .pth or .safetensors, unlike "${output}"`);
  }
  const { merged } = values;
  if (merged !== undefined && merged !== 'text' && merged !== 'image')
    throw new UsageError(`--merged is one of text, image, not "${merged}"`);
  if (merged && (!values.base || ending !== '.safetensors'))
    throw new UsageError('--merged needs --base, whose matrices it multiplies, and an OUT that ends in .safetensors');
  const flags = { temperature: positive('temperature', values), scale: positive('scale', values) };
  const exists = await access(output).then(
    () => true,
    () => false,
  );
  if (exists && !values.force) throw new UsageError(`${output} is there already; --force writes over it`);

  const source = await FileSource.open(input);
  try {
    const adapters = await openAdapterFile(source);
    const stated =
      values.base === undefined
        ? undefined
        : await withBase(values.base, async ({ identity, config }) => ({ identity, config }));
    if (stated) refuseMismatch(adapters, stated.identity, stated.config);
    const config = completeConfig(adapters, stated?.config, flags);
    const details = config && {
      ...adapters.details,
      ...named(values),
      config,
      base: baseOf(adapters, stated?.identity),
      recipe: adapters.details?.recipe ?? checkpointRecipe(adapters),
    };
    if (merged) {
      const { bytes, summary } = await withBase(values.base!, ({ identity, llama }) =>
        mergedFile(adapters, needed(details), { identity, ...llama }, merged),
      );
      await replaceFile(output, bytes);
      process.stdout.write(`${output}: ${summary}; ${describeBase({ details })}\n`);
      return 0;
    }
    const tensors = await readTensors(adapters);
    await replaceFile(
      output,
      ending === '.pth' ? asTorch(adapters, tensors, details) : asSafetensors(tensors, details),
    );
    const parameters = [...tensors.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    const about = `${tensors.size} tensors, ${parameters.toLocaleString('en-US')} parameters`;
    process.stdout.write(`${output}: ${about}; ${describeBase({ details })}\n`);
    return 0;
  } finally {
    await source.close();
  }
}

function positive(name: 'temperature' | 'scale', values: { temperature?: string; scale?: string }): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new UsageError(`--${name} wants a number above 0, not "${text}"`);
  return value;
}

function named(values: { name?: string; licence?: string; notes?: string }): Partial<AdapterDetails> {
  const { name, licence, notes } = values;
  return { ...(name && { name }), ...(licence && { licence }), ...(notes && { notes }) };
}

/** What the file tells, else the manifest, else the command line; undefined if something is told nowhere. */
function completeConfig(
  { name, config, shape }: AdapterFile,
  manifest: AdapterFileConfig | undefined,
  flags: { readonly temperature?: number; readonly scale?: number },
): AdapterFileConfig | undefined {
  for (const key of ['temperature', 'scale'] as const) {
    const told = config[key] ?? manifest?.[key];
    if (told !== undefined && flags[key] !== undefined && told !== flags[key]) {
      throw new UsageError(
        `--${key} is ${flags[key]}, but ${config[key] === undefined ? 'the manifest' : name} says ${told}`,
      );
    }
  }
  const temperature = config.temperature ?? manifest?.temperature ?? flags.temperature;
  const scale = config.scale ?? manifest?.scale ?? flags.scale;
  if (temperature === undefined || scale === undefined) return undefined;
  return {
    hidden: shape.hidden,
    groups: shape.groups,
    scale,
    temperature,
    llama: shape.llama.kind,
    visual: shape.vision?.kind ?? 'router',
    clipRouting: config.clipRouting ?? manifest?.clipRouting ?? 'per_sample',
  };
}

function refuseMismatch(adapters: AdapterFile, identity: BaseIdentity, config?: AdapterFileConfig): void {
  // What somebody merely stated may be stated anew; shapes and what the trainer wrote may not.
  const stated = adapters.details?.base?.source === 'stated';
  const wrong = describeMismatch(adapters, identity, config).filter(({ kind }) => !(stated && kind === 'base'));
  if (wrong.length === 0) return;
  const list = wrong.map(({ text }) => `\n  ${text}`).join('');
  throw new Error(
    `${adapters.name} is not for this base.${list}\nName the base that it was trained on, or leave --base out.`,
  );
}

/** A base that is stated stays unverified, unless the file itself already named the same. */
function baseOf({ details }: AdapterFile, stated: BaseIdentity | undefined): AdapterBase | null {
  const known = details?.base ?? null;
  if (!stated) return known;
  const same = known?.llama.fingerprint !== undefined && known.llama.fingerprint === stated.llama.fingerprint;
  return { ...stated, source: same ? known.source : 'stated' };
}

async function readTensors(adapters: AdapterFile): Promise<Map<string, TensorToWrite>> {
  const { name, tensors } = adapters;
  const bytes = [...tensors.tensors.values()].reduce((sum, info) => sum + info.bytes, 0);
  if (bytes > MAX_BYTES) throw new Error(`${name} holds ${bytes} bytes of tensors, more than adapters ever have.`);
  return readAdapterTensors(adapters);
}

function asSafetensors(tensors: ReadonlyMap<string, TensorToWrite>, details: AdapterDetails | undefined): Uint8Array {
  return writeAdapterFile(tensors, needed(details));
}

function needed(details: AdapterDetails | undefined): AdapterDetails {
  if (details) return details;
  throw new UsageError(
    "the file does not tell its adapters' router temperature and scale: give --temperature and --scale, " +
      'as they were in training (LaVIN: temperature 10 for 7B, 5 for 13B; scale 1)',
  );
}

function asTorch(
  adapters: AdapterFile,
  tensors: ReadonlyMap<string, TensorToWrite>,
  details: AdapterDetails | undefined,
): Uint8Array {
  const epoch = adapters.tensors instanceof TorchCheckpoint ? adapters.tensors.epoch : undefined;
  return writeAdapterCheckpoint(tensors, details, epoch);
}

interface Base {
  readonly identity: BaseIdentity;
  readonly config?: AdapterFileConfig;
  readonly llama: BaseFiles['llama'] & { readonly description: LlamaDescription };
}

/** Opens the frozen models that a manifest names (not its adapters: they may be what is being made), or a GGUF. */
async function withBase<T>(path: string, work: (base: Base) => Promise<T>): Promise<T> {
  const opened: FileSource[] = [];
  const open = async (at: string) => {
    const source = await FileSource.open(at);
    opened.push(source);
    return source;
  };
  const beside = (file: string) => open(join(dirname(path), file));
  try {
    const json = path.endsWith('.json') ? ((await readJson(await open(path))) as PartialManifest | null) : undefined;
    if (json !== undefined && typeof json?.llama?.file !== 'string') {
      throw new Error(`${path} is not a model manifest: "llama.file" is missing.`);
    }
    const file = await openTensorFile(json ? await beside(json.llama!.file) : await open(path), beside);
    const description =
      file instanceof GgufFile
        ? llamaFromGguf(file.metadata, file)
        : llamaFromHuggingFace((await readJson(await beside('config.json'))) as Record<string, unknown>, 'config.json');
    const vision = json?.vision && (await openTensorFile(await beside(json.vision.file), beside));
    const identity = await baseIdentity({ llama: { file, description }, vision, manifest: { vision: json?.vision } });
    return await work({ identity, config: json?.adapters?.config, llama: { file, description } });
  } finally {
    await Promise.all(opened.map((source) => source.close()));
  }
}

interface PartialManifest {
  readonly llama?: { readonly file: string };
  readonly vision?: { readonly file: string; readonly config: NonNullable<BaseFiles['manifest']['vision']>['config'] };
  readonly adapters?: { readonly config?: AdapterFileConfig };
}

/** Whole or not at all: a half-written file would take the place of a good one. */
async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const part = `${path}.${randomBytes(4).toString('hex')}.part`;
  try {
    await writeFile(part, bytes, { flag: 'wx' });
    await rename(part, path);
  } catch (cause) {
    await rm(part, { force: true });
    throw new Error(`${path} could not be written (${(cause as Error).message}).`, { cause });
  }
}
