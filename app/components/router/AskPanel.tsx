import { type KeyboardEvent, useId } from 'react';
import type { LoadedModel } from '../../../src/workers/api';
import { CloseIcon } from '../../icons';
import { fetchPicture, pictureWords } from '../../pictures';
import type { RouterSession, Session } from '../../routing/session';
import type { Picture } from '../../state/state';
import { PicturePicker } from './PicturePicker';
import { Progress } from './Progress';

interface AskPanelProps {
  readonly session: RouterSession;
  readonly view: Session;
  readonly model: LoadedModel;
  /** URL of the model's manifest, which its examples' pictures are relative to. */
  readonly base: string | undefined;
  readonly prompt: string;
  readonly picture: Picture | undefined;
  /** Why nothing can be asked now. */
  readonly busy: string | undefined;
  onAsk(): void;
}

/** The view's own prompt, so that a person can stay here. */
export function AskPanel({ session, view, model, base, prompt, picture, busy, onAsk }: AskPanelProps) {
  const { activity, notice, original } = view;
  const box = useId();
  const asking = activity?.work === 'ask';
  const ready = prompt.trim() !== '' && !activity && !busy;
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    if (ready) onAsk();
  };
  const example = (text: string, image: string | undefined) => {
    session.write(text);
    if (image === undefined || !base) session.take(null);
    else {
      fetchPicture(new URL(image, base).href).then(
        (loaded) => session.take(loaded),
        (error: Error) => session.notify(error.message),
      );
    }
  };
  return (
    <section className="panel router-section" aria-labelledby={`${box}-title`}>
      <h2 id={`${box}-title`}>Ask, and look inside</h2>
      <p className="caption">
        Every layer has two small trained <em>experts</em> and a router that mixes them. Ask something: the answer comes
        as in the chat, and beside it everything that the routers did. Nothing leaves this device.
      </p>
      <form
        className="router-ask"
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) onAsk();
        }}
      >
        {picture && (
          <div className="attached">
            <img src={picture.url} alt={`The picture: ${picture.name}`} width={picture.width} height={picture.height} />
            <div className="attached-words">
              <span className="attached-name">{picture.name}</span>
            </div>
            <button type="button" className="round" onClick={() => session.take(null)}>
              <CloseIcon />
              <span className="hidden">Remove the picture</span>
            </button>
          </div>
        )}
        <textarea
          id={box}
          rows={2}
          value={prompt}
          aria-label="Prompt"
          placeholder={model.canSee ? 'Ask about a picture, or without one' : 'Ask something'}
          onChange={(event) => session.write(event.target.value)}
          onKeyDown={onKeyDown}
        />
        <div className="buttons">
          {model.canSee && (
            <PicturePicker
              label="Picture for the router view"
              onPicture={(chosen) => session.take(chosen)}
              onProblem={(text) => session.notify(text)}
            >
              {picture ? 'Other picture' : 'Add a picture'}
            </PicturePicker>
          )}
          {asking ? (
            <button type="button" className="filled" disabled={activity.stopping} onClick={() => session.stop()}>
              Stop
            </button>
          ) : (
            <button type="submit" className="filled" disabled={!ready}>
              Ask
            </button>
          )}
        </div>
      </form>
      {model.manifest.examples && !original && !activity && (
        <ul className="chips" aria-label="Examples">
          {model.manifest.examples.map(({ text, image }) => (
            <li key={`${text} ${image}`}>
              <button type="button" className="outlined" onClick={() => example(text, image)}>
                {text}
                {image && <span className="caption"> {pictureWords(image)}</span>}
              </button>
            </li>
          ))}
        </ul>
      )}
      {busy && <p className="caption">{busy}</p>}
      {asking && <Progress activity={activity} />}
      {notice && (
        <p className="notice" role="alert">
          {notice}
        </p>
      )}
      {asking && activity.text !== '' && <p className="router-answer">{activity.text}</p>}
      {original && !(asking && activity.text !== '') && (
        <section className="router-answer" aria-label="The answer">
          {original.answer || <span className="caption">The model answered nothing.</span>}
        </section>
      )}
      {original && !activity && (
        <div className="buttons">
          <PinButton session={session} view={view} run={original}>
            Pin this run
          </PinButton>
        </div>
      )}
    </section>
  );
}

export function PinButton({
  session,
  view,
  run,
  children,
}: {
  readonly session: RouterSession;
  readonly view: Session;
  readonly run: NonNullable<Session['original']>;
  readonly children: string;
}) {
  const pinned = view.pins.some(({ id }) => id === run.id);
  return (
    <button type="button" className="outlined" disabled={pinned} onClick={() => session.pin(run)}>
      {pinned ? 'Pinned' : children}
    </button>
  );
}
