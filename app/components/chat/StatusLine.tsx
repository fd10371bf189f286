import { formatRate } from '../../format';
import type { ChatVerbs } from '../../hooks/useChat';
import type { EngineVerbs } from '../../hooks/useEngine';
import { contextUsed, loadedModel } from '../../state/selectors';
import type { State } from '../../state/state';
import { LoadStatus } from '../model/LoadStatus';

interface StatusLineProps {
  readonly state: State;
  readonly engine: EngineVerbs;
  readonly chat: ChatVerbs;
}

/** One line that is always there, above the message box: what the engine does now. */
export function StatusLine({ state, engine, chat }: StatusLineProps) {
  const { engine: engineState } = state;
  if (engineState.phase === 'loading') {
    return <LoadStatus engine={engineState} onCancel={() => engine.cancelLoad(engineState.choice)} />;
  }
  if (engineState.phase === 'idle') {
    const { choice } = engineState;
    return (
      <div className="status">
        <span>{choice ? 'Loading was cancelled.' : idleWords(state)}</span>
        {choice && (
          <button type="button" className="quiet" onClick={() => engine.load(choice)}>
            Load {choice.title}
          </button>
        )}
      </div>
    );
  }
  if (engineState.phase === 'failed') return <div className="status">No model is loaded. What you type is kept.</div>;
  return <ReadyStatus state={state} chat={chat} />;
}

function idleWords({ catalogue }: State): string {
  if (catalogue.status === 'loading') return 'Looking for models…';
  if (catalogue.status === 'failed')
    return 'The list of models could not be read. Open a GGUF file from the menu above.';
  return 'Choose a model above to begin.';
}

function ReadyStatus({ state, chat }: { readonly state: State; readonly chat: ChatVerbs }) {
  const { turn, messages, putAway } = state.chat;
  const context = loadedModel(state)?.context ?? 0;
  if (turn.phase === 'answering') {
    const { prefill, tokens, tokensPerSecond, stopping } = turn;
    const reading = prefill ? `Reading the prompt: ${prefill.done} of ${prefill.total} tokens` : 'Reading the prompt…';
    const writing = `${formatRate(tokensPerSecond)} tokens/s · ${tokens} tokens`;
    return (
      <div className="status">
        <span className="number">{stopping ? 'Stopping…' : tokens > 0 ? writing : reading}</span>
        <span className="hint">Esc stops</span>
      </div>
    );
  }
  const used = contextUsed(messages);
  return (
    <div className="status">
      {putAway && messages.length === 0 ? (
        <span>
          The chat was put away.{' '}
          <button type="button" className="quiet" onClick={chat.undoNewChat}>
            Bring it back
          </button>
        </span>
      ) : (
        <span>Ready</span>
      )}
      <span className="context-used number">
        Context {used} of {context} tokens
        <meter aria-label="Context used" min={0} max={context} high={context * 0.85} value={used} />
      </span>
    </div>
  );
}
