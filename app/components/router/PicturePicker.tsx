import { type ReactNode, useRef } from 'react';
import { readPicture } from '../../pictures';
import type { Picture } from '../../state/state';

interface PicturePickerProps {
  readonly children: ReactNode;
  readonly disabled?: boolean;
  /** Names the file input. */
  readonly label: string;
  onPicture(picture: Picture): void;
  onProblem(message: string): void;
}

/** A button that opens the browser's chooser for one picture. */
export function PicturePicker({ children, disabled, label, onPicture, onProblem }: PicturePickerProps) {
  const file = useRef<HTMLInputElement>(null);
  return (
    <>
      <button type="button" className="outlined" disabled={disabled} onClick={() => file.current?.click()}>
        {children}
      </button>
      <input
        ref={file}
        type="file"
        accept="image/*"
        hidden
        aria-label={label}
        onChange={(event) => {
          const chosen = event.target.files?.[0];
          event.target.value = '';
          if (chosen) readPicture(chosen, chosen.name).then(onPicture, (error: Error) => onProblem(error.message));
        }}
      />
    </>
  );
}
