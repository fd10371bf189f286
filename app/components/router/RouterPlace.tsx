import type { EngineVerbs } from '../../hooks/useEngine';
import type { State } from '../../state/state';
import { RoutingPanel } from '../routing/RoutingPanel';

interface RouterPlaceProps {
  readonly state: State;
  readonly engine: EngineVerbs;
}

/** What the routers decide, in both towers, and what would change if they decided otherwise. */
export function RouterPlace({ state }: RouterPlaceProps) {
  return (
    <main className="place" aria-label="Router">
      <RoutingPanel state={state} />
    </main>
  );
}
