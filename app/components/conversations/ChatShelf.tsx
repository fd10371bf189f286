import { useSyncExternalStore } from 'react';
import type { ShelfVerbs } from '../../hooks/useShelf';
import type { State } from '../../state/state';
import { Dialog } from '../Dialog';
import { ChatList } from './ChatList';

/** From here on the list has a column of its own; the same width stands in conversations.css. */
const WIDE = matchMedia('(min-width: 80rem)');

function subscribe(changed: () => void): () => void {
  WIDE.addEventListener('change', changed);
  return () => WIDE.removeEventListener('change', changed);
}

interface ChatShelfProps {
  readonly state: State;
  readonly verbs: ShelfVerbs;
  /** Whether the drawer, of narrow windows, is out. */
  readonly drawn: boolean;
  onClose(): void;
}

/** The list of chats: a column where there is room, else a drawer. */
export function ChatShelf({ state, verbs, drawn, onClose }: ChatShelfProps) {
  const wide = useSyncExternalStore(subscribe, () => WIDE.matches);
  const list = (onChosen: () => void) => (
    <ChatList shelf={state.shelf} open={state.chat.id} verbs={verbs} onChosen={onChosen} />
  );
  if (wide) {
    return (
      <nav className="chats-column" aria-label="Chats">
        {list(() => {})}
      </nav>
    );
  }
  if (!drawn) return null;
  return (
    <Dialog title="Chats" className="drawer" onClose={onClose}>
      {list(onClose)}
    </Dialog>
  );
}
