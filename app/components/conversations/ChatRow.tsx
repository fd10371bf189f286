import { useEffect, useRef, useState } from 'react';
import { chatAddress } from '../../conversations/address';
import type { ShelfVerbs } from '../../hooks/useShelf';
import { MoreIcon } from '../../icons';
import type { ConversationSummary } from '../../state/state';

interface ChatRowProps {
  readonly summary: ConversationSummary;
  readonly current: boolean;
  /** Text around what was searched for. */
  readonly snippet: string | undefined;
  readonly verbs: ShelfVerbs;
  onChosen(): void;
}

/** One chat: a link that opens it, and what else can be done with it. */
export function ChatRow({ summary, current, snippet, verbs, onChosen }: ChatRowProps) {
  const { id, title } = summary;
  const [mode, setMode] = useState<'link' | 'menu' | 'rename'>('link');
  const close = () => setMode('link');
  const act = (verb: () => void) => () => {
    verb();
    close();
  };
  return (
    <li className="chat-row" data-current={current}>
      {mode === 'rename' ? (
        <Rename
          title={title}
          onDone={(next) => {
            if (next !== undefined) verbs.rename(id, next);
            close();
          }}
        />
      ) : (
        <div className="chat-row-line">
          <a href={chatAddress(id)} aria-current={current ? 'true' : undefined} title={title} onClick={onChosen}>
            <span className="chat-row-title">{title}</span>
            {snippet !== undefined && <small className="chat-row-title">{snippet}</small>}
          </a>
          <button
            type="button"
            className="tool"
            aria-expanded={mode === 'menu'}
            onClick={() => setMode(mode === 'menu' ? 'link' : 'menu')}
          >
            <MoreIcon />
            <span className="hidden">More for {title}</span>
          </button>
        </div>
      )}
      {mode === 'menu' && (
        // biome-ignore lint/a11y/useSemanticElements: a fieldset is for form fields
        <div
          className="chat-row-menu"
          role="group"
          aria-label={`For ${title}`}
          onKeyDown={(event) => event.key === 'Escape' && close()}
        >
          <button type="button" className="quiet" onClick={() => setMode('rename')}>
            Rename
          </button>
          <button type="button" className="quiet" onClick={act(() => verbs.exportJson(id))}>
            Save as JSON
          </button>
          <button type="button" className="quiet" onClick={act(() => verbs.exportMarkdown(id))}>
            Save as Markdown
          </button>
          <button type="button" className="quiet" onClick={act(() => verbs.remove(id))}>
            Delete
          </button>
        </div>
      )}
    </li>
  );
}

interface RenameProps {
  readonly title: string;
  /** Undefined: it keeps its name. */
  onDone(title: string | undefined): void;
}

function Rename({ title, onDone }: RenameProps) {
  const [typed, setTyped] = useState(title);
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => box.current?.select(), []);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onDone(typed);
      }}
    >
      <input
        ref={box}
        className="chats-search"
        aria-label="Name of the chat"
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
        onBlur={() => onDone(typed)}
        onKeyDown={(event) => {
          if (event.key !== 'Escape') return;
          // A drawer around it stays open.
          event.preventDefault();
          onDone(undefined);
        }}
      />
    </form>
  );
}
