import { memo } from 'react';
import type { ChatResult } from '../../../src/workers/api';
import { formatMilliseconds, formatRate } from '../../format';
import type { ChatVerbs } from '../../hooks/useChat';
import type { AssistantMessage } from '../../state/state';
import { Markdown } from '../Markdown';
import { FailureCard } from '../model/FailureCard';

interface AnswerProps {
  readonly message: AssistantMessage;
  /** The last message, on which can be acted. */
  readonly current: boolean;
  readonly outOfContext: boolean;
  readonly answering: boolean;
  readonly chat: ChatVerbs;
}

/** Why an answer ended early, in words; the usual end needs none. */
const ENDINGS: Readonly<Record<ChatResult['stopReason'], string | undefined>> = {
  end: undefined,
  'stop-string': undefined,
  'max-tokens': 'Cut at the longest answer allowed.',
  stopped: 'Stopped.',
  'context-full': 'The model’s context is full: it cannot hold any more of this chat. Start a new chat to go on.',
};

export const Answer = memo(function Answer({ message, current, outOfContext, answering, chat }: AnswerProps) {
  const { result, failure } = message;
  const ending = result && ENDINGS[result.stopReason];
  return (
    <article
      className={`message answer${outOfContext ? ' faded' : ''}`}
      aria-label={message.modelTitle}
      aria-busy={answering}
    >
      {message.text !== '' && <Markdown text={message.text} />}
      {answering && message.text === '' && <span className="thinking" aria-hidden="true" />}
      {result && message.text.trim() === '' && <p className="ending">The model gave an empty answer.</p>}
      {ending && (
        <p className="ending">
          {ending}
          {current && result.stopReason === 'context-full' && (
            <button type="button" className="outlined" onClick={chat.newChat}>
              New chat
            </button>
          )}
        </p>
      )}
      {failure?.code === 'context-full' ? (
        <ContextFull message={failure.message} {...(current && { onCarryOver: chat.carryOver })} />
      ) : (
        failure && <FailureCard failure={failure} {...(current && { retryLabel: 'Ask again', onRetry: chat.retry })} />
      )}
      {result && <Numbers result={result} />}
    </article>
  );
});

function ContextFull({ message, onCarryOver }: { readonly message: string; onCarryOver?: () => void }) {
  return (
    <div className="failure" role="alert">
      <p className="failure-title">This chat no longer fits into the model’s context</p>
      <p className="failure-words">{message}</p>
      {onCarryOver && (
        <button type="button" className="outlined" onClick={onCarryOver}>
          Ask this in a new context
        </button>
      )}
    </div>
  );
}

function Numbers({ result }: { readonly result: ChatResult }) {
  return (
    <ul className="numbers" aria-label="How it was computed">
      <li>{formatRate(result.tokensPerSecond)} tokens/s</li>
      <li>first token after {formatMilliseconds(result.timeToFirstTokenMs)}</li>
      <li>{result.tokens} tokens</li>
    </ul>
  );
}
