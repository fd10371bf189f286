import { createStore, get, set } from 'idb-keyval';

const store = createStore('lavin-memory', 'values');

/** Small values in IndexedDB, for the engine's `memory` port. Works in workers. */
export const browserMemory = {
  read: (key: string): Promise<unknown> => get(key, store),
  write: (key: string, value: unknown): Promise<void> => set(key, value, store),
};
