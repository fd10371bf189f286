/** The open chat in the URL's fragment, `#/chat/ID`, so that Back, reload and links to a chat work. */
const KEY = 'lavin.chat';

export function addressedChat(): string | undefined {
  return /^#\/chat\/([\w-]+)/.exec(location.hash)?.[1];
}

export const chatAddress = (id: string): string => `#/chat/${id}`;

/** The chat that was open before a reload; behind another place of the page the address does not tell. */
export function lastChat(): string | undefined {
  const addressed = addressedChat();
  if (addressed !== undefined) return addressed;
  try {
    return sessionStorage.getItem(KEY) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Storage may be forbidden; a reload then begins a new chat. */
export function rememberChat(id: string | undefined): void {
  try {
    if (id === undefined) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, id);
  } catch {
    return;
  }
}
