/** Line icons, drawn on a 20 x 20 grid in the text's colour; decoration only, the buttons carry the words. */
import type { ReactNode } from 'react';

function icon(children: ReactNode) {
  return function Icon() {
    return (
      <svg className="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
        {children}
      </svg>
    );
  };
}

export const PictureIcon = icon(
  <>
    <rect x="2.5" y="3.5" width="15" height="13" rx="2.5" />
    <circle cx="7" cy="8" r="1.5" />
    <path d="m3 14.5 4-3.5 3 2.5 3.5-4 4 4.5" />
  </>,
);
export const SendIcon = icon(<path d="M10 16V4m-5 5 5-5 5 5" />);
export const StopIcon = icon(<rect x="5.5" y="5.5" width="9" height="9" rx="1.5" className="solid" />);
export const CloseIcon = icon(<path d="m5.5 5.5 9 9m0-9-9 9" />);
export const ChevronIcon = icon(<path d="m5.5 8 4.5 4.5L14.5 8" />);
export const PlayIcon = icon(<path d="M6.5 4.5v11l9-5.5z" className="solid" />);
export const PauseIcon = icon(<path d="M7 5v10M13 5v10" />);
export const PlusIcon = icon(<path d="M10 4v12M4 10h12" />);
export const DownIcon = icon(<path d="M10 4v12m-5-5 5 5 5-5" />);
export const CheckIcon = icon(<path d="m4.5 10.5 3.5 3.5 7.5-8" />);
export const FileIcon = icon(<path d="M11.5 2.5h-5a2 2 0 0 0-2 2v11a2 2 0 0 0 2 2h7a2 2 0 0 0 2-2v-9zv4h4" />);
