/**
 * The one typed contract between the page and the GPU worker, carried by comlink. Everything that crosses is
 * structured-cloneable; callbacks are wrapped in `comlink.proxy`. Errors cross as {@link EngineFailure} values inside
 * rejected promises whose `message` is JSON-free plain words.
 */
import type { BaseIdentity } from '../formats/adapter-file';
import type { AdapterShape } from '../formats/adapter-shape';
import type { WeightPair } from '../models/router-table';
import type { Manifest, SamplingOptions } from './manifest';

export type { WeightPair };

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
  | { readonly kind: 'file'; readonly file: File }
  /** The same by its location; `about` says what whoever keeps it knows of it. */
  | {
      readonly kind: 'gguf';
      readonly url: string;
      readonly about?: Partial<Pick<Manifest, 'title' | 'card' | 'licence'>>;
    };

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

export type Modality = 'text' | 'image';

/** Where in a block an adapter stands: before attention or before the MLP. */
export type AdapterSite = 'attn' | 'mlp';

/** What the router decides for a text-only prompt and for one with a picture: constant until the adapters change. */
export interface RoutingTable {
  /** [layer], each pair sums to 1; attention-side adapters. */
  readonly text: readonly WeightPair[];
  readonly image: readonly WeightPair[];
  /** MLP-side adapters, where the set has them. */
  readonly mlp?: Readonly<Record<Modality, readonly WeightPair[]>>;
}

/** What is done with the weights that a router gave: the experts swapped, both silenced, or the pair replaced. */
export type RouterRule = 'swap' | 'silent' | WeightPair;

/** A rule per layer; null, or a layer past the end, leaves the router alone. */
export type RouterRules = Partial<Readonly<Record<AdapterSite, readonly (RouterRule | null)[]>>>;

/** A what-if: routers that decide otherwise than trained. */
export interface RouterOverrides {
  /** Whose row of the LLM's table is used, whatever the prompt holds. */
  readonly modality?: Modality;
  readonly llm?: RouterRules;
  /** For every token of the picture alike. */
  readonly vit?: RouterRules;
}

/** One adapter at one prompt. Norms are Euclidean, means over the rows: the prompt's tokens, or the picture's. */
export interface RouterReading {
  readonly layer: number;
  readonly site: AdapterSite;
  /** In effect, rules applied; in the ViT a mean over the tokens. */
  readonly weights: WeightPair;
  /** What each expert adds: |s w_e (B_e a + b_e)|. */
  readonly contributions: readonly [number, number];
  /** What both add together. */
  readonly together: number;
  /** What they add it to: z, the normalised input. */
  readonly input: number;
}

/** The routers of both towers at one prompt, measured. */
export interface Explanation {
  /** Of the prompt, not of the overrides. */
  readonly modality: Modality;
  readonly promptTokens: number;
  /** By layer, attention before MLP. */
  readonly llm: readonly RouterReading[];
  /** With a picture, where the ViT's adapters have routers. */
  readonly vit?: {
    readonly readings: readonly RouterReading[];
    /** Of the attention-side adapters, rules applied. */
    readonly patches: PatchRouting;
    /** Expert 1, expert 2, both, input: `norms[(l * tokens + t) * 4 + k]`, as in {@link RouterReading}. */
    readonly norms: Float32Array;
  };
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
  /** Of the adapters in use. */
  readonly routing: RoutingTable | undefined;
  /** The frozen models, for adapter sets to be compared with. */
  readonly base: BaseIdentity;
  /** Of the adapters that the model was loaded with: a set that takes their place has the same. */
  readonly adapterShape: AdapterShape | undefined;
}

/** An adapter set's file, safetensors or LaVIN's `.pth`. */
export interface AdapterSource {
  /** For messages. */
  readonly name: string;
  readonly file: Blob;
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
  /** Rejects with `unsupported` if the model has no such routers. */
  readonly overrides?: RouterOverrides;
}

export type ChatEvent =
  /** The GPU was taken away between two answers: the model is loaded again before this one begins. */
  | { readonly type: 'loading'; readonly progress: LoadProgress }
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
  /**
   * Measures the routers at this prompt. A recording of its own is made for it and freed again; the next answer computes
   * its context anew. Rejects with `unsupported` for a model without adapters, with `aborted` when stopped.
   */
  explain(request: ChatRequest, onProgress: (share: number) => void): Promise<Explanation>;
  /**
   * Puts another adapter set in the place of the loaded model's, the frozen models staying where they are; without one,
   * back the model's own. Resolves with the new set's routers. It stays in use until another is, or a model is loaded.
   * Rejects with `unsupported` naming every difference if the set is for another base or shape, with `format` for a file
   * that is no adapter set, with `busy` during an answer; the set in use then stays.
   */
  useAdapters(set: AdapterSource | undefined): Promise<RoutingTable | undefined>;
  /** Ends the running answer within one slice; its chat resolves with `stopped`. */
  stop(): void;
  unload(): Promise<void>;
}
