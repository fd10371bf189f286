/** What happens in the open chat: prompts, answers, variants, edits, settings. */
import type { ChatResult, EngineFailure, LoadProgress } from '../../src/workers/api';
import { contextPicture, conversationOf } from './selectors';
import {
  type Access,
  type AssistantMessage,
  type ChatSettings,
  type ChatState,
  type Conversation,
  type Earlier,
  type Message,
  newConversation,
  type Picture,
  type UserMessage,
} from './state';
import {
  added,
  changed,
  changedAnswer,
  endedAt,
  type MessageTree,
  reopenedAt,
  shownPath,
  shownVariant,
  variantsOf,
  without,
} from './tree';

/** An answer's event names the answer: one that is no longer being written has nothing more to say. */
type AnswerAction =
  | { readonly type: 'answer-prefill'; readonly done: number; readonly total: number }
  | { readonly type: 'answer-loading'; readonly progress: LoadProgress }
  | {
      readonly type: 'answer-grew';
      readonly text: string;
      readonly ids: readonly number[];
      readonly tokens: number;
      readonly tokensPerSecond: number;
    }
  | { readonly type: 'answer-done'; readonly result: ChatResult }
  | { readonly type: 'answer-failed'; readonly failure: EngineFailure }
  /** Its model was taken away; it waits for the model's return and goes on by itself. */
  | { readonly type: 'answer-interrupted'; readonly failure: EngineFailure };

export type ChatAction =
  | { readonly type: 'draft'; readonly text: string }
  | { readonly type: 'attached'; readonly picture: Picture }
  | { readonly type: 'detached' }
  | { readonly type: 'notice'; readonly text: string | undefined }
  | {
      readonly type: 'sent';
      readonly id: string;
      readonly at: number;
      readonly text: string;
      readonly picture?: Picture;
    }
  | { readonly type: 'taken-back' }
  /** Another answer to a prompt, or beside an answer. */
  | { readonly type: 'regenerated'; readonly id: string }
  /** The newest answer goes on. */
  | { readonly type: 'continued' }
  | { readonly type: 'carried-over' }
  | { readonly type: 'edit-started'; readonly id: string }
  | { readonly type: 'edit-text'; readonly text: string }
  | { readonly type: 'edit-cancelled' }
  | { readonly type: 'edit-sent'; readonly id: string; readonly at: number }
  | { readonly type: 'variant-stepped'; readonly id: string; readonly by: -1 | 1 }
  | { readonly type: 'message-deleted'; readonly id: string }
  | { readonly type: 'settings'; readonly settings: ChatSettings }
  | { readonly type: 'titled'; readonly title: string }
  | { readonly type: 'access'; readonly access: Access }
  | { readonly type: 'conversation-opened'; readonly conversation: Conversation; readonly access: Access }
  | { readonly type: 'new-chat' }
  | {
      readonly type: 'answer-started';
      readonly answerId: string;
      readonly modelTitle: string;
      readonly seed: number;
      readonly at: number;
    }
  | { readonly type: 'answer-stopping' }
  | (AnswerAction & { readonly answerId: string });

export function chatReducer(chat: ChatState, action: ChatAction): ChatState {
  switch (action.type) {
    case 'draft':
      return { ...chat, draft: action.text };
    case 'attached':
      return { ...chat, attached: action.picture, notice: undefined };
    case 'detached':
      return { ...chat, attached: undefined };
    case 'notice':
      return { ...chat, notice: action.text };
    case 'settings':
      return { ...chat, settings: action.settings };
    case 'titled': {
      const { title: _, ...untitled } = chat;
      return action.title === '' ? untitled : { ...chat, title: action.title };
    }
    case 'access':
      return { ...chat, access: action.access };
    case 'conversation-opened':
      return { ...opened(chat, action.conversation), access: action.access, putAway: undefined };
    case 'new-chat':
      if (chat.turn.phase === 'answering' || chat.messages.length === 0) return chat;
      return { ...opened(chat, newConversation()), access: 'here', putAway: conversationOf(chat) };
    case 'answer-stopping':
      return chat.turn.phase === 'answering' ? { ...chat, turn: { ...chat.turn, stopping: true } } : chat;
    case 'answer-prefill':
    case 'answer-loading':
    case 'answer-grew':
    case 'answer-done':
    case 'answer-failed':
    case 'answer-interrupted':
      return answerReducer(chat, action);
    case 'answer-started':
      return answerStarted(chat, action);
    case 'edit-text':
      return chat.editing ? { ...chat, editing: { ...chat.editing, text: action.text } } : chat;
    case 'edit-cancelled':
      return { ...chat, editing: undefined };
    case 'taken-back':
      return chat.turn.phase === 'waiting' ? takenBack(chat) : chat;
    default:
      return chat.turn.phase === 'idle' && chat.access === 'here' ? idleReducer(chat, action) : chat;
  }
}

type IdleAction = Extract<
  ChatAction,
  {
    type:
      | 'sent'
      | 'regenerated'
      | 'continued'
      | 'carried-over'
      | 'edit-started'
      | 'edit-sent'
      | 'variant-stepped'
      | 'message-deleted';
  }
>;

/** What would pull the ground from under an answer that is waited for or being written. */
function idleReducer(chat: ChatState, action: IdleAction): ChatState {
  const find = (id: string) => chat.tree.nodes.find((message) => message.id === id);
  const waiting = { turn: { phase: 'waiting' }, notice: undefined, putAway: undefined } as const;
  switch (action.type) {
    case 'sent': {
      const { id, at, text, picture } = action;
      const startsContext = picture !== undefined && contextPicture(chat.messages) !== undefined;
      const parent = chat.messages.at(-1)?.id;
      const message: Message = { role: 'user', id, parent, at, text, startsContext, ...(picture && { picture }) };
      return { ...withTree(chat, added(chat.tree, message)), ...waiting, attached: undefined };
    }
    case 'regenerated': {
      const message = find(action.id);
      const prompt = message?.role === 'assistant' && message.parent !== undefined ? find(message.parent) : message;
      if (!message || prompt?.role !== 'user') return chat;
      // An answer that failed before its first word is no variant to keep.
      const kept = message.role === 'assistant' && message.text === '' ? without(chat.tree, message) : chat.tree;
      return { ...withTree(chat, endedAt(kept, prompt.id)), ...waiting };
    }
    case 'continued':
      return chat.messages.at(-1)?.role === 'assistant' ? { ...chat, ...waiting } : chat;
    case 'carried-over': {
      const [prompt, failed] = chat.messages.slice(-2);
      if (prompt?.role !== 'user' || !failed) return chat;
      const picture = contextPicture(chat.messages);
      const again: UserMessage = { ...prompt, startsContext: true, ...(picture && { picture }) };
      const tree = changed(without(chat.tree, failed), prompt.id, () => again);
      return { ...withTree(chat, endedAt(tree, prompt.id)), ...waiting };
    }
    case 'edit-started': {
      const prompt = find(action.id);
      return prompt?.role === 'user' ? { ...chat, editing: { id: prompt.id, text: prompt.text } } : chat;
    }
    case 'edit-sent': {
      const prompt = chat.editing && find(chat.editing.id);
      const text = chat.editing?.text.trim();
      if (prompt?.role !== 'user' || !text) return chat;
      const message: Message = { ...prompt, id: action.id, at: action.at, text };
      return { ...withTree(chat, added(chat.tree, message)), ...waiting, editing: undefined };
    }
    case 'variant-stepped': {
      const message = find(action.id);
      const variants = message ? variantsOf(chat.tree, message) : [];
      const other = message && variants[variants.indexOf(message) + action.by];
      return other ? { ...withTree(chat, shownVariant(chat.tree, other)), editing: undefined } : chat;
    }
    case 'message-deleted': {
      const message = find(action.id);
      return message ? { ...withTree(chat, without(chat.tree, message)), editing: undefined } : chat;
    }
  }
}

function answerStarted(chat: ChatState, action: ChatAction & { readonly type: 'answer-started' }): ChatState {
  const { turn } = chat;
  const last = chat.messages.at(-1);
  if (turn.phase !== 'waiting' || !last) return chat;
  const { answerId, modelTitle, seed, at } = action;
  let tree: MessageTree;
  let earlier: Earlier | undefined;
  if (last.role === 'assistant') {
    const { result, failure: _, ...begun } = last;
    earlier = { tokens: result?.tokens ?? last.ids?.length ?? 0, timeToFirstTokenMs: result?.timeToFirstTokenMs ?? 0 };
    tree = changed(chat.tree, last.id, () => ({ ...begun, modelTitle }));
  } else {
    tree = added(chat.tree, { role: 'assistant', id: answerId, parent: last.id, at, text: '', modelTitle, seed });
  }
  return {
    ...withTree(chat, tree),
    turn: {
      phase: 'answering',
      answerId,
      recovered: turn.after !== undefined,
      ...(earlier && { earlier }),
      tokens: 0,
      tokensPerSecond: 0,
      stopping: false,
    },
  };
}

function answerReducer(chat: ChatState, action: AnswerAction & { readonly answerId: string }): ChatState {
  const { turn } = chat;
  if (turn.phase !== 'answering' || turn.answerId !== action.answerId) return chat;
  const withAnswer = (change: (answer: AssistantMessage) => AssistantMessage) =>
    withTree(chat, changedAnswer(chat.tree, action.answerId, change));
  switch (action.type) {
    case 'answer-prefill': {
      const { loading: _, ...rest } = turn;
      return { ...chat, turn: { ...rest, prefill: { done: action.done, total: action.total } } };
    }
    case 'answer-loading':
      return { ...chat, turn: { ...turn, loading: action.progress } };
    case 'answer-grew': {
      const { text, ids, tokens, tokensPerSecond } = action;
      const grown = withAnswer((answer) => ({
        ...answer,
        text: answer.text + text,
        ...(answer.ids || answer.text === '' ? { ids: [...(answer.ids ?? []), ...ids] } : {}),
      }));
      return { ...grown, turn: { ...turn, tokens, tokensPerSecond } };
    }
    case 'answer-done': {
      const { earlier } = turn;
      const { tokens, timeToFirstTokenMs, ...figures } = action.result;
      const result: ChatResult = {
        ...figures,
        tokens: tokens + (earlier?.tokens ?? 0),
        timeToFirstTokenMs: earlier?.timeToFirstTokenMs || timeToFirstTokenMs,
      };
      return { ...withAnswer((answer) => ({ ...answer, text: result.text, result })), turn: { phase: 'idle' } };
    }
    case 'answer-failed':
      return { ...withAnswer((answer) => ({ ...answer, failure: action.failure })), turn: { phase: 'idle' } };
    case 'answer-interrupted':
      return { ...chat, turn: { phase: 'waiting', after: action.failure } };
  }
}

function withTree(chat: ChatState, tree: MessageTree): ChatState {
  return { ...chat, tree, messages: shownPath(tree) };
}

/** Another conversation in the chat's place; what stands in the message box stays there. */
function opened(chat: ChatState, { id, title, created, settings, tree }: Conversation): ChatState {
  const { title: _, ...rest } = chat;
  return {
    ...rest,
    ...(title !== undefined && { title }),
    id,
    created,
    settings,
    tree,
    messages: shownPath(tree),
    turn: { phase: 'idle' },
    editing: undefined,
    notice: undefined,
  };
}

/**
 * A prompt that nothing has answered goes back into the message box, before what has been typed since. Where there are
 * answers, the newest is shown again.
 */
function takenBack(chat: ChatState): ChatState {
  const last = chat.messages.at(-1);
  const idle = { ...chat, turn: { phase: 'idle' } } as const;
  if (last?.role !== 'user') return idle;
  if (chat.tree.nodes.some(({ parent }) => parent === last.id)) {
    return { ...withTree(chat, reopenedAt(chat.tree, last.id)), turn: { phase: 'idle' } };
  }
  return {
    ...withTree(idle, without(chat.tree, last)),
    draft: [last.text, chat.draft].filter((text) => text !== '').join('\n'),
    attached: chat.attached ?? last.picture,
  };
}
