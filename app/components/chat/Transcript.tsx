import { useRef } from 'react';
import type { EngineFailure } from '../../../src/workers/api';
import type { ChatVerbs } from '../../hooks/useChat';
import type { EngineVerbs } from '../../hooks/useEngine';
import { useStickToEnd } from '../../hooks/useStickToEnd';
import { DownIcon } from '../../icons';
import { contextMessages } from '../../state/selectors';
import type { State } from '../../state/state';
import { variantsOf } from '../../state/tree';
import { FailureCard } from '../model/FailureCard';
import { Answer } from './Answer';
import { EmptyChat } from './EmptyChat';
import { Prompt } from './Prompt';

interface TranscriptProps {
  readonly state: State;
  readonly engine: EngineVerbs;
  readonly chat: ChatVerbs;
  onNewChat(): void;
}

export function Transcript({ state, engine, chat, onNewChat }: TranscriptProps) {
  const box = useRef<HTMLDivElement>(null);
  const { id, messages, turn, tree, editing, access } = state.chat;
  const prompts = messages.filter((message) => message.role === 'user').length;
  const { atEnd, toEnd } = useStickToEnd(box, messages, prompts === 0 ? '' : `${id} ${prompts}`);
  const context = new Set(contextMessages(messages));
  const { engine: engineState } = state;
  const failedChoice = engineState.phase === 'failed' ? engineState.choice : undefined;
  const free = turn.phase === 'idle' && access === 'here';
  const waitingWords =
    engineState.phase === 'loading'
      ? 'Waiting for the model; it will be sent by itself.'
      : 'Waiting: it will be sent once a model is loaded.';

  return (
    <div className="transcript-frame">
      {/* Live regions would read every token; the announcer beside it reads sentences. */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
      <div className="transcript" ref={box} role="log" aria-live="off" aria-label="Messages" tabIndex={0}>
        <div className="column">
          {messages.length === 0 && access !== 'opening' && engineState.phase !== 'failed' && (
            <EmptyChat state={state} chat={chat} />
          )}
          {messages.map((message, index) => {
            const last = index === messages.length - 1;
            const among = variantsOf(tree, message);
            const shared = { variant: among.indexOf(message), variants: among.length, free, chat };
            if (message.role === 'user') {
              return (
                <Prompt
                  key={message.id}
                  message={message}
                  waiting={last && turn.phase === 'waiting' ? waitingWords : undefined}
                  unanswered={last && turn.phase === 'idle'}
                  edited={editing?.id === message.id ? editing.text : undefined}
                  {...shared}
                />
              );
            }
            return (
              <Answer
                key={message.id}
                message={message}
                current={last}
                outOfContext={!context.has(message)}
                answering={last && turn.phase === 'answering'}
                waiting={last && turn.phase === 'waiting' ? goesOn(turn.after) : undefined}
                onNewChat={onNewChat}
                {...shared}
              />
            );
          })}
          {engineState.phase === 'failed' && (
            <FailureCard
              failure={engineState.failure}
              {...(failedChoice && {
                retryLabel: `Load ${failedChoice.title} again`,
                onRetry: () => engine.load(failedChoice),
              })}
            />
          )}
        </div>
      </div>
      {!atEnd && (
        <button type="button" className="to-end" onClick={toEnd}>
          <DownIcon />
          <span>Latest</span>
        </button>
      )}
    </div>
  );
}

/** Why an answer waits to go on. */
function goesOn(after: EngineFailure | undefined): string {
  if (!after) return 'It goes on once a model is loaded.';
  const cause = after.code === 'lost' ? 'The GPU was taken away.' : 'The engine stopped and was started again.';
  return `${cause} The answer goes on by itself once the model is back.`;
}
