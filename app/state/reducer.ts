import type {
  ChatResult,
  DeviceReport,
  EngineFailure,
  LoadedModel,
  LoadProgress,
  PatchRouting,
} from '../../src/workers/api';
import { contextPicture } from './selectors';
import {
  type AssistantMessage,
  type Catalogue,
  type ChatState,
  type Message,
  type Modality,
  type ModelChoice,
  NOTHING_ROUTED,
  type Picture,
  type State,
} from './state';

export type Action =
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
  /** The model is gone: lost GPU, crashed worker. */
  | { readonly type: 'engine-failed'; readonly failure: EngineFailure }
  | { readonly type: 'draft'; readonly text: string }
  | { readonly type: 'attached'; readonly picture: Picture }
  | { readonly type: 'detached' }
  | { readonly type: 'notice'; readonly text: string | undefined }
  | { readonly type: 'sent'; readonly id: string; readonly text: string; readonly picture?: Picture }
  | { readonly type: 'taken-back' }
  | { readonly type: 'retried' }
  | { readonly type: 'carried-over' }
  | { readonly type: 'answer-started'; readonly answerId: string; readonly modelTitle: string }
  | { readonly type: 'answer-prefill'; readonly answerId: string; readonly done: number; readonly total: number }
  | {
      readonly type: 'answer-grew';
      readonly answerId: string;
      readonly text: string;
      readonly tokens: number;
      readonly tokensPerSecond: number;
    }
  | { readonly type: 'answer-stopping' }
  | { readonly type: 'answer-done'; readonly answerId: string; readonly result: ChatResult }
  | { readonly type: 'answer-failed'; readonly answerId: string; readonly failure: EngineFailure }
  | {
      readonly type: 'routed';
      readonly answerId: string;
      readonly modality: Modality;
      readonly patches: PatchRouting | undefined;
    }
  | { readonly type: 'new-chat' }
  | { readonly type: 'new-chat-undone' };

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
      if (!isAnswering(state.chat, action.answerId)) return state;
      const { modality, patches } = action;
      const picture = modality === 'image' ? contextPicture(state.chat.messages) : undefined;
      return { ...state, routing: { modality, patches, picture } };
    }
    case 'new-chat': {
      const { messages, turn, putAway } = state.chat;
      if (turn.phase === 'answering' || messages.length === 0) return state;
      const waiting = turn.phase === 'waiting' ? takeBack(state.chat) : state.chat;
      const kept = waiting.messages.length > 0 ? { messages: waiting.messages, routing: state.routing } : putAway;
      return {
        ...state,
        routing: NOTHING_ROUTED,
        chat: { ...waiting, messages: [], turn: { phase: 'idle' }, notice: undefined, putAway: kept },
      };
    }
    case 'new-chat-undone': {
      const { putAway } = state.chat;
      if (!putAway) return state;
      return {
        ...state,
        routing: putAway.routing,
        chat: { ...state.chat, messages: putAway.messages, putAway: undefined },
      };
    }
    default:
      return { ...state, chat: chatReducer(state.chat, action) };
  }
}

function chatReducer(chat: ChatState, action: Action): ChatState {
  switch (action.type) {
    case 'draft':
      return { ...chat, draft: action.text };
    case 'attached':
      return { ...chat, attached: action.picture, notice: undefined };
    case 'detached':
      return { ...chat, attached: undefined };
    case 'notice':
      return { ...chat, notice: action.text };
    case 'sent': {
      if (chat.turn.phase !== 'idle') return chat;
      const { id, text, picture } = action;
      const startsContext = picture !== undefined && contextPicture(chat.messages) !== undefined;
      const message: Message = { role: 'user', id, text, startsContext, ...(picture && { picture }) };
      return {
        ...chat,
        messages: [...chat.messages, message],
        turn: { phase: 'waiting' },
        attached: undefined,
        notice: undefined,
        putAway: undefined,
      };
    }
    case 'taken-back':
      return chat.turn.phase === 'waiting' ? takeBack(chat) : chat;
    case 'retried': {
      const last = chat.messages.at(-1);
      if (chat.turn.phase !== 'idle' || last?.role !== 'assistant') return chat;
      return { ...chat, messages: chat.messages.slice(0, -1), turn: { phase: 'waiting' } };
    }
    case 'carried-over': {
      const prompt = chat.messages.at(-2);
      if (chat.turn.phase !== 'idle' || prompt?.role !== 'user') return chat;
      const picture = contextPicture(chat.messages);
      const again: Message = { ...prompt, startsContext: true, ...(picture && { picture }) };
      return { ...chat, messages: [...chat.messages.slice(0, -2), again], turn: { phase: 'waiting' } };
    }
    case 'answer-started': {
      if (chat.turn.phase !== 'waiting') return chat;
      const { answerId, modelTitle } = action;
      return {
        ...chat,
        messages: [...chat.messages, { role: 'assistant', id: answerId, text: '', modelTitle }],
        turn: { phase: 'answering', answerId, tokens: 0, tokensPerSecond: 0, stopping: false },
      };
    }
    case 'answer-prefill':
      if (chat.turn.phase !== 'answering' || chat.turn.answerId !== action.answerId) return chat;
      return { ...chat, turn: { ...chat.turn, prefill: { done: action.done, total: action.total } } };
    case 'answer-grew': {
      if (chat.turn.phase !== 'answering' || chat.turn.answerId !== action.answerId) return chat;
      const { tokens, tokensPerSecond } = action;
      const grown = withAnswer(chat, action.answerId, (answer) => ({ ...answer, text: answer.text + action.text }));
      return { ...grown, turn: { ...chat.turn, tokens, tokensPerSecond } };
    }
    case 'answer-stopping':
      return chat.turn.phase === 'answering' ? { ...chat, turn: { ...chat.turn, stopping: true } } : chat;
    case 'answer-done': {
      if (!isAnswering(chat, action.answerId)) return chat;
      const { result } = action;
      const done = withAnswer(chat, action.answerId, (answer) => ({ ...answer, text: result.text, result }));
      return { ...done, turn: { phase: 'idle' } };
    }
    case 'answer-failed': {
      if (!isAnswering(chat, action.answerId)) return chat;
      const failed = withAnswer(chat, action.answerId, (answer) => ({ ...answer, failure: action.failure }));
      return { ...failed, turn: { phase: 'idle' } };
    }
    default:
      return chat;
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

function isAnswering(chat: ChatState, answerId: string): boolean {
  return chat.turn.phase === 'answering' && chat.turn.answerId === answerId;
}

function withAnswer(chat: ChatState, id: string, change: (answer: AssistantMessage) => AssistantMessage): ChatState {
  const messages = chat.messages.map((message) =>
    message.role === 'assistant' && message.id === id ? change(message) : message,
  );
  return { ...chat, messages };
}

/** The waiting prompt goes back into the message box, before what has been typed since. */
function takeBack(chat: ChatState): ChatState {
  const last = chat.messages.at(-1);
  if (last?.role !== 'user') return chat;
  return {
    ...chat,
    messages: chat.messages.slice(0, -1),
    turn: { phase: 'idle' },
    draft: [last.text, chat.draft].filter((text) => text !== '').join('\n'),
    attached: chat.attached ?? last.picture,
  };
}
