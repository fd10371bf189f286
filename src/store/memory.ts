import { get, set } from 'idb-keyval';
import { keyvalStore } from './keyval';

const store = keyvalStore('lavin-memory', 'values');

/** Small values in IndexedDB, for the engine's `memory` port. Works in workers. */
export const browserMemory = {
  read: (key: string): Promise<unknown> => get(key, store),
  write: (key: string, value: unknown): Promise<void> => set(key, value, store),
};
