/** Questions asked of the state by more than one place. */
import type { ChatRequest, ChatTurn, LoadedModel } from '../../src/workers/api';
import type { Message, Modality, Picture, State } from './state';

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
 * The request that answers the last message. Prompts that got no answer are left out: two user turns in a row are
 * outside every prompt format.
 */
export function chatRequest(messages: readonly Message[], canSee: boolean): ChatRequest {
  const turns: ChatTurn[] = [];
  const context = contextMessages(messages);
  context.forEach((message, index) => {
    const next = context[index + 1];
    if (message.role === 'assistant') {
      if (message.text.trim() !== '') turns.push({ role: 'assistant', text: message.text.trim() });
    } else if (next === undefined || (next.role === 'assistant' && next.text.trim() !== '')) {
      turns.push({ role: 'user', text: message.text });
    }
  });
  const picture = canSee ? contextPicture(messages) : undefined;
  return picture ? { turns, image: picture.blob } : { turns };
}

export function loadedModel(state: State): LoadedModel | undefined {
  return state.engine.phase === 'ready' ? state.engine.model : undefined;
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

/** What would be lost with the tab: the draft, and a prompt that still waits for its model. */
export function unsentText({ chat }: State): string {
  const last = chat.messages.at(-1);
  const waiting = chat.turn.phase === 'waiting' && last?.role === 'user' ? last.text : '';
  return [waiting, chat.draft].filter((text) => text !== '').join('\n');
}
