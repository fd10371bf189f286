import { useRef } from 'react';
import type { ChatVerbs } from '../../hooks/useChat';
import type { EngineVerbs } from '../../hooks/useEngine';
import { useStickToEnd } from '../../hooks/useStickToEnd';
import { DownIcon } from '../../icons';
import { contextMessages } from '../../state/selectors';
import type { State } from '../../state/state';
import { FailureCard } from '../model/FailureCard';
import { Answer } from './Answer';
import { EmptyChat } from './EmptyChat';
import { Prompt } from './Prompt';

interface TranscriptProps {
  readonly state: State;
  readonly engine: EngineVerbs;
  readonly chat: ChatVerbs;
}

export function Transcript({ state, engine, chat }: TranscriptProps) {
  const box = useRef<HTMLDivElement>(null);
  const { messages, turn } = state.chat;
  const prompts = messages.filter((message) => message.role === 'user').length;
  const { atEnd, toEnd } = useStickToEnd(box, messages, prompts);
  const context = contextMessages(messages);
  const { engine: engineState } = state;
  const failedChoice = engineState.phase === 'failed' ? engineState.choice : undefined;

  return (
    <div className="transcript-frame">
      {/* Live regions would read every token; the announcer beside it reads sentences. */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
      <div className="transcript" ref={box} role="log" aria-live="off" aria-label="Messages" tabIndex={0}>
        <div className="column">
          {messages.length === 0 && engineState.phase !== 'failed' && <EmptyChat state={state} chat={chat} />}
          {messages.map((message, index) => {
            const last = index === messages.length - 1;
            if (message.role === 'user') {
              const waiting = last && turn.phase === 'waiting';
              return (
                <Prompt
                  key={message.id}
                  message={message}
                  waiting={waiting}
                  engine={engineState}
                  onTakeBack={chat.takeBack}
                />
              );
            }
            return (
              <Answer
                key={message.id}
                message={message}
                current={last}
                outOfContext={!context.includes(message)}
                answering={last && turn.phase === 'answering'}
                chat={chat}
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
