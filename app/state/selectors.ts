/** Questions asked of the state by more than one place. */
import type { ChatRequest, ChatTurn, LoadedModel } from '../../src/workers/api';
import type { ChatSettings, Conversation, Message, Modality, Picture, State } from './state';
import { shownPath } from './tree';

/** The messages that the model is shown: from the newest picture that began a context. */
export function contextMessages(messages: readonly Message[]): readonly Message[] {
  const start = messages.findLastIndex((message) => message.role === 'user' && message.startsContext);
  return start < 0 ? messages : messages.slice(start);
}

/** The picture of the current context. */
export function contextPicture(messages: readonly Message[]): Picture | undefined {
  for (const message of contextMessages(messages)) {
    if (message.role === 'user' && message.picture) return message.picture;
  }
  return undefined;
}

/**
 * The request that answers the last message, or continues it if it is an answer. Prompts that got no answer are left
 * out: two user turns in a row are outside every prompt format.
 */
export function chatRequest(
  messages: readonly Message[],
  canSee: boolean,
  { system, sampling }: Partial<ChatSettings> = {},
): ChatRequest {
  const turns: ChatTurn[] = [];
  const context = contextMessages(messages);
  context.forEach((message, index) => {
    const next = context[index + 1];
    if (message.role === 'user') {
      const empty = next?.text.trim() === '' && index < context.length - 2;
      if (!next || (next.role === 'assistant' && !empty)) turns.push({ role: 'user', text: message.text });
    } else if (message.text.trim() !== '') {
      // An answer that goes on must keep the very characters, and tokens, it has.
      if (next) turns.push({ role: 'assistant', text: message.text.trim() });
      else turns.push({ role: 'assistant', text: message.text, ...(message.ids && { ids: message.ids }) });
    }
  });
  const picture = canSee ? contextPicture(messages) : undefined;
  return {
    turns,
    ...(picture && { image: picture.blob }),
    ...(system && { system }),
    ...(sampling && { sampling }),
  };
}

export function loadedModel(state: State): LoadedModel | undefined {
  return state.engine.phase === 'ready' ? state.engine.model : undefined;
}

/** Whether the engine has the adapters that the open chat chose, or has been found not to take them. */
export function adaptersSettled({ engine, chat }: State): boolean {
  return engine.phase === 'ready' && engine.adapters?.wanted === chat.settings.adapterSet?.id;
}

/** The adapter set in the place of the model's own. */
export function adaptersName({ engine }: State): string | undefined {
  const adapters = engine.phase === 'ready' ? engine.adapters : undefined;
  return adapters && 'name' in adapters ? adapters.name : undefined;
}

/** Who answers, for an answer to say. */
export function answererTitle(state: State): string {
  return [loadedModel(state)?.manifest.title, adaptersName(state)].filter(Boolean).join(' · ');
}

/** The routers' row that the next prompt will use. */
export function nextModality(state: State): Modality {
  const picture = state.chat.attached ?? contextPicture(state.chat.messages);
  return picture && loadedModel(state)?.canSee !== false ? 'image' : 'text';
}

/** Tokens of context taken by the newest answer, if the chat has one. */
export function contextUsed(messages: readonly Message[]): number {
  for (const message of contextMessages(messages).toReversed()) {
    if (message.role === 'assistant' && message.result) return message.result.contextUsed;
  }
  return 0;
}

/** What would be lost with the tab: the draft, and a prompt half written anew. */
export function unsentText({ chat, shelf }: State): string {
  const last = chat.messages.at(-1);
  const edited = chat.editing?.text ?? '';
  // Where nothing can be kept, a waiting prompt lives in the page alone.
  const unkept = shelf.status === 'unavailable' && chat.turn.phase === 'waiting';
  const waiting = unkept && last?.role === 'user' ? last.text : '';
  return [waiting, edited, chat.draft].filter((text) => text !== '').join('\n');
}

const LONGEST_TITLE = 60;

/** A conversation's name: as a person gave it, else how it began. */
export function titleOf({ title, tree }: Pick<Conversation, 'title' | 'tree'>): string {
  if (title !== undefined) return title;
  const first = shownPath(tree).find(({ role }) => role === 'user')?.text ?? '';
  const line = first.trim().split('\n')[0]!;
  return line.length > LONGEST_TITLE ? `${line.slice(0, LONGEST_TITLE - 1).trimEnd()}…` : line || 'A chat';
}

/** The chat's part that is kept. */
export function conversationOf({ id, title, created, settings, tree }: Conversation): Conversation {
  return { id, created, settings, tree, ...(title !== undefined && { title }) };
}
