import type { LoadProgress } from '../../../src/workers/api';
import { formatRate } from '../../format';
import type { EngineVerbs } from '../../hooks/useEngine';
import type { ShelfVerbs } from '../../hooks/useShelf';
import { CloseIcon, SettingsIcon } from '../../icons';
import { adaptersName, contextUsed, loadedModel } from '../../state/selectors';
import type { State } from '../../state/state';
import { LoadStatus } from '../model/LoadStatus';
import { Tool } from './MessageTools';

interface StatusLineProps {
  readonly state: State;
  readonly engine: EngineVerbs;
  readonly shelf: ShelfVerbs;
  onSettings(): void;
}

/** One line that is always there, above the message box: what the engine does now, what can be taken back. */
export function StatusLine({ state, engine, shelf, onSettings }: StatusLineProps) {
  const { engine: engineState } = state;
  if (engineState.phase === 'loading') {
    return <LoadStatus engine={engineState} onCancel={() => engine.cancelLoad(engineState.choice)} />;
  }
  if (state.chat.turn.phase === 'answering') return <AnsweringStatus turn={state.chat.turn} />;
  const { settings } = state.chat;
  const set = settings.system !== '' || Object.keys(settings.sampling).length > 0;
  return (
    <div className="status">
      <Words state={state} engine={engine} shelf={shelf} />
      {engineState.phase === 'ready' && <ContextUsed state={state} />}
      <Tool label={set ? 'Settings of this chat (changed)' : 'Settings of this chat'} onClick={onSettings}>
        <SettingsIcon />
        {set && <span className="set-mark" aria-hidden="true" />}
      </Tool>
    </div>
  );
}

function Words({ state, engine, shelf }: Omit<StatusLineProps, 'onSettings'>) {
  const { undo } = state.shelf;
  const { choice, phase } = state.engine;
  if (undo) {
    return (
      <span className="undo" role="status">
        <span className="undo-words">{undo.words}</span>
        <button type="button" className="quiet" onClick={shelf.undo}>
          Undo
        </button>
        <Tool label="Dismiss" onClick={shelf.dismissUndo}>
          <CloseIcon />
        </Tool>
      </span>
    );
  }
  if (phase === 'failed') return <span>No model is loaded. What you type is kept.</span>;
  if (phase === 'idle') {
    if (!choice) return <span>{idleWords(state)}</span>;
    return (
      <span>
        Loading was cancelled.{' '}
        <button type="button" className="quiet" onClick={() => engine.load(choice)}>
          Load {choice.title}
        </button>
      </span>
    );
  }
  if (state.chat.putAway && state.chat.messages.length === 0) {
    return (
      <span>
        The chat was put away.{' '}
        <button type="button" className="quiet" onClick={shelf.bringBack}>
          Bring it back
        </button>
      </span>
    );
  }
  const adapters = adaptersName(state);
  return <span>{adapters ? `Ready · ${adapters}` : 'Ready'}</span>;
}

function idleWords({ catalogue }: State): string {
  if (catalogue.status === 'loading') return 'Looking for models…';
  if (catalogue.status === 'failed')
    return 'The list of models could not be read. Open a GGUF file from the menu above.';
  return 'Choose a model above to begin.';
}

function ContextUsed({ state }: { readonly state: State }) {
  const context = loadedModel(state)?.context ?? 0;
  const used = contextUsed(state.chat.messages);
  return (
    <span className="context-used number">
      <span>
        Context {used} of {context}
        <span className="context-unit"> tokens</span>
      </span>
      <meter aria-label="Context used" min={0} max={context} high={context * 0.85} value={used} />
    </span>
  );
}

function AnsweringStatus({ turn }: { readonly turn: State['chat']['turn'] & { readonly phase: 'answering' } }) {
  const { prefill, loading, tokens, tokensPerSecond, stopping } = turn;
  const reading = prefill ? `Reading the prompt: ${prefill.done} of ${prefill.total} tokens` : 'Reading the prompt…';
  const writing = `${formatRate(tokensPerSecond)} tokens/s · ${tokens} tokens`;
  const words = loading ? loadingWords(loading) : tokens > 0 ? writing : reading;
  return (
    <div className="status">
      <span className="number">{stopping ? 'Stopping…' : words}</span>
      <span className="hint">Esc stops</span>
    </div>
  );
}

function loadingWords({ phase, loadedBytes, totalBytes, prepared = 0 }: LoadProgress): string {
  const share = phase === 'download' ? loadedBytes / Math.max(1, totalBytes) : prepared;
  const what = phase === 'download' ? 'loading the model again' : 'preparing it';
  return `The GPU had been taken away: ${what}, ${Math.round(share * 100)} %`;
}
