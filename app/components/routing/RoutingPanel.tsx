import { loadedModel, nextModality } from '../../state/selectors';
import type { State } from '../../state/state';
import { PatchView } from './PatchView';
import { RouterTable } from './RouterTable';

/** The routers of both towers: the language model's table, and the vision tower's choice patch by patch. */
export function RoutingPanel({ state }: { readonly state: State }) {
  const model = loadedModel(state);
  return (
    <section className="panel" aria-labelledby="routing-title">
      <h2 id="routing-title">Routing</h2>
      {!model && <p className="caption">Once a model is loaded, this shows which expert its routers choose.</p>}
      {model && !model.routing && (
        <p className="caption">This model has no adapters, so there is nothing to route: it answers by itself.</p>
      )}
      {model?.routing && (
        <>
          <p className="caption">
            Every layer has two small trained <em>experts</em>. A router mixes them; the two weights add up to 1.
          </p>
          <Key />
          <RouterTable table={model.routing} inUse={state.routing.modality} next={nextModality(state)} />
          {model.canSee && <PatchView state={state} />}
        </>
      )}
    </section>
  );
}

function Key() {
  return (
    <ul className="key" aria-label="Colours">
      <li>
        <span className="swatch one" aria-hidden="true" /> Expert 1
      </li>
      <li>
        <span className="swatch two" aria-hidden="true" /> Expert 2
      </li>
    </ul>
  );
}
