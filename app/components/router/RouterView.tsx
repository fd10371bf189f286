import { useEffect, useMemo, useSyncExternalStore } from 'react';
import type { LoadedModel } from '../../../src/workers/api';
import { routerSession } from '../../routing/session';
import { loadedModel } from '../../state/selectors';
import { AskPanel } from './AskPanel';
import { chatIsAnswering, newestPrompt } from './from-chat';
import { useFragment, usePictureArrivals } from './hooks';
import { LlmSection } from './LlmSection';
import { PatchSection } from './PatchSection';
import { Pins } from './Pins';
import type { RouterPlaceProps } from './RouterPlace';
import { ShareLink } from './ShareLink';
import { WhatIf } from './WhatIf';
import '../../styles/router.css';

/** The router view: ask, look, change, compare, take away. */
export default function RouterView({ state, engine }: RouterPlaceProps) {
  const session = routerSession();
  const view = useSyncExternalStore(session.subscribe, session.snapshot);
  const model = loadedModel(state);
  useEffect(() => {
    if (model) session.useModel(model);
  }, [session, model]);
  useFragment(session, view.view, model?.manifest.name);
  usePictureArrivals(session, model?.canSee ?? false);

  const chat = newestPrompt(state);
  const prompt = view.draft ?? chat.text;
  const picture = model?.canSee ? (view.picture === undefined ? chat.picture : (view.picture ?? undefined)) : undefined;
  const answering = chatIsAnswering(state);
  const base =
    state.engine.phase === 'ready' && state.engine.choice.source.kind === 'manifest'
      ? state.engine.choice.source.url
      : undefined;
  const proofPrompts = useMemo(() => twoPrompts(model), [model]);

  if (!model) {
    return (
      <section className="panel">
        <h2>Router view</h2>
        <p className="caption" role="status">
          {state.engine.phase === 'loading'
            ? 'The model is still loading; this view opens as soon as it is there.'
            : 'No model is loaded. Choose one above, and its routers appear here.'}
        </p>
      </section>
    );
  }
  const table = model.routing;
  if (!table) {
    return (
      <section className="panel">
        <h2>This model has no routers</h2>
        <p className="caption">
          {model.manifest.title} has no adapters, so there is nothing to route: it answers by itself. Choose a model
          with adapters, such as the starter, in <a href="#/models">Models</a> or above.
        </p>
      </section>
    );
  }
  const bench = () => ({ client: engine.client(), model });
  const busy = answering ? 'The chat is being answered. You can ask here as soon as it is done.' : undefined;
  const linked = view.view.model;
  return (
    <div className="router-view">
      <div className="router-column asking">
        <AskPanel
          session={session}
          view={view}
          model={model}
          base={base && new URL(base, location.href).href}
          prompt={prompt}
          picture={picture}
          busy={busy}
          onAsk={() => session.ask(bench(), prompt.trim(), picture)}
        />
        {linked !== undefined && linked !== model.manifest.name && (
          <p className="panel caption">
            This link was made with the model “{linked}”. Its settings are shown on {model.manifest.title} instead.
          </p>
        )}
      </div>
      <div className="router-column">
        <LlmSection
          session={session}
          view={view}
          model={model}
          table={table}
          picture={picture}
          busy={answering}
          proofPrompts={proofPrompts}
          onProve={(prompts, withPicture) => session.prove(bench(), prompts, withPicture ? picture : undefined)}
        />
        {model.canSee && (
          <PatchSection
            session={session}
            view={view}
            modelName={model.manifest.name}
            busy={answering}
            onCompare={(other) => session.compareWith(bench(), other)}
          />
        )}
        <WhatIf
          session={session}
          view={view}
          model={model}
          table={table}
          modality={view.original?.modality ?? (picture ? 'image' : 'text')}
          busy={answering}
          onAgain={() => session.askAgain(bench())}
        />
        <Pins session={session} view={view} model={model} />
        <section className="panel">
          <ShareLink view={view.view} model={model.manifest.name} prompt={prompt} />
        </section>
      </div>
    </div>
  );
}

function twoPrompts(model: LoadedModel | undefined): readonly [string, string] {
  const own = model?.manifest.examples?.filter(({ image }) => image === undefined).map(({ text }) => text) ?? [];
  return [own[0] ?? 'What is the opposite of hot?', own[1] ?? 'Tell me about the sea.'];
}
