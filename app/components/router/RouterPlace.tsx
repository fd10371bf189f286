import { lazy, Suspense } from 'react';
import type { EngineVerbs } from '../../hooks/useEngine';
import type { State } from '../../state/state';

export interface RouterPlaceProps {
  readonly state: State;
  readonly engine: EngineVerbs;
}

/** The view with its figures comes when it is first opened: the chat need not wait for it. */
const RouterView = lazy(() => import('./RouterView').catch(() => ({ default: Unreachable })));

/** What the routers decide, in both towers, and what would change if they decided otherwise. */
export function RouterPlace(props: RouterPlaceProps) {
  return (
    <main className="place" aria-label="Router">
      <Suspense fallback={<p className="caption">Opening the router view …</p>}>
        <RouterView {...props} />
      </Suspense>
    </main>
  );
}

function Unreachable(_: RouterPlaceProps) {
  return (
    <section className="panel" role="alert">
      <h2>The router view could not be loaded</h2>
      <p className="caption">Check the connection, then reload the page. What you typed in the chat is kept.</p>
      <button type="button" className="outlined" onClick={() => location.reload()}>
        Reload
      </button>
    </section>
  );
}
