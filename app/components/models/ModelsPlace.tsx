import type { EngineVerbs } from '../../hooks/useEngine';
import type { State } from '../../state/state';
import { ModelCard } from '../model/ModelCard';

interface ModelsPlaceProps {
  readonly state: State;
  readonly engine: EngineVerbs;
}

/** Models and adapter sets: what there is, what it takes, what of it is on this device. */
export function ModelsPlace({ state }: ModelsPlaceProps) {
  return (
    <main className="place" aria-label="Models">
      <ModelCard state={state} />
    </main>
  );
}
