import { useEffect, useRef, useState } from 'react';
import type { ShelfVerbs } from '../../hooks/useShelf';
import type { ShelfState } from '../../state/state';
import { ChatRow } from './ChatRow';

interface ChatListProps {
  readonly shelf: ShelfState;
  /** Id of the chat on the page. */
  readonly open: string;
  readonly verbs: ShelfVerbs;
  /** A chat was chosen: a drawer closes. */
  onChosen(): void;
}

/** Long enough that a word being typed is not searched letter by letter. */
const SEARCH_DELAY_MS = 120;

/** The chats on this device, newest first: found by their words, opened, brought in and out as files. */
export function ChatList({ shelf, open, verbs, onChosen }: ChatListProps) {
  const [query, setQuery] = useState('');
  const found = useSearch(query, shelf, verbs);
  const file = useRef<HTMLInputElement>(null);
  const shown = found ? shelf.summaries.filter(({ id }) => found.has(id)) : shelf.summaries;

  return (
    <div className="chats">
      <input
        type="search"
        className="chats-search"
        aria-label="Search the chats"
        placeholder="Search"
        value={query}
        onChange={(event) => setQuery(event.target.value)}
      />
      <ul className="chats-list" aria-label="Chats, newest first">
        {shown.map((summary) => (
          <ChatRow
            key={summary.id}
            summary={summary}
            current={summary.id === open}
            snippet={found?.get(summary.id)}
            verbs={verbs}
            onChosen={onChosen}
          />
        ))}
      </ul>
      {shown.length === 0 && <p className="caption">{emptyWords(shelf, query)}</p>}
      <p className="hidden" role="status">
        {found && `${shown.length} found`}
      </p>
      <div className="chats-foot">
        <button type="button" className="quiet" onClick={() => file.current?.click()}>
          Import…
        </button>
        <button
          type="button"
          className="quiet"
          disabled={shelf.summaries.length === 0}
          onClick={() => verbs.exportJson()}
        >
          Export all
        </button>
        <input
          ref={file}
          type="file"
          accept=".json,application/json"
          hidden
          aria-label="File of chats"
          onChange={(event) => {
            const chosen = event.target.files?.[0];
            event.target.value = '';
            if (chosen) verbs.importFile(chosen);
          }}
        />
      </div>
    </div>
  );
}

function emptyWords({ status, summaries }: ShelfState, query: string): string {
  if (status === 'unavailable') return 'Chats cannot be kept in this browser window.';
  if (query.trim() !== '' && summaries.length > 0) return 'No chat holds these words.';
  return 'Your chats will stand here. They are kept on this device only.';
}

/** Undefined while nothing is searched for. */
function useSearch(query: string, shelf: ShelfState, verbs: ShelfVerbs): ReadonlyMap<string, string> | undefined {
  const [found, setFound] = useState<ReadonlyMap<string, string>>();
  const { summaries } = shelf;
  useEffect(() => {
    if (query.trim() === '') {
      setFound(undefined);
      return;
    }
    const abort = new AbortController();
    const timer = setTimeout(() => {
      verbs.search(query, abort.signal).then(
        (hits) => !abort.signal.aborted && setFound(hits),
        () => !abort.signal.aborted && setFound(new Map()),
      );
    }, SEARCH_DELAY_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [query, summaries, verbs]);
  return found;
}
