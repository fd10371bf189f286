import { type KeyboardEvent, lazy, Suspense, useLayoutEffect, useRef, useState } from 'react';
import type { ChatVerbs } from '../../hooks/useChat';
import { CameraIcon, CloseIcon, PictureIcon, SendIcon, StopIcon } from '../../icons';
import { contextPicture, loadedModel } from '../../state/selectors';
import type { State } from '../../state/state';

const CameraDialog = lazy(() => import('./CameraDialog').then((module) => ({ default: module.CameraDialog })));

/** The message box with its picture. Enter sends, Shift+Enter breaks the line. */
export function Composer({ state, chat }: { readonly state: State; readonly chat: ChatVerbs }) {
  const { draft, attached, notice, turn, access } = state.chat;
  const [camera, setCamera] = useState(false);
  const blind = loadedModel(state)?.canSee === false;
  const box = useRef<HTMLTextAreaElement>(null);
  const file = useRef<HTMLInputElement>(null);

  useLayoutEffect(() => {
    const area = box.current;
    if (!area) return;
    area.style.height = 'auto';
    area.style.height = `${area.scrollHeight}px`;
  }, [draft]);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    chat.send();
  };

  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        // The button that was pressed is about to go; focus must not go with it.
        box.current?.focus();
        chat.send();
      }}
    >
      {notice && (
        <p className="notice" role="alert">
          {notice}
        </p>
      )}
      {attached && (
        <div className="attached">
          <img src={attached.url} alt={`Attached: ${attached.name}`} width={attached.width} height={attached.height} />
          <div className="attached-words">
            <span className="attached-name">{attached.name}</span>
            <small>{pictureWords(state, blind)}</small>
          </div>
          <button type="button" className="round" onClick={chat.detach}>
            <CloseIcon />
            <span className="hidden">Remove the picture</span>
          </button>
        </div>
      )}
      <div className="composer-row">
        <button
          type="button"
          className="round"
          disabled={blind}
          title={blind ? 'This model reads text only' : 'Take a photograph'}
          onClick={() => setCamera(true)}
        >
          <CameraIcon />
          <span className="hidden">Take a photograph</span>
        </button>
        <button
          type="button"
          className="round"
          disabled={blind}
          title={blind ? 'This model reads text only' : 'Add a picture'}
          onClick={() => file.current?.click()}
        >
          <PictureIcon />
          <span className="hidden">Add a picture</span>
        </button>
        <input
          ref={file}
          type="file"
          accept="image/*"
          hidden
          aria-label="Picture"
          onChange={(event) => {
            const chosen = event.target.files?.[0];
            event.target.value = '';
            if (chosen) chat.attach(chosen, chosen.name);
          }}
        />
        <textarea
          id="message"
          ref={box}
          rows={1}
          value={draft}
          aria-label="Message"
          placeholder={blind ? 'Write a message' : 'Ask about a picture'}
          onChange={(event) => chat.setDraft(event.target.value)}
          onKeyDown={onKeyDown}
        />
        {turn.phase === 'answering' ? (
          <button
            key="stop"
            type="button"
            className="round solid"
            disabled={turn.stopping}
            onClick={() => {
              box.current?.focus();
              chat.stop();
            }}
          >
            <StopIcon />
            <span className="hidden">Stop</span>
          </button>
        ) : (
          <button
            key="send"
            type="submit"
            className="round solid"
            disabled={draft.trim() === '' || turn.phase !== 'idle' || access !== 'here'}
          >
            <SendIcon />
            <span className="hidden">Send</span>
          </button>
        )}
      </div>
      {camera && (
        <Suspense>
          <CameraDialog onPhoto={(photo) => chat.attach(photo, 'photograph.jpg')} onClose={() => setCamera(false)} />
        </Suspense>
      )}
    </form>
  );
}

function pictureWords(state: State, blind: boolean): string {
  if (blind) return 'This model reads text only: the picture will not be seen.';
  if (contextPicture(state.chat.messages)) return 'Stays on this device. A second picture begins a new context.';
  return 'Stays on this device.';
}
