/**
 * The one typed contract between the page and the GPU worker, carried by comlink. Everything that crosses is
 * structured-cloneable; callbacks are wrapped in `comlink.proxy`. Errors cross as {@link EngineFailure} values inside
 * rejected promises whose `message` is JSON-free plain words.
 */
import type { Manifest, SamplingOptions } from './manifest';

export type FailureCode =
  | 'no-webgpu'
  | 'no-adapter'
  | 'no-device'
  | 'lost'
  | 'out-of-memory'
  | 'limit'
  | 'validation'
  | 'network'
  | 'file'
  | 'format'
  | 'unsupported'
  | 'context-full'
  | 'aborted'
  | 'busy'
  | 'internal';

/** `message` names the cause and the next action, ready to be shown. */
export interface EngineFailure {
  readonly code: FailureCode;
  readonly message: string;
}

export interface DeviceReport {
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  readonly f16: boolean;
  readonly subgroups: boolean;
  readonly maxBufferBytes: number;
}

export type ModelSource =
  | { readonly kind: 'manifest'; readonly url: string }
  /** A local GGUF: a bare LLaMA for text chat. */
  | { readonly kind: 'file'; readonly file: File };

export interface LoadProgress {
  /** `compile`: kernels are built and run once, so that the first answer waits for none. */
  readonly phase: 'download' | 'compile' | 'ready';
  /** File now read. */
  readonly file: string;
  readonly loadedBytes: number;
  readonly totalBytes: number;
  /** In phase `compile`: share of recording and first runs that is done, 0 to 1. */
  readonly prepared?: number;
}

/** What the router decides for a text-only prompt and for one with a picture: constant until the adapters change. */
export interface RoutingTable {
  /** [layer][expert], each pair sums to 1; attention-side adapters. */
  readonly text: readonly (readonly [number, number])[];
  readonly image: readonly (readonly [number, number])[];
}

/** The ViT routers on one picture: first expert's weight of token t in layer l is `weights[l * tokens + t]`. */
export interface PatchRouting {
  readonly layers: number;
  /** 1 class token, then grid x grid patches in reading order. */
  readonly tokens: number;
  readonly grid: number;
  readonly weights: Float32Array;
}

export interface LoadedModel {
  readonly manifest: Manifest;
  readonly canSee: boolean;
  readonly context: number;
  readonly layers: number;
  readonly parameters: number;
  readonly gpuBytes: number;
  readonly gpuBytesByPurpose: Readonly<Record<string, number>>;
  readonly routing: RoutingTable | undefined;
}

export interface ChatTurn {
  readonly role: 'user' | 'assistant';
  readonly text: string;
  /**
   * Token ids of an answer to be continued, as {@link ChatEvent} gave them: text may be cut into tokens in more than one
   * way. Ids that do not spell `text` in the loaded model's vocabulary are passed over.
   */
  readonly ids?: readonly number[];
}

export interface ChatRequest {
  readonly system?: string;
  /** Ends with the user turn to be answered, or with an assistant turn to be continued. */
  readonly turns: readonly ChatTurn[];
  /** The conversation's picture: encoded bytes (PNG, JPEG, WebP, ...), at most one. */
  readonly image?: Blob;
  readonly sampling?: Partial<SamplingOptions>;
}

export type ChatEvent =
  | { readonly type: 'prefill'; readonly promptTokens: number; readonly reusedTokens: number; readonly done: number }
  | { readonly type: 'routing'; readonly modality: 'text' | 'image'; readonly patches: PatchRouting | undefined }
  /** `text` is the newly streamed piece, `id` the token it came with; text held back until the end comes without one. */
  | {
      readonly type: 'token';
      readonly text: string;
      readonly id?: number;
      readonly tokens: number;
      readonly tokensPerSecond: number;
    };

export interface ChatResult {
  /** The whole answer; of a continued one with what it began with. */
  readonly text: string;
  readonly stopReason: 'end' | 'stop-string' | 'max-tokens' | 'stopped' | 'context-full';
  readonly promptTokens: number;
  readonly reusedTokens: number;
  /** Newly generated ones. */
  readonly tokens: number;
  readonly promptTokensPerSecond: number;
  readonly tokensPerSecond: number;
  readonly timeToFirstTokenMs: number;
  readonly contextUsed: number;
}

/** Implemented by the GPU worker; one request of each kind at a time. */
export interface EngineWorkerApi {
  /** Opens the GPU. Rejects with `no-webgpu`, `no-adapter` or `no-device`. */
  open(): Promise<DeviceReport>;
  load(source: ModelSource, onProgress: (progress: LoadProgress) => void): Promise<LoadedModel>;
  /** Cancels a running load; that load rejects with `aborted`. */
  cancelLoad(): void;
  chat(request: ChatRequest, onEvent: (event: ChatEvent) => void): Promise<ChatResult>;
  /** Ends the running answer within one slice; its chat resolves with `stopped`. */
  stop(): void;
  unload(): Promise<void>;
}
