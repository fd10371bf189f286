import type { EngineVerbs } from '../hooks/useEngine';
import type { Place } from '../hooks/usePlace';
import { ChatsIcon, PlusIcon } from '../icons';
import type { ModelChoice, State } from '../state/state';
import { ModelPicker } from './model/ModelPicker';
import { Places } from './Places';

interface HeaderProps {
  readonly place: Place;
  readonly state: State;
  /** Models of the library that can be opened. */
  readonly stored: readonly ModelChoice[];
  readonly engine: EngineVerbs;
  onNewChat(): void;
  /** Opens the drawer of chats, where they have no column. */
  onChats(): void;
}

export function Header({ place, state, stored, engine, onNewChat, onChats }: HeaderProps) {
  const { messages } = state.chat;
  return (
    <header className="header">
      <a className="skip" href="#message">
        Skip to the message box
      </a>
      {place === 'chat' && (
        <button type="button" className="round to-chats" aria-haspopup="dialog" onClick={onChats}>
          <ChatsIcon />
          <span className="hidden">Chats</span>
        </button>
      )}
      <h1 className="brand">
        <svg className="brand-mark" viewBox="0 0 18 16" aria-hidden="true" focusable="false">
          <rect className="one" width="7" height="4" rx="1.5" />
          <rect className="two" x="8" width="10" height="4" rx="1.5" />
          <rect className="one" y="6" width="12" height="4" rx="1.5" />
          <rect className="two" x="13" y="6" width="5" height="4" rx="1.5" />
          <rect className="one" y="12" width="4" height="4" rx="1.5" />
          <rect className="two" x="5" y="12" width="13" height="4" rx="1.5" />
        </svg>
        <span className="brand-word">LaVIN</span>
      </h1>
      <Places place={place} />
      <ModelPicker catalogue={state.catalogue} stored={stored} engineState={state.engine} onPick={engine.load} />
      {place === 'chat' && (
        <>
          <a className="quiet to-side" href="#side">
            Routing
          </a>
          <button type="button" className="quiet" disabled={messages.length === 0} onClick={onNewChat}>
            <PlusIcon />
            <span>New chat</span>
          </button>
        </>
      )}
    </header>
  );
}
