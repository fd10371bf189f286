import { type ActionDispatch, useEffect } from 'react';
import { adapterSets } from '../../src/workers/adapters-client';
import { toEngineError } from '../../src/workers/client';
import type { Action } from '../state/reducer';
import { adaptersSettled } from '../state/selectors';
import type { State } from '../state/state';
import type { EngineVerbs } from './useEngine';

/**
 * Keeps the engine's adapters those of the open chat. Where a chat's set is gone or does not fit the model, the model's
 * own take its place and the chat is told why.
 */
export function useWornAdapters(state: State, dispatch: ActionDispatch<[Action]>, engine: EngineVerbs): void {
  const { chat } = state;
  const choice = state.engine.phase === 'ready' ? state.engine.choice : undefined;
  const due = choice !== undefined && !adaptersSettled(state) && chat.turn.phase !== 'answering';
  const id = chat.settings.adapterSet?.id;
  const name = chat.settings.adapterSet?.name;
  useEffect(() => {
    if (!due) return;
    let over = false;
    const use = async () => {
      const client = engine.client();
      try {
        const source = id === undefined ? undefined : await adapterSets.file(id);
        const routing = await client.useAdapters(source);
        if (!over)
          dispatch({
            type: 'adapters-used',
            choice,
            adapters: id === undefined || !source ? undefined : { wanted: id, name: source.name },
            routing,
          });
      } catch (error) {
        const { code, message } = toEngineError(error);
        if (client.crashed || code === 'lost') {
          if (!over) dispatch({ type: 'engine-failed', failure: { code, message } });
          return;
        }
        const routing = await client.useAdapters(undefined).catch(() => undefined);
        if (over) return;
        dispatch({
          type: 'adapters-used',
          choice,
          adapters: id === undefined ? undefined : { wanted: id, trouble: message },
          routing,
        });
        dispatch({ type: 'notice', text: `“${name}” is not in use; the model’s own adapters are. ${message}` });
      }
    };
    void use();
    return () => {
      over = true;
    };
  }, [due, choice, id, name, engine, dispatch]);
}
