/** Everything the page knows, in one tree; {@link file://./reducer.ts} is the only place that changes it. */
import type {
  ChatRequest,
  ChatResult,
  DeviceReport,
  EngineFailure,
  LoadedModel,
  LoadProgress,
  ModelSource,
  PatchRouting,
} from '../../src/workers/api';
import { EMPTY_TREE, type MessageTree } from './tree';

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
  | {
      readonly phase: 'ready';
      readonly choice: ModelChoice;
      readonly model: LoadedModel;
      /** In the place of the model's own. */
      readonly adapters?: AdaptersInUse;
    }
  | { readonly phase: 'failed'; readonly choice?: ModelChoice; readonly failure: EngineFailure };

/** What came of a chat's choice of adapters: the set's name, or why it is not in use. */
export type AdaptersInUse = { readonly wanted: string } & ({ readonly name: string } | { readonly trouble: string });

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

interface MessagePlace {
  readonly id: string;
  /** The message that it answers or follows; undefined for a first prompt. */
  readonly parent: string | undefined;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export interface UserMessage extends MessagePlace {
  readonly role: 'user';
  readonly text: string;
  readonly picture?: Picture;
  /** A second picture begins a new context: the model takes one, and what came before is not sent again. */
  readonly startsContext: boolean;
}

export interface AssistantMessage extends MessagePlace {
  readonly role: 'assistant';
  readonly text: string;
  readonly modelTitle: string;
  /** Token ids of `text`, as far as they are known: by them an answer is continued exactly. */
  readonly ids?: readonly number[];
  /** What it was drawn with. */
  readonly seed?: number;
  /** Absent while the answer is being written, and when the page was closed in its middle. */
  readonly result?: ChatResult;
  readonly failure?: EngineFailure;
}

export type Message = UserMessage | AssistantMessage;

export type Turn =
  | { readonly phase: 'idle' }
  /** The last message waits for a model: a prompt, or an answer that is to be continued. */
  | {
      readonly phase: 'waiting';
      /** What took the model away in the answer's middle; it is told only if it happens again. */
      readonly after?: EngineFailure;
    }
  | {
      readonly phase: 'answering';
      readonly answerId: string;
      /** This answer has lost its model once already. */
      readonly recovered: boolean;
      /** What the answer had before it was continued. */
      readonly earlier?: Earlier;
      /** The model is on its way back after its GPU was taken away between answers. */
      readonly loading?: LoadProgress;
      readonly prefill?: { readonly done: number; readonly total: number };
      readonly tokens: number;
      readonly tokensPerSecond: number;
      readonly stopping: boolean;
    };

/** Figures of an answer's beginning, to be joined with those of its continuation. */
export interface Earlier {
  readonly tokens: number;
  readonly timeToFirstTokenMs: number;
}

export type Modality = 'text' | 'image';

export type Sampling = NonNullable<ChatRequest['sampling']>;

/** What a person set for one chat; what is not set is the model's. */
export interface ChatSettings {
  readonly system: string;
  /** Without a seed every answer is drawn with a new one. */
  readonly sampling: Sampling;
  /** Of those on this device; without one the model's own adapters answer. */
  readonly adapterSet?: { readonly id: string; readonly name: string };
}

export const DEFAULT_SETTINGS: ChatSettings = { system: '', sampling: {} };

/** What is kept of a chat. */
export interface Conversation {
  readonly id: string;
  /** As a person named it; else its first prompt stands for it. */
  readonly title?: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  readonly settings: ChatSettings;
  readonly tree: MessageTree;
}

/** Who may write: one tab at a time. */
export type Access =
  /** Being read from the disk. */
  | 'opening'
  | 'here'
  /** Another tab writes it; this one shows what that one saves. */
  | 'elsewhere';

export interface ChatState extends Conversation {
  readonly access: Access;
  /** The path through the tree that is shown. */
  readonly messages: readonly Message[];
  readonly turn: Turn;
  /** A prompt that is being written anew, in its place. */
  readonly editing: { readonly id: string; readonly text: string } | undefined;
  readonly draft: string;
  /** Picked for the next message, not sent yet. */
  readonly attached: Picture | undefined;
  /** Something small that went wrong, in plain words. */
  readonly notice: string | undefined;
  /** The chat that "New chat" put away, until something new is said. */
  readonly putAway: Conversation | undefined;
}

export interface ConversationSummary {
  readonly id: string;
  readonly title: string;
  /** Milliseconds since 1970, of the newest change. */
  readonly updated: number;
}

/** The chats that are kept on this device. */
export interface ShelfState {
  readonly status: 'reading' | 'ready' | 'unavailable';
  /** Newest first. */
  readonly summaries: readonly ConversationSummary[];
  /** Why something could not be kept, in plain words with the next action. */
  readonly problem: string | undefined;
  /** What was done last and can be taken back. */
  readonly undo: { readonly words: string; readonly conversation: Conversation; readonly deleted: boolean } | undefined;
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
  readonly shelf: ShelfState;
  readonly routing: RoutingState;
}

export const NOTHING_ROUTED: RoutingState = { modality: undefined, patches: undefined, picture: undefined };

export function newConversation(): Conversation {
  return { id: crypto.randomUUID(), created: Date.now(), settings: DEFAULT_SETTINGS, tree: EMPTY_TREE };
}

/** @param id the conversation to be opened; a new one without it */
export function initialState(draft: string, id?: string): State {
  return {
    catalogue: { status: 'loading', models: [] },
    engine: { phase: 'idle' },
    device: undefined,
    chat: {
      ...newConversation(),
      ...(id !== undefined && { id }),
      access: id === undefined ? 'here' : 'opening',
      messages: [],
      turn: { phase: 'idle' },
      draft,
      attached: undefined,
      editing: undefined,
      notice: undefined,
      putAway: undefined,
    },
    shelf: { status: 'reading', summaries: [], problem: undefined, undo: undefined },
    routing: NOTHING_ROUTED,
  };
}
