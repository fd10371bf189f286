/** The adapters worker: reads, rewrites and keeps adapter sets, so that the page never waits for a file of 20 MB. */
import { expose } from 'comlink';
import { AdapterSets, indexedAdapterRows } from '../store/adapter-sets';
import { toStoreFailure } from '../store/error';
import type { AdaptersWorkerApi } from './adapters-api';
import { tellingWith } from './telling';

/** Tells the other tabs, whose workers listen on it too. */
const channel = new BroadcastChannel('lavin-adapters');
let tellPage: (() => void) | undefined;
channel.onmessage = () => tellPage?.();

const sets = new AdapterSets({
  rows: indexedAdapterRows(),
  now: () => Date.now(),
  changed: () => {
    channel.postMessage('changed');
    tellPage?.();
  },
});

const telling = tellingWith(toStoreFailure);

const api: AdaptersWorkerApi = {
  list: () => telling(() => sets.list()),
  watch: (onChange) => {
    tellPage = onChange;
  },
  file: (id) => telling(() => sets.file(id)),
  look: (file) => telling(() => sets.look(file)),
  add: (file, account) => telling(() => sets.add(file, account)),
  describe: (id, words) => telling(() => sets.describe(id, words)),
  export: (id, format) => telling(() => sets.export(id, format)),
  remove: (id) => telling(() => sets.remove(id)),
};
expose(api);
