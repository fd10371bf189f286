import { type KeyboardEvent, memo, useEffect, useRef } from 'react';
import type { ChatVerbs } from '../../hooks/useChat';
import { DeleteIcon, EditIcon } from '../../icons';
import type { UserMessage } from '../../state/state';
import { CopyTool, Tool, Variants } from './MessageTools';

interface PromptProps {
  readonly message: UserMessage;
  /** It is this one, counted from 0, of so many. */
  readonly variant: number;
  readonly variants: number;
  /** Words about the model that it waits for; undefined if it does not wait. */
  readonly waiting: string | undefined;
  /** The last message, and nothing has been said to it. */
  readonly unanswered: boolean;
  /** Its words, as far as they have been written anew. */
  readonly edited: string | undefined;
  /** Nothing is being written and this tab may write. */
  readonly free: boolean;
  readonly chat: ChatVerbs;
}

export const Prompt = memo(function Prompt({
  message,
  variant,
  variants,
  waiting,
  unanswered,
  edited,
  free,
  chat,
}: PromptProps) {
  const { picture } = message;
  return (
    <>
      {message.startsContext && (
        <p className="context-break">
          <span>A new context begins here: the model does not see what came before</span>
        </p>
      )}
      <article className="message prompt" aria-label="You">
        {picture && (
          <img
            className="prompt-picture"
            src={picture.url}
            width={picture.width}
            height={picture.height}
            alt={`You attached: ${picture.name}`}
          />
        )}
        {edited === undefined ? (
          <p className="bubble">{message.text}</p>
        ) : (
          <Editor text={edited} free={free} chat={chat} />
        )}
        {waiting !== undefined && (
          <p className="waiting">
            <span>{waiting}</span>
            <button type="button" className="quiet" onClick={chat.takeBack}>
              Take back
            </button>
          </p>
        )}
        {unanswered && free && edited === undefined && (
          <p className="waiting">
            <span>Not answered yet.</span>
            <button type="button" className="quiet" onClick={() => chat.regenerate(message.id)}>
              Ask
            </button>
          </p>
        )}
        {edited === undefined && waiting === undefined && (
          <span className="tools" data-resting="true">
            <Variants id={message.id} at={variant} of={variants} disabled={!free} chat={chat} />
            <CopyTool text={message.text} />
            <Tool label="Edit this message" disabled={!free} onClick={() => chat.startEdit(message.id)}>
              <EditIcon />
            </Tool>
            <Tool label="Delete from here on" disabled={!free} onClick={() => chat.deleteMessage(message.id)}>
              <DeleteIcon />
            </Tool>
          </span>
        )}
      </article>
    </>
  );
});

interface EditorProps {
  readonly text: string;
  readonly free: boolean;
  readonly chat: ChatVerbs;
}

/** The prompt's words in its place; sent, they make a variant beside the first ones. */
function Editor({ text, free, chat }: EditorProps) {
  const box = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    const area = box.current;
    area?.focus();
    area?.setSelectionRange(area.value.length, area.value.length);
  }, []);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === 'Escape') chat.cancelEdit();
    else if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      chat.sendEdit();
    }
  };
  return (
    <form
      className="editor"
      onSubmit={(event) => {
        event.preventDefault();
        chat.sendEdit();
      }}
    >
      <textarea
        ref={box}
        value={text}
        rows={Math.min(10, text.split('\n').length + 1)}
        aria-label="Edit the message"
        onChange={(event) => chat.setEdit(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <p className="choices">
        <small>What was answered stays, as another variant.</small>
        <button type="button" className="quiet" onClick={chat.cancelEdit}>
          Cancel
        </button>
        <button type="submit" className="outlined" disabled={!free || text.trim() === ''}>
          Send again
        </button>
      </p>
    </form>
  );
}
