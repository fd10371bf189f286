/** Page side of the storage worker: makes it and speaks {@link StorageWorkerApi} to it, typed. */
import { proxy, type Remote, wrap } from 'comlink';
import { storedUrl } from '../store/opfs';
import type { ModelSource } from './api';
import type {
  About,
  Ingredients,
  LibraryProgress,
  ListedModel,
  Outcome,
  RepoModels,
  StorageRoom,
  StorageWorkerApi,
  StoreFailure,
  TowerReport,
} from './storage-api';

export { DEFAULT_HUB, isRepo, preferred } from '../store/hub';

/** Anything thrown by the client, in words. */
export function asStoreFailure(error: unknown): StoreFailure {
  const { code, message } = (error ?? {}) as Partial<StoreFailure>;
  return { code: code ?? 'internal', message: message ?? String(error) };
}

/** Where the engine finds a model of the library. */
export function storedSource({ id, kind, title, card, licence, files }: ListedModel): ModelSource {
  const [main] = files;
  const url = storedUrl(id, main?.name ?? '');
  if (kind === 'manifest') return { kind: 'manifest', url };
  // What nobody stated, the file itself may.
  return { kind: 'gguf', url, about: { title, card, ...(licence !== 'not stated' && { licence }) } };
}

export class StorageClient {
  readonly #worker: Worker;
  readonly #remote: Remote<StorageWorkerApi>;
  readonly #crash: Promise<never>;

  constructor(onChange: () => void) {
    this.#worker = new Worker(new URL('./storage.worker.ts', import.meta.url), { type: 'module', name: 'storage' });
    this.#remote = wrap<StorageWorkerApi>(this.#worker);
    this.#crash = new Promise<never>((_resolve, reject) => {
      this.#worker.addEventListener('error', (event) => {
        event.preventDefault();
        const message = `The part of the page that keeps models stopped (${event.message || 'its worker could not be started'}). Reload the page: what was downloaded is kept.`;
        reject({ code: 'internal', message } satisfies StoreFailure);
      });
    });
    this.#crash.catch(() => {});
    this.#remote.watch(proxy(onChange)).catch(() => {});
  }

  list(): Promise<ListedModel[]> {
    return this.#call(this.#remote.list());
  }

  room(): Promise<StorageRoom> {
    return this.#call(this.#remote.room());
  }

  lookUp(hub: string, repo: string): Promise<RepoModels> {
    return this.#call(this.#remote.lookUp(hub, repo));
  }

  lookAtTower(hub: string, repo: string): Promise<TowerReport> {
    return this.#call(this.#remote.lookAtTower(hub, repo));
  }

  cancelLookUp(): void {
    this.#remote.cancelLookUp().catch(() => {});
  }

  addFromHub(hub: string, repo: string, path: string, about: About): Promise<string> {
    return this.#call(this.#remote.addFromHub(hub, repo, path, about));
  }

  addTower(hub: string, repo: string, about: About): Promise<string> {
    return this.#call(this.#remote.addTower(hub, repo, about));
  }

  putTogether(ingredients: Ingredients): Promise<string> {
    return this.#call(this.#remote.putTogether(ingredients));
  }

  addFromUrl(url: string): Promise<string> {
    return this.#call(this.#remote.addFromUrl(url));
  }

  addFile(file: File, onProgress: (progress: LibraryProgress) => void): Promise<string> {
    return this.#call(this.#remote.addFile(file, proxy(onProgress)));
  }

  download(id: string, onProgress: (progress: LibraryProgress) => void): Promise<Outcome> {
    return this.#call(this.#remote.download(id, proxy(onProgress)));
  }

  pause(id: string): void {
    this.#remote.pause(id).catch(() => {});
  }

  verify(id: string, onProgress: (progress: LibraryProgress) => void): Promise<boolean> {
    return this.#call(this.#remote.verify(id, proxy(onProgress)));
  }

  remove(id: string): Promise<void> {
    return this.#call(this.#remote.remove(id));
  }

  dispose(): void {
    this.#worker.terminate();
  }

  #call<T>(call: Promise<T>): Promise<T> {
    return Promise.race([call, this.#crash]);
  }
}
