import { memo } from 'react';
import type { ChatResult } from '../../../src/workers/api';
import { formatMilliseconds, formatRate } from '../../format';
import type { ChatVerbs } from '../../hooks/useChat';
import { AgainIcon, DeleteIcon } from '../../icons';
import type { AssistantMessage } from '../../state/state';
import { Markdown } from '../Markdown';
import { FailureCard } from '../model/FailureCard';
import { CopyTool, Tool, Variants } from './MessageTools';

interface AnswerProps {
  readonly message: AssistantMessage;
  /** It is this one, counted from 0, of so many. */
  readonly variant: number;
  readonly variants: number;
  /** The last message, on which can be acted. */
  readonly current: boolean;
  readonly outOfContext: boolean;
  readonly answering: boolean;
  /** Words about why it waits to go on; undefined if it does not wait. */
  readonly waiting: string | undefined;
  /** Nothing is being written and this tab may write. */
  readonly free: boolean;
  readonly chat: ChatVerbs;
  onNewChat(): void;
}

/** Why an answer ended early, in words; the usual end needs none. */
const ENDINGS: Readonly<Record<ChatResult['stopReason'], string | undefined>> = {
  end: undefined,
  'stop-string': undefined,
  'max-tokens': 'Cut at the longest answer allowed.',
  stopped: 'Stopped.',
  'context-full': 'The model’s context is full: it cannot hold any more of this chat. Start a new chat to go on.',
};

export const Answer = memo(function Answer(props: AnswerProps) {
  const { message, variant, variants, current, outOfContext, answering, waiting, free, chat, onNewChat } = props;
  const { result, failure } = message;
  const blank = message.text.trim() === '';
  return (
    <article
      className={`message answer${outOfContext ? ' faded' : ''}`}
      aria-label={message.modelTitle}
      aria-busy={answering}
    >
      {message.text !== '' && <Markdown text={message.text} growing={answering} />}
      {(answering || waiting) && message.text === '' && <span className="thinking" aria-hidden="true" />}
      {result && blank && <p className="ending">The model gave an empty answer.</p>}
      {waiting ? (
        <p className="ending" role="status">
          {waiting}
          <button type="button" className="outlined" onClick={chat.takeBack}>
            Leave it as it is
          </button>
        </p>
      ) : (
        <Ending {...props} onContinue={chat.continueAnswer} />
      )}
      {failure?.code === 'context-full' ? (
        <ContextFull message={failure.message} {...(current && free && { onCarryOver: chat.carryOver, onNewChat })} />
      ) : (
        failure && (
          <FailureCard
            failure={failure}
            {...(current &&
              free && {
                retryLabel: blank ? 'Ask again' : 'Go on with the answer',
                onRetry: blank ? () => chat.regenerate(message.id) : chat.continueAnswer,
              })}
          />
        )
      )}
      <div className="under" data-resting={!answering && !waiting}>
        <span className="tools">
          <Variants id={message.id} at={variant} of={variants} disabled={!free} chat={chat} />
          <CopyTool text={message.text} />
          <Tool label="Answer again" disabled={!free} onClick={() => chat.regenerate(message.id)}>
            <AgainIcon />
          </Tool>
          <Tool label="Delete this answer" disabled={!free} onClick={() => chat.deleteMessage(message.id)}>
            <DeleteIcon />
          </Tool>
        </span>
        {result && <Numbers result={result} />}
      </div>
    </article>
  );
});

function Ending({
  message,
  current,
  answering,
  free,
  onContinue,
  onNewChat,
}: AnswerProps & { readonly onContinue: () => void }) {
  const { result, failure } = message;
  if (answering || failure) return null;
  const words = result ? ENDINGS[result.stopReason] : 'This answer was cut off when the page was closed.';
  if (!words) return null;
  const cut = !result || result.stopReason === 'stopped' || result.stopReason === 'max-tokens';
  return (
    <p className="ending">
      {words}
      {current && free && cut && (
        <button type="button" className="outlined" onClick={onContinue}>
          Continue
        </button>
      )}
      {current && result?.stopReason === 'context-full' && (
        <button type="button" className="outlined" onClick={onNewChat}>
          New chat
        </button>
      )}
    </p>
  );
}

interface ContextFullProps {
  readonly message: string;
  onCarryOver?(): void;
  onNewChat?(): void;
}

function ContextFull({ message, onCarryOver, onNewChat }: ContextFullProps) {
  return (
    <div className="failure" role="alert">
      <p className="failure-title">This chat no longer fits into the model’s context</p>
      <p className="failure-words">{message}</p>
      <p className="choices">
        {onCarryOver && (
          <button type="button" className="outlined" onClick={onCarryOver}>
            Ask this in a new context
          </button>
        )}
        {onNewChat && (
          <button type="button" className="outlined" onClick={onNewChat}>
            Begin a new chat
          </button>
        )}
      </p>
    </div>
  );
}

function Numbers({ result }: { readonly result: ChatResult }) {
  return (
    <ul className="numbers" aria-label="How it was computed">
      <li>{formatRate(result.tokensPerSecond)} tokens/s</li>
      <li>first token after {formatMilliseconds(result.timeToFirstTokenMs)}</li>
      <li>{result.tokens === 1 ? '1 token' : `${result.tokens} tokens`}</li>
    </ul>
  );
}
