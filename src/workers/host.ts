/** Worker side of the comlink boundary: one engine exposed, every error turned into a cloneable {@link EngineFailure}. */
import { expose } from 'comlink';
import type { EngineFailure, EngineWorkerApi, FailureCode } from './api';
import { tellingWith } from './telling';

/** A record, so that the compiler notices a code missing here. */
const CODES: Readonly<Record<FailureCode, true>> = {
  'no-webgpu': true,
  'no-adapter': true,
  'no-device': true,
  lost: true,
  'out-of-memory': true,
  limit: true,
  validation: true,
  network: true,
  file: true,
  format: true,
  unsupported: true,
  'context-full': true,
  aborted: true,
  busy: true,
  internal: true,
};

/**
 * What the page is told about `error`, as a plain object: it crosses whole.
 */
export function toFailure(error: unknown): EngineFailure {
  if (typeof error === 'object' && error !== null) {
    const { code, name, message } = error as { code?: unknown; name?: unknown; message?: unknown };
    const words = typeof message === 'string' && message !== '' ? message : 'The engine failed without saying why.';
    // Their own codes tell what is wrong with a file or a download; a person needs to know that it is one of the two.
    if (name === 'NetworkError' && code !== undefined) return { code: 'network', message: words };
    if (name === 'StoreError') return { code: 'file', message: words };
    if (name === 'FormatError' && code !== 'unsupported') {
      return { code: (error as { field?: unknown }).field === 'content' ? 'file' : 'format', message: words };
    }
    if (typeof code === 'string' && Object.hasOwn(CODES, code)) return { code: code as FailureCode, message: words };
    if (name === 'AbortError') return { code: 'aborted', message: words };
    if (name === 'NotReadableError' || name === 'NotFoundError') return { code: 'file', message: words };
    return { code: 'internal', message: words };
  }
  return { code: 'internal', message: String(error) };
}

const telling = tellingWith(toFailure);

/** Serves `engine` to the page that made this worker. */
export function exposeEngine(engine: EngineWorkerApi): void {
  const api: EngineWorkerApi = {
    open: () => telling(() => engine.open()),
    load: (source, onProgress) => telling((tell) => engine.load(source, tell), onProgress),
    cancelLoad: () => engine.cancelLoad(),
    chat: (request, onEvent) => telling((tell) => engine.chat(request, tell), onEvent),
    explain: (request, onProgress) => telling((tell) => engine.explain(request, tell), onProgress),
    useAdapters: (set) => telling(() => engine.useAdapters(set)),
    stop: () => engine.stop(),
    unload: () => telling(() => engine.unload()),
  };
  expose(api);
}
