/** Everything the page knows, in one tree; {@link file://./reducer.ts} is the only place that changes it. */
import type {
  ChatResult,
  DeviceReport,
  EngineFailure,
  LoadedModel,
  LoadProgress,
  ModelSource,
  PatchRouting,
} from '../../src/workers/api';

/** A model that can be chosen. */
export interface ModelChoice {
  /** Unique in the picker. */
  readonly id: string;
  readonly title: string;
  readonly summary?: string;
  readonly bytes?: number;
  readonly source: ModelSource;
}

export interface Catalogue {
  readonly status: 'loading' | 'ready' | 'failed';
  readonly models: readonly ModelChoice[];
}

export type EngineState =
  /** No model: nothing chosen yet, or the load was cancelled. */
  | { readonly phase: 'idle'; readonly choice?: ModelChoice }
  | {
      readonly phase: 'loading';
      readonly choice: ModelChoice;
      /** Absent while the GPU is being opened. */
      readonly progress?: LoadProgress;
      /** Bytes per second, smoothed; 0 until known. */
      readonly speed: number;
      /** Where the speed was last measured; `at` in milliseconds of `performance.now()`. */
      readonly mark?: { readonly bytes: number; readonly at: number };
    }
  | { readonly phase: 'ready'; readonly choice: ModelChoice; readonly model: LoadedModel }
  | { readonly phase: 'failed'; readonly choice?: ModelChoice; readonly failure: EngineFailure };

export interface Picture {
  readonly id: string;
  readonly blob: Blob;
  /** Object URL of `blob`. */
  readonly url: string;
  readonly name: string;
  /** Pixels, after EXIF orientation. */
  readonly width: number;
  readonly height: number;
}

export interface UserMessage {
  readonly role: 'user';
  readonly id: string;
  readonly text: string;
  readonly picture?: Picture;
  /** A second picture begins a new context: the model takes one, and what came before is not sent again. */
  readonly startsContext: boolean;
}

export interface AssistantMessage {
  readonly role: 'assistant';
  readonly id: string;
  readonly text: string;
  readonly modelTitle: string;
  /** Absent while the answer is being written. */
  readonly result?: ChatResult;
  readonly failure?: EngineFailure;
}

export type Message = UserMessage | AssistantMessage;

export type Turn =
  | { readonly phase: 'idle' }
  /** The last message is a prompt that waits for a model. */
  | { readonly phase: 'waiting' }
  | {
      readonly phase: 'answering';
      readonly answerId: string;
      readonly prefill?: { readonly done: number; readonly total: number };
      readonly tokens: number;
      readonly tokensPerSecond: number;
      readonly stopping: boolean;
    };

export type Modality = 'text' | 'image';

export interface ChatState {
  readonly messages: readonly Message[];
  readonly turn: Turn;
  readonly draft: string;
  /** Picked for the next message, not sent yet. */
  readonly attached: Picture | undefined;
  /** Something small that went wrong, in plain words. */
  readonly notice: string | undefined;
  /** The chat that "New chat" put away, until something new is said. */
  readonly putAway: { readonly messages: readonly Message[]; readonly routing: RoutingState } | undefined;
}

/** What the routers did at the newest prompt. */
export interface RoutingState {
  readonly modality: Modality | undefined;
  readonly patches: PatchRouting | undefined;
  readonly picture: Picture | undefined;
}

export interface State {
  readonly catalogue: Catalogue;
  readonly engine: EngineState;
  readonly device: DeviceReport | undefined;
  readonly chat: ChatState;
  readonly routing: RoutingState;
}

export const NOTHING_ROUTED: RoutingState = { modality: undefined, patches: undefined, picture: undefined };

export function initialState(draft: string): State {
  return {
    catalogue: { status: 'loading', models: [] },
    engine: { phase: 'idle' },
    device: undefined,
    chat: {
      messages: [],
      turn: { phase: 'idle' },
      draft,
      attached: undefined,
      notice: undefined,
      putAway: undefined,
    },
    routing: NOTHING_ROUTED,
  };
}
