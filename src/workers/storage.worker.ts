/** The storage worker: downloads, hashes and writes models, so that neither page nor engine waits for a disk. */
import { expose } from 'comlink';
import { StoreError, toStoreFailure } from '../store/error';
import { ggufChoices, listRepo } from '../store/hub';
import { Library, type LibraryProgress } from '../store/library';
import { webLocks } from '../store/locks';
import { browserNetwork } from '../store/network';
import { opfs } from '../store/opfs';
import { indexedRows } from '../store/rows';
import { planTower } from '../store/tower';
import type { StorageWorkerApi } from './storage-api';
import { tellingWith } from './telling';

/** Tells the other tabs, whose workers listen on it too. */
const channel = new BroadcastChannel('lavin-library');
let tellPage: (() => void) | undefined;
channel.onmessage = () => tellPage?.();

const library = new Library({
  files: opfs,
  rows: indexedRows(),
  network: browserNetwork,
  locks: webLocks,
  now: () => Date.now(),
  changed: () => {
    channel.postMessage('changed');
    tellPage?.();
  },
});
/** A window that keeps no files must say so; what else goes wrong while clearing up can wait for the next visit. */
const tidied = library.tidy().catch((error) => {
  if (toStoreFailure(error).code === 'unsupported') throw error;
});
tidied.catch(() => {});

let lookingUp: AbortController | undefined;
function lookUp<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  lookingUp?.abort(new StoreError('aborted', 'Another one was asked for.'));
  const controller = new AbortController();
  lookingUp = controller;
  return work(controller.signal);
}

const telling = tellingWith(toStoreFailure);

/** Ten reports a second are enough to read. */
function throttled(tell: (progress: LibraryProgress) => void): (progress: LibraryProgress) => void {
  let last = Number.NEGATIVE_INFINITY;
  let phase: LibraryProgress['phase'] | undefined;
  return (progress) => {
    const now = performance.now();
    if (progress.phase === phase && now - last < 100 && progress.bytes !== progress.total) return;
    [last, phase] = [now, progress.phase];
    tell(progress);
  };
}

const api: StorageWorkerApi = {
  list: () => telling(() => tidied.then(() => library.list())),
  room: () => telling(() => library.room()),
  watch: (onChange) => {
    tellPage = onChange;
  },
  lookUp: (hub, repo) =>
    telling(() =>
      lookUp(async (signal) => ({ repo, choices: ggufChoices(await listRepo(hub, repo, browserNetwork, signal)) })),
    ),
  lookAtTower: (hub, repo) =>
    telling(() => lookUp(async (signal) => (await planTower(hub, repo, browserNetwork, signal)).report)),
  cancelLookUp: () => lookingUp?.abort(new StoreError('aborted', 'Cancelled.')),
  addFromHub: (hub, repo, path, about) => telling(() => library.addFromHub(hub, repo, path, about)),
  addTower: (hub, repo, about) => telling(() => lookUp((signal) => library.addTower(hub, repo, about, signal))),
  putTogether: (ingredients) => telling(() => library.putTogether(ingredients)),
  addFromUrl: (url) => telling(() => lookUp((signal) => library.addFromUrl(url, signal))),
  addFile: (file, onProgress) => telling((tell) => library.addFile(file, throttled(tell)), onProgress),
  download: (id, onProgress) => telling((tell) => library.download(id, throttled(tell)), onProgress),
  pause: (id) => library.pause(id),
  verify: (id, onProgress) => telling((tell) => library.verify(id, throttled(tell)), onProgress),
  remove: (id) => telling(() => library.remove(id)),
};
expose(api);
