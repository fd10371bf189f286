/** Page side of the comlink boundary: makes the GPU worker and speaks {@link EngineWorkerApi} to it, typed. */
import { proxy, type Remote, wrap } from 'comlink';
import type {
  AdapterSource,
  ChatEvent,
  ChatRequest,
  ChatResult,
  DeviceReport,
  EngineFailure,
  EngineWorkerApi,
  Explanation,
  FailureCode,
  LoadedModel,
  LoadProgress,
  ModelSource,
  RoutingTable,
} from './api';

/** An {@link EngineFailure} as it is thrown to the page. */
export class EngineError extends Error implements EngineFailure {
  constructor(
    readonly code: FailureCode,
    message: string,
  ) {
    super(message);
    this.name = 'EngineError';
  }
}

/** Anything thrown, as an {@link EngineError}. */
export function toEngineError(error: unknown): EngineError {
  if (error instanceof EngineError) return error;
  const { code, message } = (error ?? {}) as Partial<EngineFailure>;
  return new EngineError(code ?? 'internal', message ?? String(error));
}

/**
 * One GPU worker. Every method rejects with {@link EngineError}; a crashed worker rejects what was pending, after which
 * the client is of no use and a new one has to be made.
 */
export class EngineClient {
  readonly #worker: Worker;
  readonly #remote: Remote<EngineWorkerApi>;
  readonly #crash: Promise<never>;
  #opened: Promise<DeviceReport> | undefined;
  /** The running load or chat, never rejecting. */
  #running: Promise<unknown> | undefined;
  #latestLoad = 0;
  #crashed = false;
  /** Whether what runs is the router view's, which ends when a chat wants the engine. */
  #studying = false;
  /** Never rejects; what wants the engine meanwhile waits for it. */
  #swapping: Promise<unknown> | undefined;

  constructor() {
    this.#worker = new Worker(new URL('./gpu.worker.ts', import.meta.url), { type: 'module', name: 'gpu' });
    this.#remote = wrap<EngineWorkerApi>(this.#worker);
    this.#crash = new Promise<never>((_resolve, reject) => {
      this.#worker.addEventListener('error', (event) => {
        event.preventDefault();
        this.#crashed = true;
        reject(
          new EngineError('internal', `The engine stopped: ${event.message || 'its worker could not be started'}.`),
        );
      });
    });
    this.#crash.catch(() => {});
  }

  get crashed(): boolean {
    return this.#crashed;
  }

  /** Opens the GPU; the answer is kept, a failure is tried again at the next call. */
  open(): Promise<DeviceReport> {
    this.#opened ??= this.#call(this.#remote.open()).catch((error) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }

  /** Ends whatever runs, then loads. A load overtaken by a later one rejects with `aborted`. */
  async load(source: ModelSource, onProgress: (progress: LoadProgress) => void): Promise<LoadedModel> {
    this.#latestLoad += 1;
    const ticket = this.#latestLoad;
    if (this.#running) {
      this.cancelLoad();
      this.stop();
      await this.#running;
    }
    if (ticket !== this.#latestLoad) throw new EngineError('aborted', 'Another model was chosen.');
    return this.#track(this.#remote.load(source, proxy(onProgress)));
  }

  /** The running load, if any, rejects with `aborted`. */
  cancelLoad(): void {
    this.#send(this.#remote.cancelLoad());
  }

  async chat(request: ChatRequest, onEvent: (event: ChatEvent) => void): Promise<ChatResult> {
    await this.#endStudies();
    return this.#track(this.#remote.chat(request, proxy(onEvent)));
  }

  /** An answer for the router view: a chat that wants the engine meanwhile ends it with `stopped`. */
  tryOut(request: ChatRequest, onEvent: (event: ChatEvent) => void): Promise<ChatResult> {
    return this.#study(() => this.#remote.chat(request, proxy(onEvent)));
  }

  /** Measures the routers; a chat that wants the engine meanwhile ends it with `aborted`. */
  explain(request: ChatRequest, onProgress: (share: number) => void): Promise<Explanation> {
    return this.#study(() => this.#remote.explain(request, proxy(onProgress)));
  }

  /**
   * Puts an adapter set in the place of the loaded model's, or its own back; see the worker's verb. Ends what the router
   * view does; rejects with `busy` while a model loads or an answer is written.
   */
  async useAdapters(set: AdapterSource | undefined): Promise<RoutingTable | undefined> {
    await this.#endStudies();
    if (this.#running) {
      throw new EngineError('busy', 'The model is at work. Wait for it, or stop it, then change the adapters.');
    }
    const swap = this.#track(this.#remote.useAdapters(set));
    const swapping = swap.then(
      () => {},
      () => {},
    );
    this.#swapping = swapping;
    swapping.then(() => {
      if (this.#swapping === swapping) this.#swapping = undefined;
    });
    return swap;
  }

  /** The running answer, if any, ends with `stopped`. */
  stop(): void {
    this.#send(this.#remote.stop());
  }

  dispose(): void {
    this.#worker.terminate();
  }

  async #endStudies(): Promise<void> {
    while (this.#swapping || (this.#running && this.#studying)) {
      if (!this.#swapping) this.stop();
      await (this.#swapping ?? this.#running);
    }
  }

  async #study<T>(call: () => Promise<T>): Promise<T> {
    while (this.#swapping) await this.#swapping;
    if (this.#running) throw new EngineError('busy', 'The chat is being answered. Wait for it, or stop it first.');
    return this.#track(call(), true);
  }

  #track<T>(call: Promise<T>, studying = false): Promise<T> {
    this.#studying = studying;
    const result = this.#call(call);
    const running = result.then(
      () => {},
      () => {},
    );
    this.#running = running;
    running.then(() => {
      if (this.#running === running) this.#running = undefined;
    });
    return result;
  }

  async #call<T>(call: Promise<T>): Promise<T> {
    try {
      return await Promise.race([call, this.#crash]);
    } catch (error) {
      const failure = toEngineError(error);
      if (failure.code === 'lost') this.#opened = undefined;
      throw failure;
    }
  }

  /** A verb without an answer; what goes wrong shows in the call that it is meant for. */
  #send(call: Promise<unknown>): void {
    call.catch(() => {});
  }
}
