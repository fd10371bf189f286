import { del, entries, get, set, update } from 'idb-keyval';
import { checkpointRecipe, readAdapterTensors, writeAdapterCheckpoint } from '../formats/adapter-convert';
import {
  type AdapterBase,
  type AdapterDetails,
  type AdapterFile,
  type AdapterFileConfig,
  type BaseIdentity,
  describeMismatch,
  openAdapterFile,
  writeAdapterFile,
} from '../formats/adapter-file';
import type { AdapterShape } from '../formats/adapter-shape';
import { BlobSource } from '../formats/bytes';
import { FormatError } from '../formats/error';
import { StoreError } from './error';
import { keyvalStore } from './keyval';

/** An adapter set that is kept on this device. Name and notes are the person's: they are written into what is exported. */
export interface KeptAdapterSet {
  readonly id: string;
  readonly name: string;
  readonly notes: string;
  readonly shape: AdapterShape;
  /** As in the file; name and notes as they came. */
  readonly details: AdapterDetails;
  readonly parameters: number;
  /** Milliseconds since 1970. */
  readonly added: number;
  readonly changed: number;
  /** safetensors. */
  readonly file: Blob;
}

/** The same without its tensors. */
export interface ListedAdapterSet extends Omit<KeptAdapterSet, 'file'> {
  readonly bytes: number;
}

/** A file looked at before it is added. */
export interface AdapterReport {
  readonly name: string;
  readonly shape: AdapterShape;
  readonly parameters: number;
  /** As far as the file tells. */
  readonly config: Partial<AdapterFileConfig>;
  /** Null where the file names none. */
  readonly base: AdapterBase | null;
}

/** What a person tells of a file that does not tell it itself. */
export interface AdapterAccount {
  readonly name?: string;
  readonly notes?: string;
  /** The base, as somebody says; null if nobody knows. Not heard where the file names one. */
  readonly base?: BaseIdentity | null;
  readonly scale?: number;
  readonly temperature?: number;
}

export interface AdapterRows {
  all(): Promise<KeptAdapterSet[]>;
  get(id: string): Promise<KeptAdapterSet | undefined>;
  put(row: KeptAdapterSet): Promise<void>;
  /** In one transaction: another tab's change is not written over. */
  update(id: string, change: (row: KeptAdapterSet | undefined) => KeptAdapterSet): Promise<void>;
  remove(id: string): Promise<void>;
}

export interface AdapterSetPorts {
  readonly rows: AdapterRows;
  now(): number;
  /** Called after every change. */
  changed(): void;
}

export type AdapterFormat = 'safetensors' | 'pth';

/** Adapters have some 20 MB; what is larger is another thing. */
const MAX_BYTES = 1024 ** 3;
const MAX_NAME = 120;

/** Adapter sets in IndexedDB, read from and written to files. */
export class AdapterSets {
  constructor(private readonly ports: AdapterSetPorts) {}

  /** Newest first. */
  async list(): Promise<ListedAdapterSet[]> {
    const rows = await this.ports.rows.all();
    return rows.sort((a, b) => b.added - a.added).map(({ file, ...row }) => ({ ...row, bytes: file.size }));
  }

  /** The file as it is kept. @throws StoreError `missing` */
  async file(id: string): Promise<{ name: string; file: Blob }> {
    const { name, file } = await this.need(id);
    return { name, file };
  }

  /** Reads a file without keeping it. @throws FormatError */
  async look(file: File): Promise<AdapterReport> {
    const { shape, config, details, tensors } = await openAdapterFile(sourceOf(file));
    return {
      name: details?.name ?? nameOf(file),
      shape,
      config,
      base: details?.base ?? null,
      parameters: parametersOf(tensors),
    };
  }

  /**
   * Keeps a set. Its tensors stay as they are, bit for bit; what `account` tells is recorded where the file tells nothing.
   * @returns its id
   * @throws FormatError for a file that is none; StoreError `listing` where file and account leave something open or
   * contradict each other
   */
  async add(file: File, account: AdapterAccount = {}): Promise<string> {
    const { shape, tensors, details, bytes } = await completeAdapters(file, account);
    const { name = '', notes = '' } = details;
    const now = this.ports.now();
    const id = crypto.randomUUID();
    const blob = new Blob([bytes as Uint8Array<ArrayBuffer>]);
    // Undefined values do not survive the way through JSON either.
    const kept = JSON.parse(JSON.stringify(details)) as AdapterDetails;
    await this.ports.rows.put({
      id,
      name,
      notes,
      shape,
      details: kept,
      parameters: parametersOf(tensors),
      added: now,
      changed: now,
      file: blob,
    });
    this.ports.changed();
    return id;
  }

  /** @throws StoreError `missing`, or `listing` for an empty name */
  async describe(id: string, words: { readonly name?: string; readonly notes?: string }): Promise<void> {
    const name = words.name === undefined ? undefined : tidyName(words.name);
    await this.ports.rows.update(id, (row) => {
      if (!row) throw gone();
      return {
        ...row,
        ...(name !== undefined && { name }),
        notes: words.notes ?? row.notes,
        changed: this.ports.now(),
      };
    });
    this.ports.changed();
  }

  /** A file to be saved: safetensors with all that is known of the set, or a checkpoint that torch and LaVIN load. */
  async export(id: string, format: AdapterFormat): Promise<File> {
    const { name, notes, details, file } = await this.need(id);
    const adapters = await openAdapterFile(sourceOf(new File([file], name)));
    const tensors = await readAdapterTensors(adapters);
    const told: AdapterDetails = { ...details, name, notes };
    const bytes = format === 'safetensors' ? writeAdapterFile(tensors, told) : writeAdapterCheckpoint(tensors, told);
    return new File([bytes as Uint8Array<ArrayBuffer>], `${fileNameOf(name)}.${format}`);
  }

  async remove(id: string): Promise<void> {
    await this.ports.rows.remove(id);
    this.ports.changed();
  }

  private async need(id: string): Promise<KeptAdapterSet> {
    const row = await this.ports.rows.get(id);
    if (!row) throw gone();
    return row;
  }
}

/**
 * Adapters as a file of this page that says all that is known of them: what `account` tells where the file tells nothing.
 * @throws FormatError for a file that is none; StoreError `listing` where file and account leave something open or
 * contradict each other
 */
export async function completeAdapters(
  file: File,
  account: AdapterAccount,
): Promise<AdapterFile & { readonly details: AdapterDetails; readonly bytes: Uint8Array }> {
  const adapters = await openAdapterFile(sourceOf(file));
  const details: AdapterDetails = {
    ...adapters.details,
    name: tidyName(account.name ?? adapters.details?.name ?? nameOf(file)),
    notes: account.notes ?? adapters.details?.notes ?? '',
    config: completeConfig(adapters, account),
    base: baseOf(adapters, account.base),
    recipe: adapters.details?.recipe ?? checkpointRecipe(adapters),
  };
  return { ...adapters, details, bytes: writeAdapterFile(await readAdapterTensors(adapters), details) };
}

/** Sets in IndexedDB. */
export function indexedAdapterRows(): AdapterRows {
  const store = keyvalStore('lavin-adapters', 'sets');
  return {
    all: async () => (await entries<string, KeptAdapterSet>(store)).map(([, row]) => row),
    get: (id) => get<KeptAdapterSet>(id, store),
    put: (row) => set(row.id, row, store),
    update: (id, change) => update<KeptAdapterSet>(id, change, store),
    remove: (id) => del(id, store),
  };
}

function gone(): StoreError {
  return new StoreError(
    'missing',
    'This adapter set was deleted, perhaps in another tab. Choose another, or import it again.',
  );
}

function sourceOf(file: File): BlobSource {
  if (file.size > MAX_BYTES) {
    throw new FormatError('limit', file.name, 'file', `${file.size} bytes, more than adapters ever have.`);
  }
  return new BlobSource(file);
}

const nameOf = (file: File) => file.name.replace(/\.(safetensors|pth|pt)$/i, '') || 'Adapters';

function tidyName(name: string): string {
  const tidy = name.trim().replace(/\s+/g, ' ').slice(0, MAX_NAME);
  if (tidy === '') throw new StoreError('listing', 'An adapter set needs a name. Type one.');
  return tidy;
}

/** In letters that every file system takes. */
const fileNameOf = (name: string) => name.replace(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^[-.]+|-+$/g, '') || 'adapters';

function completeConfig({ name, config, shape }: AdapterFile, account: AdapterAccount): AdapterFileConfig {
  const scale = config.scale ?? account.scale;
  const temperature = config.temperature ?? account.temperature;
  const positive = (value: number | undefined): value is number => value !== undefined && value > 0 && value < 1e6;
  if (!positive(scale) || !positive(temperature)) {
    throw new StoreError(
      'listing',
      `${name} does not tell its scale or router temperature. Give both, as numbers above 0: those it was trained with.`,
    );
  }
  return {
    hidden: shape.hidden,
    groups: shape.groups,
    scale,
    temperature,
    llama: shape.llama.kind,
    visual: shape.vision?.kind ?? 'router',
    clipRouting: config.clipRouting ?? 'per_sample',
  };
}

function baseOf(adapters: AdapterFile, stated: BaseIdentity | null | undefined): AdapterBase | null {
  const known = adapters.details?.base;
  if (known) return known;
  if (!stated) return null;
  const wrong = describeMismatch(adapters, stated);
  if (wrong.length > 0) {
    throw new StoreError(
      'listing',
      `${adapters.name} is not for that base. ${wrong.map(({ text }) => text).join(' ')}`,
    );
  }
  return { ...stated, source: 'stated' };
}

function parametersOf({ tensors }: AdapterFile['tensors']): number {
  return [...tensors.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
}
