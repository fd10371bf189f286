import { type ReactNode, useEffect, useRef } from 'react';
import { CloseIcon } from '../icons';

interface DialogProps {
  readonly title: string;
  readonly className?: string;
  readonly children: ReactNode;
  onClose(): void;
}

/** A modal dialog: the browser keeps focus inside, closes it on Escape and gives focus back. */
export function Dialog({ title, className = '', children, onClose }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: a press on the backdrop; the keyboard has Escape and the button
    <dialog
      ref={dialog}
      className={`dialog ${className}`}
      aria-label={title}
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && dialog.current.close()}
    >
      <div className="dialog-inside">
        <div className="dialog-head">
          <h2>{title}</h2>
          <button type="button" className="round" onClick={() => dialog.current?.close()}>
            <CloseIcon />
            <span className="hidden">Close</span>
          </button>
        </div>
        {children}
      </div>
    </dialog>
  );
}
