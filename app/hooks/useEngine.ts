import { type ActionDispatch, useCallback, useEffect, useMemo, useRef } from 'react';
import { EngineClient, EngineError, toEngineError } from '../../src/workers/client';
import { defaultModel, fetchCatalogue } from '../catalogue';
import { perFrame } from '../perFrame';
import type { Action } from '../state/reducer';
import type { ModelChoice } from '../state/state';

export interface EngineVerbs {
  /** The worker's client; made anew after a crash. */
  client(): EngineClient;
  load(choice: ModelChoice): void;
  cancelLoad(choice: ModelChoice): void;
}

/** Owns the worker: makes it, lists the models, loads the default one, reports into the reducer. */
export function useEngine(dispatch: ActionDispatch<[Action]>): EngineVerbs {
  const current = useRef<EngineClient>(undefined);
  const cancelled = useRef<ModelChoice>(undefined);

  const client = useCallback(() => {
    if (current.current?.crashed) {
      current.current.dispose();
      current.current = undefined;
    }
    current.current ??= new EngineClient();
    return current.current;
  }, []);

  const load = useCallback(
    async (choice: ModelChoice) => {
      const engine = client();
      cancelled.current = undefined;
      dispatch({ type: 'load-started', choice });
      const progress = perFrame<Action>((actions) => dispatch(actions.at(-1)!));
      try {
        const device = await engine.open();
        if (current.current !== engine) return;
        dispatch({ type: 'device-opened', device });
        if (cancelled.current === choice) throw new EngineError('aborted', 'Cancelled before it began.');
        const model = await engine.load(choice.source, (report) => {
          progress.push({ type: 'load-progress', choice, progress: report, at: performance.now() });
        });
        dispatch({ type: 'load-done', choice, model });
      } catch (error) {
        if (current.current !== engine) return;
        const { code, message } = toEngineError(error);
        if (code === 'aborted') dispatch({ type: 'load-cancelled', choice });
        else dispatch({ type: 'load-failed', choice, failure: { code, message } });
      }
    },
    [client, dispatch],
  );

  const cancelLoad = useCallback((choice: ModelChoice) => {
    cancelled.current = choice;
    current.current?.cancelLoad();
  }, []);

  useEffect(() => {
    const abort = new AbortController();
    fetchCatalogue(abort.signal).then(
      (models) => {
        dispatch({ type: 'catalogue', catalogue: { status: 'ready', models } });
        const first = defaultModel(models);
        if (first) load(first);
      },
      () => {
        if (!abort.signal.aborted) dispatch({ type: 'catalogue', catalogue: { status: 'failed', models: [] } });
      },
    );
    return () => {
      abort.abort();
      current.current?.dispose();
      current.current = undefined;
    };
  }, [dispatch, load]);

  return useMemo(() => ({ client, load, cancelLoad }), [client, load, cancelLoad]);
}
