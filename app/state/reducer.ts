import type {
  DeviceReport,
  EngineFailure,
  LoadedModel,
  LoadProgress,
  PatchRouting,
  RoutingTable,
} from '../../src/workers/api';
import { type ChatAction, chatReducer } from './chat';
import { contextPicture } from './selectors';
import {
  type AdaptersInUse,
  type Catalogue,
  type Conversation,
  type ConversationSummary,
  type Modality,
  type ModelChoice,
  NOTHING_ROUTED,
  type ShelfState,
  type State,
} from './state';

export type ShelfAction =
  | { readonly type: 'shelf-listed'; readonly summaries: readonly ConversationSummary[] }
  | { readonly type: 'shelf-saved'; readonly summary: ConversationSummary }
  | { readonly type: 'shelf-unavailable'; readonly problem: string }
  | { readonly type: 'shelf-problem'; readonly problem: string | undefined }
  /** A conversation, or one before a message of it, as it was: it can be had back. */
  | {
      readonly type: 'undo-offered';
      readonly words: string;
      readonly conversation: Conversation;
      readonly deleted: boolean;
    }
  | { readonly type: 'undo-over' };

export type Action =
  | ChatAction
  | ShelfAction
  | { readonly type: 'catalogue'; readonly catalogue: Catalogue }
  | { readonly type: 'device-opened'; readonly device: DeviceReport }
  | { readonly type: 'load-started'; readonly choice: ModelChoice }
  | {
      readonly type: 'load-progress';
      readonly choice: ModelChoice;
      readonly progress: LoadProgress;
      readonly at: number;
    }
  | { readonly type: 'load-done'; readonly choice: ModelChoice; readonly model: LoadedModel }
  | { readonly type: 'load-cancelled'; readonly choice: ModelChoice }
  | { readonly type: 'load-failed'; readonly choice: ModelChoice; readonly failure: EngineFailure }
  | {
      readonly type: 'adapters-used';
      readonly choice: ModelChoice;
      /** None: the model's own. */
      readonly adapters: AdaptersInUse | undefined;
      /** Undefined where it is as it was. */
      readonly routing: RoutingTable | undefined;
    }
  /** The model is gone: lost GPU, crashed worker. */
  | { readonly type: 'engine-failed'; readonly failure: EngineFailure }
  | {
      readonly type: 'routed';
      readonly answerId: string;
      readonly modality: Modality;
      readonly patches: PatchRouting | undefined;
    };

export function reducer(state: State, action: Action): State {
  switch (action.type) {
    case 'catalogue':
      return { ...state, catalogue: action.catalogue };
    case 'device-opened':
      return { ...state, device: action.device };
    case 'load-started':
      return { ...state, engine: { phase: 'loading', choice: action.choice, speed: 0 } };
    // A load that a later one overtook has nothing more to say.
    case 'load-progress':
      return isLoading(state, action.choice) ? withProgress(state, action.progress, action.at) : state;
    case 'load-done': {
      const { choice, model } = action;
      return isLoading(state, choice) ? { ...state, engine: { phase: 'ready', choice, model } } : state;
    }
    case 'adapters-used': {
      const { engine } = state;
      if (engine.phase !== 'ready' || engine.choice !== action.choice) return state;
      const { adapters: _, ...plain } = engine;
      const model = { ...engine.model, routing: action.routing ?? engine.model.routing };
      return { ...state, engine: { ...plain, model, ...(action.adapters && { adapters: action.adapters }) } };
    }
    case 'load-cancelled': {
      const { choice } = action;
      return isLoading(state, choice) ? { ...state, engine: { phase: 'idle', choice } } : state;
    }
    case 'load-failed': {
      const { choice, failure } = action;
      return isLoading(state, choice) ? { ...state, engine: { phase: 'failed', choice, failure } } : state;
    }
    case 'engine-failed': {
      const { engine } = state;
      return {
        ...state,
        engine: { phase: 'failed', failure: action.failure, ...(engine.choice && { choice: engine.choice }) },
      };
    }
    case 'routed': {
      const { turn, messages } = state.chat;
      if (turn.phase !== 'answering' || turn.answerId !== action.answerId) return state;
      const { modality, patches } = action;
      const picture = modality === 'image' ? contextPicture(messages) : undefined;
      return { ...state, routing: { modality, patches, picture } };
    }
    case 'shelf-listed':
    case 'shelf-saved':
    case 'shelf-unavailable':
    case 'shelf-problem':
    case 'undo-offered':
    case 'undo-over':
      return { ...state, shelf: shelfReducer(state.shelf, action) };
    default: {
      const chat = chatReducer(state.chat, action);
      const routing = chat.id === state.chat.id ? state.routing : NOTHING_ROUTED;
      return chat === state.chat ? state : { ...state, chat, routing };
    }
  }
}

function shelfReducer(shelf: ShelfState, action: ShelfAction): ShelfState {
  switch (action.type) {
    case 'shelf-listed':
      return { ...shelf, status: 'ready', summaries: action.summaries };
    case 'shelf-saved': {
      const { summary } = action;
      const others = shelf.summaries.filter(({ id }) => id !== summary.id);
      const summaries = [summary, ...others].sort((a, b) => b.updated - a.updated);
      return { ...shelf, status: 'ready', summaries, problem: undefined };
    }
    case 'shelf-unavailable':
      return { ...shelf, status: 'unavailable', problem: action.problem };
    case 'shelf-problem':
      return { ...shelf, problem: action.problem };
    case 'undo-offered': {
      const { words, conversation, deleted } = action;
      return { ...shelf, undo: { words, conversation, deleted } };
    }
    case 'undo-over':
      return { ...shelf, undo: undefined };
  }
}

/** How much of a new measurement goes into the smoothed speed: steady enough to read, quick enough to believe. */
const SPEED_GAIN = 0.25;
const SPEED_INTERVAL_MS = 100;

function withProgress(state: State, progress: LoadProgress, at: number): State {
  const { engine } = state;
  if (engine.phase !== 'loading') return state;
  const mark = { bytes: progress.loadedBytes, at };
  if (!engine.mark || engine.progress?.phase !== progress.phase) {
    return { ...state, engine: { ...engine, progress, mark } };
  }
  const elapsed = at - engine.mark.at;
  if (elapsed < SPEED_INTERVAL_MS) return { ...state, engine: { ...engine, progress } };
  const current = Math.max(0, ((mark.bytes - engine.mark.bytes) / elapsed) * 1000);
  const speed = engine.speed === 0 ? current : engine.speed + SPEED_GAIN * (current - engine.speed);
  return { ...state, engine: { ...engine, progress, speed, mark } };
}

function isLoading({ engine }: State, choice: ModelChoice): boolean {
  return engine.phase === 'loading' && engine.choice === choice;
}
