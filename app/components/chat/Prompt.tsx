import type { EngineState, UserMessage } from '../../state/state';

interface PromptProps {
  readonly message: UserMessage;
  /** It waits for a model. */
  readonly waiting: boolean;
  readonly engine: EngineState;
  onTakeBack(): void;
}

export function Prompt({ message, waiting, engine, onTakeBack }: PromptProps) {
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
        <p className="bubble">{message.text}</p>
        {waiting && (
          <p className="waiting">
            <span>
              {engine.phase === 'loading'
                ? 'Waiting for the model; it will be sent by itself.'
                : 'Waiting: it will be sent once a model is loaded.'}
            </span>
            <button type="button" className="quiet" onClick={onTakeBack}>
              Take back
            </button>
          </p>
        )}
      </article>
    </>
  );
}
