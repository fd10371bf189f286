import { BlobSource, type ByteSource } from '../formats/bytes';
import { StoreError, UNSUPPORTED_WORDS } from './error';
import type { WritableFile } from './transfer';

/** Where the library's files lie, one folder a model. */
export interface FileStore {
  /** Opens for writing, made if need be; nobody else can meanwhile. */
  open(folder: string, name: string): Promise<WritableFile>;
  /** The file as it is on disk; nothing is read yet. */
  find(folder: string, name: string): Promise<Blob | undefined>;
  /** Every folder there is. */
  folders(): Promise<string[]>;
  remove(folder: string): Promise<void>;
  /** Bytes used and allowed, for everything that this page keeps. */
  room(): Promise<StorageRoom>;
}

export interface StorageRoom {
  readonly used: number;
  readonly quota: number;
}

const ROOT = 'models';
/** Scheme of locations in the library: `opfs:/models/FOLDER/FILE`. Relative references resolve as in any URL. */
const SCHEME = 'opfs:';

export function storedUrl(folder: string, name: string): string {
  return `${SCHEME}/${ROOT}/${encodeURIComponent(folder)}/${encodeURIComponent(name)}`;
}

export function isStoredUrl(location: string): boolean {
  return location.startsWith(SCHEME);
}

/**
 * Opens a file of the library: read by slices, never whole.
 * @throws StoreError `missing`
 */
export async function openStored(location: string): Promise<ByteSource> {
  const [root, folder, name, ...rest] = location
    .slice(SCHEME.length)
    .split('/')
    .filter((part) => part !== '')
    .map(decodeURIComponent);
  const file = root === ROOT && folder && name && rest.length === 0 ? await opfs.find(folder, name) : undefined;
  if (!file) {
    throw new StoreError('missing', `${name ?? location} is not on this device any more. Download it again in Models.`);
  }
  return new BlobSource(file, name);
}

/** The origin-private file system. Writing works in workers only. */
export const opfs: FileStore = {
  async open(folder, name) {
    const directory = await (await root(true)).getDirectoryHandle(folder, { create: true });
    const handle = await directory.getFileHandle(name, { create: true });
    return writable(await (handle as unknown as SyncHandleMaker).createSyncAccessHandle());
  },
  async find(folder, name) {
    try {
      const directory = await (await root(false)).getDirectoryHandle(folder);
      return await (await directory.getFileHandle(name)).getFile();
    } catch (error) {
      if ((error as Error).name === 'NotFoundError') return undefined;
      throw error;
    }
  },
  async folders() {
    const names: string[] = [];
    try {
      for await (const name of (await root(false)).keys()) names.push(name);
    } catch (error) {
      if ((error as Error).name !== 'NotFoundError') throw error;
    }
    return names;
  },
  async remove(folder) {
    try {
      await (await root(false)).removeEntry(folder, { recursive: true });
    } catch (error) {
      if ((error as Error).name !== 'NotFoundError') throw error;
    }
  },
  async room() {
    const { usage = 0, quota = 0 } = await navigator.storage.estimate();
    return { used: usage, quota };
  },
};

async function root(create: boolean): Promise<FileSystemDirectoryHandle & AsyncDirectory> {
  if (!navigator.storage?.getDirectory) throw new StoreError('unsupported', UNSUPPORTED_WORDS);
  const top = await navigator.storage.getDirectory();
  return (await top.getDirectoryHandle(ROOT, { create })) as FileSystemDirectoryHandle & AsyncDirectory;
}

function writable(handle: SyncHandle): WritableFile {
  return {
    get size() {
      return handle.getSize();
    },
    read(at, length) {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, handle.read(bytes, { at }));
    },
    write(bytes, at) {
      // Chromium does not throw on a full disk: it returns its own error number as a count (4294967288).
      if (handle.write(bytes, { at }) !== bytes.length) {
        throw new DOMException('the disk took only part of the data', 'QuotaExceededError');
      }
    },
    truncate: (size) => handle.truncate(size),
    flush: () => handle.flush(),
    close: () => handle.close(),
  };
}

/** Of workers' own library, which the page's types do not have. */
interface SyncHandle {
  getSize(): number;
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}
interface SyncHandleMaker {
  createSyncAccessHandle(): Promise<SyncHandle>;
}
interface AsyncDirectory {
  keys(): AsyncIterable<string>;
}
