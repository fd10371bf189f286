import { del, entries, get, set } from 'idb-keyval';
import type { ClipShape } from '../formats/clip-shape';
import { keyvalStore } from './keyval';
import type { PartOfFile, ResumePoint } from './transfer';

/** A model of the library, as it is remembered between visits. */
export interface StoredModel {
  /** Its folder, too. */
  readonly id: string;
  readonly title: string;
  readonly card: string;
  readonly licence: string;
  /** Where it came from. */
  readonly origin: Origin;
  /** Of the page's own list of known models, if it came from there. */
  readonly entry?: string;
  /** A `tower` is part of models; it does not open by itself. */
  readonly kind: 'gguf' | 'manifest' | 'tower';
  /** Of a tower. */
  readonly shape?: ClipShape;
  /** Of a LaVIN put together here: what its manifest names beyond its own files. */
  readonly parts?: Parts;
  readonly files: readonly StoredFile[];
  /** `broken`: the browser took a file away, or its content is no longer what it was. */
  readonly state: 'partial' | 'ready' | 'broken';
  /** Milliseconds since 1970. */
  readonly added: number;
}

export interface Parts {
  /** Models of the library. */
  readonly ids: readonly string[];
  /** Of the files used, also of those that lie beside the page. */
  readonly bytes: number;
}

export type Origin =
  | { readonly kind: 'hub'; readonly hub: string; readonly repo: string; readonly path: string }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'file'; readonly name: string }
  /** By their titles, the adapters by their file's name. */
  | { readonly kind: 'together'; readonly llama: string; readonly tower: string; readonly adapters: string };

export interface StoredFile {
  readonly name: string;
  /** Where it is downloaded from; a copied local file has none. */
  readonly url?: string;
  /** Content that was written by this page itself, rather than downloaded. */
  readonly text?: string;
  /** What of the file at `url` is fetched, if not all. */
  readonly part?: PartOfFile;
  /** Size, once it is known. */
  readonly bytes?: number;
  /** From the hub's listing. */
  readonly expected?: string;
  /** Of the content on disk, once it is whole. */
  readonly sha256?: string;
  readonly etag?: string;
  readonly point?: ResumePoint;
  /** What the listing told of it was found wrong: list again before the next try. */
  readonly stale?: boolean;
}

/** Bytes on disk that count. */
export function bytesHere({ files }: Pick<StoredModel, 'files'>): number {
  return files.reduce((sum, { sha256, bytes, point }) => sum + (sha256 ? (bytes ?? 0) : (point?.bytes ?? 0)), 0);
}

/** Bytes of all its files; undefined while the size of one is not known. */
export function bytesInAll({ files }: Pick<StoredModel, 'files'>): number | undefined {
  return files.reduce<number | undefined>(
    (sum, { bytes }) => (sum === undefined || bytes === undefined ? undefined : sum + bytes),
    0,
  );
}

/** Where the library has a whole file of this content. */
export function storedFileOf(
  models: readonly StoredModel[],
  sha256: string,
): { readonly folder: string; readonly name: string } | undefined {
  for (const { id, state, files } of models) {
    const file = state === 'ready' && files.find((each) => each.sha256 === sha256 && each.part === undefined);
    if (file) return { folder: id, name: file.name };
  }
  return undefined;
}

export interface RowStore {
  all(): Promise<StoredModel[]>;
  get(id: string): Promise<StoredModel | undefined>;
  put(model: StoredModel): Promise<void>;
  remove(id: string): Promise<void>;
}

/** Rows in IndexedDB. */
export function indexedRows(): RowStore {
  const store = keyvalStore('lavin-library', 'models');
  return {
    all: async () => (await entries<string, StoredModel>(store)).map(([, model]) => model),
    get: (id) => get<StoredModel>(id, store),
    put: (model) => set(model.id, model, store),
    remove: (id) => del(id, store),
  };
}
