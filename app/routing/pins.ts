/** Pinned runs, kept in IndexedDB on this device until they are deleted. */
import { del, entries, set, type UseStore } from 'idb-keyval';
import { keyvalStore } from '../../src/store/keyval';
import type { Run, StoredPicture } from './run';

type StoredRun = Omit<Run, 'picture'> & { readonly picture?: StoredPicture };

let store: UseStore | undefined;
const pins = () => {
  store ??= keyvalStore('lavin-router-pins', 'runs');
  return store;
};

/** All pins, the oldest first. */
export async function loadPins(): Promise<Run[]> {
  const stored = await entries<string, StoredRun>(pins());
  return stored
    .map(([, { picture, ...run }]): Run => {
      return picture ? { ...run, picture: { ...picture, url: URL.createObjectURL(picture.blob) } } : run;
    })
    .sort((a, b) => a.at - b.at);
}

/** @throws Error in plain words when the browser's storage is full or forbidden */
export async function savePin({ picture, ...run }: Run): Promise<void> {
  const stored: StoredRun = run;
  try {
    if (!picture) await set(run.id, stored, pins());
    else {
      const { url: _, ...kept } = picture;
      await set(run.id, { ...stored, picture: kept }, pins());
    }
  } catch (cause) {
    const full = cause instanceof DOMException && cause.name === 'QuotaExceededError';
    throw new Error(
      full
        ? 'The browser’s storage is full: the pin lasts until this page is closed. Delete other pins or models to keep it.'
        : 'The browser does not let this page store anything: the pin lasts until this page is closed.',
      { cause },
    );
  }
}

export function deletePin(id: string): Promise<void> {
  return del(id, pins());
}
