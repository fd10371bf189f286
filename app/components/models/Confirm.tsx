import { useEffect, useId, useRef } from 'react';

interface ConfirmProps {
  readonly question: string;
  readonly words: string;
  readonly verb: string;
  /** Left out where it cannot be done now. */
  readonly onConfirm?: () => void;
  onClose(): void;
}

/** Asks before something is lost. Escape and the first button leave everything as it is. */
export function Confirm({ question, words, verb, onConfirm, onClose }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} className="confirm" aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{question}</h2>
      <p>{words}</p>
      <form method="dialog" className="model-actions">
        <button type="submit" className="outlined">
          Keep it
        </button>
        {onConfirm && (
          <button type="submit" className="outlined danger" onClick={onConfirm}>
            {verb}
          </button>
        )}
      </form>
    </dialog>
  );
}
