import { useEffect, useEffectEvent } from 'react';
import { firstPicture, readPicture } from '../../pictures';
import type { RouterSession } from '../../routing/session';
import { FIRST_VIEW, type ViewState, writeFragment } from '../../routing/url-state';

/** Keeps the address at what the view shows, and the view at what a link says. */
export function useFragment(session: RouterSession, view: ViewState, model: string | undefined): void {
  useEffect(() => {
    const open = () => session.openFragment(location.hash);
    window.addEventListener('hashchange', open);
    return () => window.removeEventListener('hashchange', open);
  }, [session]);
  useEffect(() => {
    if (!location.hash.startsWith('#/router')) return;
    const plain = writeFragment({ ...view, model: undefined }) === writeFragment(FIRST_VIEW);
    const fragment = writeFragment(plain || !model ? { ...view, model: undefined } : { ...view, model });
    // Replaced, not pushed: Back leaves the view instead of undoing its sliders.
    if (fragment !== location.hash) history.replaceState(history.state, '', fragment);
  }, [view, model]);
}

/** While this view is open, dropped and pasted pictures are its own: the chat behind it would take them unseen. */
export function usePictureArrivals(session: RouterSession, canSee: boolean): void {
  const take = useEffectEvent((event: Event, files: FileList | undefined) => {
    const picture = firstPicture(files ?? []);
    if (!picture || !canSee) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    readPicture(picture, picture.name).then(
      (read) => session.take(read),
      (error: Error) => session.notify(error.message),
    );
  });
  useEffect(() => {
    const drop = (event: DragEvent) => take(event, event.dataTransfer?.files);
    const paste = (event: ClipboardEvent) => take(event, event.clipboardData?.files);
    window.addEventListener('drop', drop, true);
    window.addEventListener('paste', paste, true);
    return () => {
      window.removeEventListener('drop', drop, true);
      window.removeEventListener('paste', paste, true);
    };
  }, []);
}
