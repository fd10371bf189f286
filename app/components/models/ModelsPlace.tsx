import { useState } from 'react';
import type { ChatVerbs } from '../../hooks/useChat';
import type { EngineVerbs } from '../../hooks/useEngine';
import type { LibraryHandle } from '../../hooks/useLibrary';
import { assumption, type Device } from '../../library/fit';
import { loadHub, saveHub } from '../../library/hub-address';
import { KNOWN_LLAMAS, KNOWN_TOWERS } from '../../library/known-models';
import type { ModelChoice, State } from '../../state/state';
import { FailureCard } from '../model/FailureCard';
import { LoadStatus } from '../model/LoadStatus';
import { ModelCard } from '../model/ModelCard';
import { AdapterSets } from './AdapterSets';
import { AddModel } from './AddModel';
import { HubAddress } from './HubAddress';
import { KnownCard } from './KnownCard';
import { OfflineWords } from './OfflineWords';
import { PutTogether } from './PutTogether';
import { ShippedCard } from './ShippedCard';
import { StorageRoom } from './StorageRoom';
import { StoredCard } from './StoredCard';
import { TowerCard } from './TowerCard';

interface ModelsPlaceProps {
  readonly state: State;
  readonly engine: EngineVerbs;
  readonly library: LibraryHandle;
  readonly chat: ChatVerbs;
}

/** Models: what there is, what it takes, what of it is on this device. */
export function ModelsPlace({ state, engine, library, chat }: ModelsPlaceProps) {
  const [hub, setHub] = useState(loadHub);
  const device: Device = {
    maxBufferBytes: state.device?.maxBufferBytes,
    memoryGiB: (navigator as { deviceMemory?: number }).deviceMemory,
  };
  const { status, failure, models } = library.state;
  const open = (choice: ModelChoice) => engine.load(choice);
  const kept = new Map(models.map((model) => [model.entry, model]));
  return (
    <main className="place models" aria-label="Models">
      <header className="models-head">
        <h2>Models</h2>
        <p>
          Models run on this device and stay on it. A download goes on while you chat, and from where it was after a
          break; it is checked against the publisher’s own SHA-256.
        </p>
      </header>

      {state.engine.phase === 'loading' && (
        <LoadStatus
          engine={state.engine}
          onCancel={() => state.engine.choice && engine.cancelLoad(state.engine.choice)}
        />
      )}
      {state.engine.phase === 'failed' && <FailureCard failure={state.engine.failure} />}

      <section aria-labelledby="here">
        <h3 id="here">On this device</h3>
        {status === 'failed' && failure && (
          <p className="failure" role="alert">
            {failure.message}
          </p>
        )}
        <StorageRoom room={library.state.room} />
        <OfflineWords />
        <ul className="cards">
          {state.catalogue.models.map((choice) => (
            <ShippedCard key={choice.id} choice={choice} device={device} engine={state.engine} onOpen={open} />
          ))}
          {models.map((model) => (
            <StoredCard
              key={model.id}
              model={model}
              library={library}
              device={device}
              engine={state.engine}
              onOpen={open}
            />
          ))}
        </ul>
        <ModelCard state={state} />
      </section>

      <AdapterSets state={state} chat={chat} />

      <section aria-labelledby="known">
        <h3 id="known">To download</h3>
        <p className="caption models-note">{assumption(device)}</p>
        <ul className="cards">
          {KNOWN_LLAMAS.map((known) => (
            <KnownCard
              key={known.id}
              known={known}
              hub={hub}
              kept={kept.get(known.id)}
              library={library}
              device={device}
            />
          ))}
        </ul>
      </section>

      <section aria-labelledby="towers">
        <h3 id="towers">Vision towers</h3>
        <p className="caption models-note">
          The eyes of a LaVIN, no chat model by itself. Of a CLIP’s file only the vision part is fetched, by ranges.
        </p>
        <ul className="cards">
          {KNOWN_TOWERS.map((known) => (
            <TowerCard
              key={known.id}
              known={known}
              hub={hub}
              kept={kept.get(known.id)}
              library={library}
              device={device}
            />
          ))}
        </ul>
      </section>

      <PutTogether shipped={state.catalogue.models} library={library} />
      <AddModel hub={hub} library={library} device={device} onOpen={open} />
      <HubAddress
        hub={hub}
        onChange={(address) => {
          saveHub(address);
          setHub(address);
        }}
      />
    </main>
  );
}
