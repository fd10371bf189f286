import { type ActionDispatch, useCallback, useEffect, useMemo, useRef } from 'react';
import type { ChatEvent } from '../../src/workers/api';
import { toEngineError } from '../../src/workers/client';
import { perFrame } from '../perFrame';
import { fetchPicture, readPicture } from '../pictures';
import type { Action } from '../state/reducer';
import { chatRequest, unsentText } from '../state/selectors';
import type { Picture, State } from '../state/state';
import { saveDraft } from './draft';
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
  retry(): void;
  /** A waiting prompt goes back into the message box. */
  takeBack(): void;
  newChat(): void;
  undoNewChat(): void;
  /** Asks the prompt that no longer fitted again, in a context of its own. */
  carryOver(): void;
}

export function useChat(state: State, dispatch: ActionDispatch<[Action]>, engine: EngineVerbs): ChatVerbs {
  const latest = useRef(state);
  useEffect(() => {
    latest.current = state;
  });

  const unsent = unsentText(state);
  useEffect(() => saveDraft(unsent), [unsent]);

  const waiting = state.chat.turn.phase === 'waiting';
  const ready = state.engine.phase === 'ready';
  useEffect(() => {
    if (waiting && ready) answer(latest.current, dispatch, engine);
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

  return useMemo(
    () => ({
      attach,
      stop,
      setDraft: (text) => dispatch({ type: 'draft', text }),
      send: () => {
        const { draft, attached, turn } = latest.current.chat;
        if (draft.trim() === '' || turn.phase !== 'idle') return;
        dispatch({ type: 'sent', id: crypto.randomUUID(), text: draft.trim(), ...(attached && { picture: attached }) });
        dispatch({ type: 'draft', text: '' });
      },
      sendExample: (text, imageUrl) => {
        const send = (picture: Picture | undefined) =>
          dispatch({ type: 'sent', id: crypto.randomUUID(), text, ...(picture && { picture }) });
        if (imageUrl === undefined) send(undefined);
        else fetchPicture(imageUrl).then(send, (error: Error) => dispatch({ type: 'notice', text: error.message }));
      },
      detach: () => dispatch({ type: 'detached' }),
      retry: () => dispatch({ type: 'retried' }),
      takeBack: () => dispatch({ type: 'taken-back' }),
      newChat: () => dispatch({ type: 'new-chat' }),
      undoNewChat: () => dispatch({ type: 'new-chat-undone' }),
      carryOver: () => dispatch({ type: 'carried-over' }),
    }),
    [attach, stop, dispatch],
  );
}

/** Runs the waiting prompt through the engine, reporting into the reducer. */
async function answer(state: State, dispatch: ActionDispatch<[Action]>, engine: EngineVerbs): Promise<void> {
  if (state.engine.phase !== 'ready') return;
  const { model } = state.engine;
  const client = engine.client();
  const answerId = crypto.randomUUID();
  const request = chatRequest(state.chat.messages, model.canSee);
  dispatch({ type: 'answer-started', answerId, modelTitle: model.manifest.title });

  const tokens = perFrame<ChatEvent & { type: 'token' }>((events) => {
    const { tokens, tokensPerSecond } = events.at(-1)!;
    const text = events.map((event) => event.text).join('');
    dispatch({ type: 'answer-grew', answerId, text, tokens, tokensPerSecond });
  });
  const onEvent = (event: ChatEvent) => {
    if (event.type === 'token') tokens.push(event);
    else if (event.type === 'routing') {
      dispatch({ type: 'routed', answerId, modality: event.modality, patches: event.patches });
    } else dispatch({ type: 'answer-prefill', answerId, done: event.done, total: event.promptTokens });
  };

  try {
    const result = await client.chat(request, onEvent);
    dispatch({ type: 'answer-done', answerId, result });
  } catch (error) {
    const { code, message } = toEngineError(error);
    tokens.flush();
    dispatch({ type: 'answer-failed', answerId, failure: { code, message } });
    if (code === 'lost' || client.crashed) dispatch({ type: 'engine-failed', failure: { code, message } });
  }
}
