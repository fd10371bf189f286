/** Page side of the adapters worker: makes it when it is first asked, and speaks {@link AdaptersWorkerApi} to it, typed. */
import { proxy, type Remote, wrap } from 'comlink';
import type { AdaptersWorkerApi, StoreFailure } from './adapters-api';

export { type AdapterHost, adapterMisfits } from '../engine/adapter-fit';
export { describeBase } from '../formats/adapter-file';

type Verbs = Omit<AdaptersWorkerApi, 'watch'>;

let asked: { readonly remote: Remote<AdaptersWorkerApi>; readonly crash: Promise<never> } | undefined;
const watchers = new Set<() => void>();

function worker(): NonNullable<typeof asked> {
  if (asked) return asked;
  const worker = new Worker(new URL('./adapters.worker.ts', import.meta.url), { type: 'module', name: 'adapters' });
  const remote = wrap<AdaptersWorkerApi>(worker);
  const crash = new Promise<never>((_resolve, reject) => {
    worker.addEventListener('error', (event) => {
      event.preventDefault();
      worker.terminate();
      asked = undefined;
      const message = `The part of the page that keeps adapter sets stopped (${event.message || 'its worker could not be started'}). Try again: what was kept is still there.`;
      reject({ code: 'internal', message } satisfies StoreFailure);
    });
  });
  crash.catch(() => {});
  remote
    .watch(
      proxy(() => {
        for (const watcher of watchers) watcher();
      }),
    )
    .catch(() => {});
  asked = { remote, crash };
  return asked;
}

function call<T>(work: (remote: Remote<AdaptersWorkerApi>) => Promise<T>): Promise<T> {
  const { remote, crash } = worker();
  return Promise.race([work(remote), crash]);
}

/** The adapter sets of this device; a worker that crashed is made anew at the next call. */
export const adapterSets: Verbs = {
  list: () => call((remote) => remote.list()),
  file: (id) => call((remote) => remote.file(id)),
  look: (file) => call((remote) => remote.look(file)),
  add: (file, account) => call((remote) => remote.add(file, account)),
  describe: (id, words) => call((remote) => remote.describe(id, words)),
  export: (id, format) => call((remote) => remote.export(id, format)),
  remove: (id) => call((remote) => remote.remove(id)),
};

/** Calls `watcher` whenever the list may have changed, in whichever tab. @returns what ends that */
export function watchAdapterSets(watcher: () => void): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}
