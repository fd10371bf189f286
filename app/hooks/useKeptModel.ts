import { useEffect } from 'react';
import { keepModel } from '../offline/offline';
import type { EngineState } from '../state/state';

/** A model beside the page that was loaded is kept, for the next visit without a connection. */
export function useKeptModel(engine: EngineState): void {
  const ready = engine.phase === 'ready' ? engine : undefined;
  const model = ready?.model;
  const source = ready?.choice.source;
  useEffect(() => {
    if (model && source?.kind === 'manifest') void keepModel(model.manifest, source.url);
  }, [model, source]);
}
