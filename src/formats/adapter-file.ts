/**
 * An adapter set as a file that knows what it is for: safetensors with LaVIN's names, and one JSON text in its metadata
 * under {@link DETAILS_KEY}. LaVIN's own `.pth` is read too; it names no base.
 */
import { type AdapterShape, adapterShape } from './adapter-shape';
import type { ByteSource } from './bytes';
import { FormatError } from './error';
import { GgufFile, openTensorFile, TorchCheckpoint } from './open';
import { type TensorToWrite, writeSafetensors } from './safetensors';
import { type TensorFile, type TensorInfo, weightFormat } from './tensor-file';

export const DETAILS_KEY = 'lavin-adapters';
const MAX_DETAILS_CHARACTERS = 1_000_000;

/** What the tensors' shapes do not tell (scale, temperature, routing), and what they do, for people. */
export interface AdapterFileConfig {
  readonly hidden: number;
  readonly groups: number;
  readonly scale: number;
  readonly temperature: number;
  readonly llama: 'attn' | 'block';
  readonly visual: 'normal' | 'router' | 'router_block';
  readonly clipRouting: 'per_sample' | 'batch0';
}

/** The frozen models that a set belongs to. Fingerprints as by {@link fingerprint}. */
export interface BaseIdentity {
  readonly llama: {
    readonly name: string;
    readonly dim: number;
    readonly layers: number;
    readonly fingerprint?: string;
  };
  readonly vision?: {
    readonly name: string;
    readonly width: number;
    readonly layers: number;
    readonly fingerprint?: string;
  };
}

/** `trained`: written by who trained on it. `stated`: somebody said so later; shapes agreed, nothing else is verified. */
export type AdapterBase = BaseIdentity & { readonly source: 'trained' | 'stated' };

export interface AdapterDetails {
  readonly name?: string;
  readonly config: AdapterFileConfig;
  /** Null where nobody knows. */
  readonly base: AdapterBase | null;
  /** Hyperparameters and data it was trained with; results. JSON as the trainer writes it. */
  readonly recipe?: Readonly<Record<string, unknown>>;
  readonly metrics?: Readonly<Record<string, unknown>>;
  /** ISO 8601. */
  readonly created?: string;
  readonly notes?: string;
  readonly licence?: string;
}

export interface AdapterFile {
  readonly name: string;
  readonly tensors: TensorFile;
  readonly shape: AdapterShape;
  /** Absent from files of other programs. */
  readonly details: AdapterDetails | undefined;
  /** As far as the file tells: from its details, from a checkpoint's arguments, and from the tensors. */
  readonly config: Partial<AdapterFileConfig>;
}

/**
 * Opens an adapter set (safetensors, or a checkpoint of LaVIN) and checks that its tensors belong together.
 * @throws FormatError naming what is missing or contradicts
 */
export async function openAdapterFile(source: ByteSource, signal?: AbortSignal): Promise<AdapterFile> {
  const file = await openTensorFile(source, undefined, signal);
  if (file instanceof GgufFile) {
    throw new FormatError('unsupported', source.name, 'file', 'a GGUF holds a language model, not adapters.');
  }
  const shape = adapterShape(file);
  for (const info of file.tensors.values()) weightFormat(file, info);
  const text = file.metadata.get(DETAILS_KEY);
  const details = text === undefined ? undefined : parseDetails(text, source.name);
  const told = details?.config ?? (file instanceof TorchCheckpoint ? configOfArguments(file) : {});
  const seen = configOfShape(shape);
  if (details) {
    for (const [key, value] of Object.entries(seen)) {
      const said = details.config[key as keyof AdapterFileConfig];
      if (said !== value) {
        throw new FormatError(
          'corrupt',
          source.name,
          `${DETAILS_KEY} config.${key}`,
          `${said}, but the tensors have ${value}.`,
        );
      }
    }
  }
  return { name: source.name, tensors: file, shape, details, config: { ...told, ...seen } };
}

/**
 * The file's bytes; equal input gives equal bytes.
 * @throws FormatError where tensors and details do not agree, RangeError where data is not as long as its shape says
 */
export function writeAdapterFile(tensors: ReadonlyMap<string, TensorToWrite>, details: AdapterDetails): Uint8Array {
  checkAgreement(tensors, details);
  return writeSafetensors(tensors, { [DETAILS_KEY]: detailsText(details), format: 'pt' });
}

/** The details as the text that files carry. */
export function detailsText({ name, config, base, recipe, metrics, created, notes, licence }: AdapterDetails): string {
  const version = 'lavin-adapters-1';
  return JSON.stringify({ version, name, config, base, recipe, metrics, created, notes, licence });
}

/** One way in which an adapter set does not fit; `text` is a sentence. */
export interface Mismatch {
  /** `shape`: it cannot run. `base`: trained on another model. `config`: the manifest says otherwise than the file. */
  readonly kind: 'shape' | 'base' | 'config';
  readonly text: string;
}

/**
 * Everything about `base` (and, if given, the manifest's `config`) that these adapters were not made for; empty if they
 * fit as far as anybody can tell. A base of which one side has no fingerprint is not compared: see {@link describeBase}.
 */
export function describeMismatch(
  { shape, details, config: told }: Pick<AdapterFile, 'shape' | 'details' | 'config'>,
  base: BaseIdentity,
  config?: AdapterFileConfig,
): Mismatch[] {
  const found: Mismatch[] = [];
  const compare = (kind: Mismatch['kind'], what: string, made: unknown, here: unknown) => {
    if (made !== here)
      found.push({ kind, text: `The adapters are made for ${what} ${show(made)}; here it is ${show(here)}.` });
  };
  const llama = base.llama.name;
  compare('shape', `a LLaMA of width`, shape.llama.dim, base.llama.dim);
  compare('shape', `a LLaMA with this number of layers:`, shape.llama.layers, base.llama.layers);
  if (shape.vision && base.vision) {
    compare('shape', 'a vision tower of width', shape.vision.width, base.vision.width);
    compare('shape', 'a vision tower with this number of layers:', shape.vision.layers, base.vision.layers);
  } else if (shape.vision) {
    found.push({ kind: 'shape', text: `The adapters are made for pictures; ${llama} here has no vision tower.` });
  } else if (base.vision) {
    found.push({ kind: 'shape', text: 'The adapters are made for text only; the model here has a vision tower.' });
  }
  for (const [tower, word] of [
    ['llama', 'language model'],
    ['vision', 'vision tower'],
  ] as const) {
    const [made, here] = [details?.base?.[tower], base[tower]];
    if (made?.fingerprint && here?.fingerprint && made.fingerprint !== here.fingerprint) {
      const text = `The adapters belong to the ${word} ${show(made.name)} (${short(made.fingerprint)}); here it is ${show(here.name)} (${short(here.fingerprint)}).`;
      found.push({ kind: 'base', text });
    }
  }
  for (const key of config ? CONFIG_KEYS : []) {
    if (told[key] !== undefined) compare('config', CONFIG_WORDS[key], told[key], config![key]);
  }
  return found;
}

/** What the file says about its base, and how far to trust it, in a few words. */
export function describeBase({ details }: Pick<AdapterFile, 'details'>): string {
  const base = details?.base;
  if (!base) return 'base: unknown, unverified';
  const towers = [base.llama.name, base.vision?.name].filter(Boolean).join(' and ');
  return base.source === 'trained' ? `base: ${towers}` : `base: ${towers}, as somebody stated; unverified`;
}

const CONFIG_WORDS = {
  hidden: 'a bottleneck (hidden) of',
  groups: 'this number of groups:',
  scale: 'the scale',
  temperature: 'the router temperature',
  llama: 'language adapters of kind',
  visual: 'visual adapters of kind',
  clipRouting: 'visual routing by',
} as const satisfies Record<keyof AdapterFileConfig, string>;
const CONFIG_KEYS = Object.keys(CONFIG_WORDS) as (keyof AdapterFileConfig)[];

const show = (value: unknown) => (typeof value === 'string' ? `"${value}"` : String(value));
const short = (fingerprint: string) => fingerprint.replace(/^[^:]*:/, '').slice(0, 12);

function configOfShape({ hidden, groups, llama, vision }: AdapterShape): Partial<AdapterFileConfig> {
  return { hidden, groups, llama: llama.kind, ...(vision && { visual: vision.kind }) };
}

/** Of LaVIN's training script: `--adapter_scale`, `--temperature`. The published code routes a batch by its sample 0. */
function configOfArguments({ args }: TorchCheckpoint): Partial<AdapterFileConfig> {
  const [scale, temperature] = [args.get('adapter_scale'), args.get('temperature')];
  return {
    ...(typeof scale === 'number' && { scale }),
    ...(typeof temperature === 'number' && temperature > 0 && { temperature }),
  };
}

function checkAgreement(tensors: ReadonlyMap<string, TensorToWrite>, details: AdapterDetails): void {
  const name = details.name ?? 'adapters';
  const entries = [...tensors].map(([key, { format, shape }]): [string, TensorInfo] => [
    key,
    { name: key, format, shape, offset: 0, bytes: 0 },
  ]);
  const seen = configOfShape(adapterShape({ name, tensors: new Map(entries) }));
  for (const [key, value] of Object.entries(seen)) {
    const said = details.config[key as keyof AdapterFileConfig];
    if (said !== value)
      throw new FormatError('corrupt', name, `config.${key}`, `${said}, but the tensors have ${value}.`);
  }
  parseDetails(detailsText(details), name);
}

function parseDetails(text: string, file: string): AdapterDetails {
  const fail = (field: string, problem: string): never => {
    throw new FormatError('corrupt', file, field === '' ? DETAILS_KEY : `${DETAILS_KEY} ${field}`, problem);
  };
  if (text.length > MAX_DETAILS_CHARACTERS) {
    throw new FormatError('limit', file, DETAILS_KEY, `${text.length} characters.`);
  }
  const object = (value: unknown, field: string): Record<string, unknown> => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail(field, 'it is not an object.');
    return value as Record<string, unknown>;
  };
  const string = (value: unknown, field: string): string =>
    typeof value === 'string' ? value : fail(field, 'it is not text.');
  const positive = (value: unknown, field: string): number =>
    typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : fail(field, 'it is no positive number.');
  const size = (value: unknown, field: string): number =>
    Number.isSafeInteger(value) ? positive(value, field) : fail(field, 'it is no whole number.');
  const oneOf = <T extends string>(value: unknown, options: readonly T[], field: string): T =>
    options.includes(value as T) ? (value as T) : fail(field, `it is not one of ${options.join(', ')}.`);
  const optional = <T>(value: unknown, read: (value: unknown, field: string) => T, field: string) =>
    value === undefined ? {} : { [field.slice(field.lastIndexOf('.') + 1)]: read(value, field) };

  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return fail('', 'it is not JSON.');
  }
  const root = object(json, '');
  if (root.version !== 'lavin-adapters-1') {
    throw new FormatError('unsupported', file, `${DETAILS_KEY} version`, `it is ${JSON.stringify(root.version)}.`);
  }
  const config = object(root.config, 'config');
  const tower = <T>(value: unknown, field: string, sizes: readonly string[]): T => {
    const entry = object(value, field);
    return {
      name: string(entry.name, `${field}.name`),
      ...Object.fromEntries(sizes.map((key) => [key, size(entry[key], `${field}.${key}`)])),
      ...optional(entry.fingerprint, string, `${field}.fingerprint`),
    } as T;
  };
  const base = root.base === null ? null : object(root.base, 'base');
  if (root.created !== undefined && Number.isNaN(Date.parse(string(root.created, 'created')))) {
    fail('created', 'it is no date.');
  }
  return {
    ...optional(root.name, string, 'name'),
    config: {
      hidden: size(config.hidden, 'config.hidden'),
      groups: size(config.groups, 'config.groups'),
      scale: positive(config.scale, 'config.scale'),
      temperature: positive(config.temperature, 'config.temperature'),
      llama: oneOf(config.llama, ['attn', 'block'], 'config.llama'),
      visual: oneOf(config.visual, ['normal', 'router', 'router_block'], 'config.visual'),
      clipRouting: oneOf(config.clipRouting, ['per_sample', 'batch0'], 'config.clipRouting'),
    },
    base: base && {
      source: oneOf(base.source, ['trained', 'stated'], 'base.source'),
      llama: tower(base.llama, 'base.llama', ['dim', 'layers']),
      ...(base.vision !== undefined && {
        vision: tower<BaseIdentity['vision']>(base.vision, 'base.vision', ['width', 'layers']),
      }),
    },
    ...optional(root.recipe, object, 'recipe'),
    ...optional(root.metrics, object, 'metrics'),
    ...optional(root.created, string, 'created'),
    ...optional(root.notes, string, 'notes'),
    ...optional(root.licence, string, 'licence'),
  };
}
