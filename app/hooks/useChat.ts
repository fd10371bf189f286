import { type ActionDispatch, useCallback, useEffect, useMemo, useRef } from 'react';
import { fetchPicture, readPicture } from '../pictures';
import type { Action } from '../state/reducer';
import { adaptersSettled, conversationOf, unsentText } from '../state/selectors';
import type { ChatSettings, Picture, State } from '../state/state';
import { answer } from './answer';
import { adoptDrafts, saveDraft } from './draft';
import type { EngineVerbs } from './useEngine';

export interface ChatVerbs {
  setDraft(text: string): void;
  /** Sends the message box and the attached picture. */
  send(): void;
  /** Sends a prompt of its own, leaving the message box as it is. */
  sendExample(text: string, imageUrl: string | undefined): void;
  attach(file: Blob, name: string): void;
  detach(): void;
  stop(): void;
  /** Another answer to a prompt, or beside an answer. */
  regenerate(id: string): void;
  /** The newest answer, cut short, goes on. */
  continueAnswer(): void;
  /** A waiting prompt goes back into the message box; an answer that waits to go on is left as it is. */
  takeBack(): void;
  /** Asks the prompt that no longer fitted again, in a context of its own. */
  carryOver(): void;
  startEdit(id: string): void;
  setEdit(text: string): void;
  cancelEdit(): void;
  sendEdit(): void;
  /** Shows the variant before or after a message. */
  stepVariant(id: string, by: -1 | 1): void;
  /** With all that follows it; can be undone. */
  deleteMessage(id: string): void;
  setSettings(settings: ChatSettings): void;
}

export function useChat(state: State, dispatch: ActionDispatch<[Action]>, engine: EngineVerbs): ChatVerbs {
  const latest = useRef(state);
  useEffect(() => {
    latest.current = state;
  });

  const unsent = unsentText(state);
  useEffect(() => saveDraft(unsent), [unsent]);
  const adopted = useRef(false);
  useEffect(() => {
    if (adopted.current) return;
    adopted.current = true;
    void adoptDrafts().then((text) => {
      const { draft } = latest.current.chat;
      if (text !== '') dispatch({ type: 'draft', text: draft === '' ? text : `${text}\n${draft}` });
    });
  }, [dispatch]);

  const waiting = state.chat.turn.phase === 'waiting';
  const ready = adaptersSettled(state);
  useEffect(() => {
    if (waiting && ready) void answer(latest.current, dispatch, engine);
  }, [waiting, ready, dispatch, engine]);

  const attach = useCallback(
    (file: Blob, name: string) => {
      readPicture(file, name).then(
        (picture) => dispatch({ type: 'attached', picture }),
        (error: Error) => dispatch({ type: 'notice', text: error.message }),
      );
    },
    [dispatch],
  );

  const stop = useCallback(() => {
    if (latest.current.chat.turn.phase !== 'answering') return;
    dispatch({ type: 'answer-stopping' });
    engine.client().stop();
  }, [dispatch, engine]);

  return useMemo(() => {
    const fresh = () => ({ id: crypto.randomUUID(), at: Date.now() });
    return {
      attach,
      stop,
      setDraft: (text) => dispatch({ type: 'draft', text }),
      send: () => {
        const { draft, attached, turn, access } = latest.current.chat;
        if (draft.trim() === '' || turn.phase !== 'idle' || access !== 'here') return;
        dispatch({ type: 'sent', ...fresh(), text: draft.trim(), ...(attached && { picture: attached }) });
        dispatch({ type: 'draft', text: '' });
      },
      sendExample: (text, imageUrl) => {
        const send = (picture: Picture | undefined) =>
          dispatch({ type: 'sent', ...fresh(), text, ...(picture && { picture }) });
        if (imageUrl === undefined) send(undefined);
        else fetchPicture(imageUrl).then(send, (error: Error) => dispatch({ type: 'notice', text: error.message }));
      },
      detach: () => dispatch({ type: 'detached' }),
      regenerate: (id) => dispatch({ type: 'regenerated', id }),
      continueAnswer: () => dispatch({ type: 'continued' }),
      takeBack: () => dispatch({ type: 'taken-back' }),
      carryOver: () => dispatch({ type: 'carried-over' }),
      startEdit: (id) => dispatch({ type: 'edit-started', id }),
      setEdit: (text) => dispatch({ type: 'edit-text', text }),
      cancelEdit: () => dispatch({ type: 'edit-cancelled' }),
      sendEdit: () => dispatch({ type: 'edit-sent', ...fresh() }),
      stepVariant: (id, by) => dispatch({ type: 'variant-stepped', id, by }),
      deleteMessage: (id) => {
        const { chat } = latest.current;
        if (chat.turn.phase !== 'idle' || chat.access !== 'here') return;
        dispatch({
          type: 'undo-offered',
          words: 'Deleted, with what followed.',
          conversation: conversationOf(chat),
          deleted: false,
        });
        dispatch({ type: 'message-deleted', id });
      },
      setSettings: (settings) => dispatch({ type: 'settings', settings }),
    };
  }, [attach, stop, dispatch]);
}
