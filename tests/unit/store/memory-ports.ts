/** Stands for disk, database, locks and clock of a browser. */
import { ELSEWHERE_WORDS, StoreError } from '../../../src/store/error';
import type { LibraryPorts } from '../../../src/store/library';
import type { NetworkPorts } from '../../../src/store/network';
import type { FileStore } from '../../../src/store/opfs';
import type { StoredModel } from '../../../src/store/rows';
import type { WritableFile } from '../../../src/store/transfer';

/** A file in memory; `room` bytes fit. */
export class MemoryFile implements WritableFile {
  bytes: Uint8Array;
  flushed = 0;
  closed = false;

  constructor(
    content: Uint8Array = new Uint8Array(0),
    private readonly room = Number.POSITIVE_INFINITY,
  ) {
    this.bytes = content.slice();
  }

  get size(): number {
    return this.bytes.length;
  }

  read(at: number, length: number): Uint8Array {
    return this.bytes.slice(at, at + length);
  }

  write(bytes: Uint8Array, at: number): void {
    if (at + bytes.length > this.room) throw new DOMException('full', 'QuotaExceededError');
    const grown = new Uint8Array(Math.max(this.size, at + bytes.length));
    grown.set(this.bytes);
    grown.set(bytes, at);
    this.bytes = grown;
  }

  truncate(size: number): void {
    const cut = new Uint8Array(size);
    cut.set(this.bytes.subarray(0, size));
    this.bytes = cut;
  }

  flush(): void {
    this.flushed = this.size;
  }

  close(): void {
    this.closed = true;
  }
}

/** Waits take no time and are written down. */
export function network(pauses: number[] = [], online = () => true): NetworkPorts {
  return {
    fetch: (...parameters) => fetch(...parameters),
    online,
    sleep: async (ms, signal) => {
      pauses.push(ms);
      signal?.throwIfAborted();
    },
  };
}

export interface MemoryDevice {
  readonly ports: LibraryPorts;
  readonly disk: Map<string, MemoryFile>;
  readonly rows: Map<string, StoredModel>;
  readonly locked: Set<string>;
  quota: number;
}

/** What several tabs of one browser share. */
export function memoryDevice(): MemoryDevice {
  const disk = new Map<string, MemoryFile>();
  const rows = new Map<string, StoredModel>();
  const locked = new Set<string>();
  const files: FileStore = {
    async open(folder, name) {
      const file = disk.get(`${folder}/${name}`) ?? new MemoryFile();
      disk.set(`${folder}/${name}`, file);
      return file;
    },
    async find(folder, name) {
      const file = disk.get(`${folder}/${name}`);
      return file && new Blob([file.bytes as Uint8Array<ArrayBuffer>]);
    },
    folders: async () => [...new Set([...disk.keys()].map((path) => path.split('/')[0] as string))],
    async remove(folder) {
      for (const path of disk.keys()) if (path.startsWith(`${folder}/`)) disk.delete(path);
    },
    room: async () => ({ used: [...disk.values()].reduce((sum, { size }) => sum + size, 0), quota: device.quota }),
  };
  let clock = 0;
  const device: MemoryDevice = {
    disk,
    rows,
    locked,
    quota: 1e9,
    ports: {
      files,
      rows: {
        all: async () => structuredClone([...rows.values()]),
        get: async (id) => structuredClone(rows.get(id)),
        put: async (model) => void rows.set(model.id, structuredClone(model)),
        remove: async (id) => void rows.delete(id),
      },
      network: network(),
      locks: {
        async hold(name, work) {
          if (locked.has(name)) throw new StoreError('elsewhere', ELSEWHERE_WORDS);
          locked.add(name);
          try {
            return await work();
          } finally {
            locked.delete(name);
          }
        },
        held: async () => new Set(locked),
      },
      now: () => ++clock,
      changed: () => {},
    },
  };
  return device;
}
