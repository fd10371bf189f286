import type { ActionDispatch } from 'react';
import type { ChatEvent, ChatRequest } from '../../src/workers/api';
import { toEngineError } from '../../src/workers/client';
import { defaultOf, randomSeed, SETTINGS } from '../conversations/sampling';
import { perFrame } from '../perFrame';
import type { Action } from '../state/reducer';
import { answererTitle, chatRequest } from '../state/selectors';
import type { State } from '../state/state';
import type { EngineVerbs } from './useEngine';

const LONGEST = SETTINGS.find(({ name }) => name === 'maxTokens')!;

type TokenEvent = ChatEvent & { readonly type: 'token' };

/**
 * Runs what waits through the engine, reporting into the reducer: a prompt to be answered, or an answer that goes on.
 * When the model is taken away in the middle it is loaded again and the answer waits for it, once.
 */
export async function answer(state: State, dispatch: ActionDispatch<[Action]>, engine: EngineVerbs): Promise<void> {
  const { chat } = state;
  const last = chat.messages.at(-1);
  if (state.engine.phase !== 'ready' || chat.turn.phase !== 'waiting' || !last) return;
  const { model, choice } = state.engine;
  const { after } = chat.turn;
  const begun = last.role === 'assistant' ? last : undefined;
  const answerId = begun?.id ?? crypto.randomUUID();
  const seed = begun?.seed ?? chat.settings.sampling.seed ?? randomSeed();
  const request = chatRequest(chat.messages, model.canSee, {
    ...chat.settings,
    sampling: { ...samplingLeft(state, after ? (begun?.ids?.length ?? 0) : 0), seed },
  });
  const client = engine.client();
  dispatch({ type: 'answer-started', answerId, modelTitle: answererTitle(state), seed, at: Date.now() });

  const tokens = perFrame<TokenEvent>((events) => {
    const { tokens, tokensPerSecond } = events.at(-1)!;
    const text = events.map((event) => event.text).join('');
    const ids = events.flatMap(({ id }) => (id === undefined ? [] : [id]));
    dispatch({ type: 'answer-grew', answerId, text, ids, tokens, tokensPerSecond });
  });
  /** A crash comes by another way than events: one that it overtook must not reach a later attempt. */
  let over = false;
  const onEvent = (event: ChatEvent) => {
    if (over) return;
    if (event.type === 'token') tokens.push(event);
    else if (event.type === 'prefill') {
      dispatch({ type: 'answer-prefill', answerId, done: event.done, total: event.promptTokens });
    } else if (event.type === 'loading') dispatch({ type: 'answer-loading', answerId, progress: event.progress });
    else dispatch({ type: 'routed', answerId, modality: event.modality, patches: event.patches });
  };

  try {
    const result = await client.chat(request, onEvent);
    tokens.flush();
    dispatch({ type: 'answer-done', answerId, result });
  } catch (error) {
    const { code, message } = toEngineError(error);
    const failure = { code, message };
    over = true;
    tokens.flush();
    const gone = code === 'lost' || client.crashed;
    if (gone && !after) {
      engine.load(choice);
      dispatch({ type: 'answer-interrupted', answerId, failure });
      return;
    }
    dispatch({ type: 'answer-failed', answerId, failure });
    if (gone) dispatch({ type: 'engine-failed', failure });
  }
}

/** The chat's settings; an answer that goes on by itself may be as long as it would have been. */
function samplingLeft({ chat, engine }: State, written: number): ChatRequest['sampling'] {
  const { sampling } = chat.settings;
  if (written === 0) return sampling;
  const model = engine.phase === 'ready' ? engine.model.manifest.sampling : undefined;
  const longest = sampling.maxTokens ?? defaultOf(LONGEST, model)!;
  return { ...sampling, maxTokens: Math.max(1, longest - written) };
}
