/** Page side of working without a connection: registers the service worker of the built site and tells how it stands. */
import type { Manifest } from '../../src/engine/manifest';
import type { OfflineMessage } from './messages';

export interface OfflineState {
  /** This visit or an earlier one kept the page. */
  readonly kept: boolean;
  /** A newer build waits for this page to be closed. */
  readonly update: boolean;
}

let state: OfflineState = { kept: false, update: false };
let waiting: ServiceWorker | undefined;
const listeners = new Set<() => void>();

function set(next: Partial<OfflineState>): void {
  state = { ...state, ...next };
  for (const listener of listeners) listener();
}

export const offlineState = (): OfflineState => state;

export function subscribeOffline(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Call once, at the page's start. Without service workers, or outside a built site, the page just needs a connection. */
export async function startOffline(): Promise<void> {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  try {
    const registration = await navigator.serviceWorker.register('./sw.js');
    const look = () => {
      waiting = registration.waiting ?? undefined;
      set({ kept: registration.active !== null, update: registration.active !== null && waiting !== undefined });
    };
    const follow = (worker: ServiceWorker | null) => worker?.addEventListener('statechange', look);
    follow(registration.installing);
    registration.addEventListener('updatefound', () => follow(registration.installing));
    look();
  } catch {
    // Forbidden here, by a setting or a private window.
    return;
  }
}

/** Opens the newer build in this page's place; what is typed is kept by those who own it. */
export function takeUpdate(): void {
  navigator.serviceWorker.addEventListener('controllerchange', () => location.reload(), { once: true });
  waiting?.postMessage({ type: 'take-over' } satisfies OfflineMessage);
}

/** Has the files of a model beside the page kept, after it was loaded from `manifestUrl`. */
export async function keepModel(manifest: Manifest, manifestUrl: string): Promise<void> {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator) || new URL(manifestUrl).origin !== location.origin)
    return;
  const { llama, vision, adapters, tokenizer, examples = [] } = manifest;
  const files = [llama, vision, adapters, tokenizer].flatMap((reference) => (reference ? [reference.file] : []));
  // What the formats imply; a server that lacks one of them says so and it is left out.
  if (!/\.gguf$/i.test(llama.file)) files.push('config.json', 'tokenizer.json', 'tokenizer_config.json');
  const pictures = examples.flatMap(({ image }) => (image === undefined ? [] : [image]));
  const urls = [...new Set([...files, ...pictures].map((file) => new URL(file, manifestUrl).href)), manifestUrl];
  const registration = await navigator.serviceWorker.ready;
  registration.active?.postMessage({ type: 'keep', urls } satisfies OfflineMessage);
}
