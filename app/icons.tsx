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
export const CopyIcon = icon(
  <>
    <rect x="7" y="7" width="9.5" height="9.5" rx="2" />
    <path d="M4.5 13a1 1 0 0 1-1-1V5.5a2 2 0 0 1 2-2H12a1 1 0 0 1 1 1" />
  </>,
);
export const AgainIcon = icon(<path d="M16 10a6 6 0 1 1-1.8-4.3M16.2 2.8v3.4h-3.4" />);
export const EditIcon = icon(<path d="m12.5 4.5 3 3L7 16H4v-3zm-2 2 3 3" />);
export const DeleteIcon = icon(
  <path d="M4 6h12m-7.5 0V4h3v2m-6 0 .7 9a1.5 1.5 0 0 0 1.5 1.4h4.6a1.5 1.5 0 0 0 1.5-1.4l.7-9" />,
);
export const LeftIcon = icon(<path d="M12 5.5 7.5 10l4.5 4.5" />);
export const RightIcon = icon(<path d="M8 5.5 12.5 10 8 14.5" />);
export const ChatsIcon = icon(<path d="M3.5 5.5h13M3.5 10h13m-13 4.5h8" />);
export const MoreIcon = icon(
  <>
    <circle cx="4.5" cy="10" r="1" className="solid" />
    <circle cx="10" cy="10" r="1" className="solid" />
    <circle cx="15.5" cy="10" r="1" className="solid" />
  </>,
);
export const SettingsIcon = icon(
  <>
    <path d="M3 6h6m4.5 0H17M3 14h3.5m4.5 0h6" />
    <circle cx="11.25" cy="6" r="2" />
    <circle cx="8.75" cy="14" r="2" />
  </>,
);
export const CameraIcon = icon(
  <>
    <path d="M3 7.5A1.5 1.5 0 0 1 4.5 6h1.7l1.2-2h5.2l1.2 2h1.7A1.5 1.5 0 0 1 17 7.5v7a1.5 1.5 0 0 1-1.5 1.5h-11A1.5 1.5 0 0 1 3 14.5z" />
    <circle cx="10" cy="10.75" r="2.75" />
  </>,
);
