/** What the router view takes from the chat: its newest prompt to begin with, and whether the engine is free. */
import { contextPicture } from '../../state/selectors';
import type { Picture, State } from '../../state/state';

export function newestPrompt({ chat }: State): { readonly text: string; readonly picture: Picture | undefined } {
  const prompt = chat.messages.findLast((message) => message.role === 'user');
  return { text: prompt?.text ?? '', picture: contextPicture(chat.messages) };
}

export function chatIsAnswering({ chat }: State): boolean {
  return chat.turn.phase === 'answering';
}
