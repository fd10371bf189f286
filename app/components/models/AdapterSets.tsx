import type { ReactNode } from 'react';
import type { ListedAdapterSet } from '../../../src/workers/adapters-api';
import { useAdapterSets } from '../../hooks/useAdapterSets';
import type { ChatVerbs } from '../../hooks/useChat';
import { CheckIcon } from '../../icons';
import { loadedModel } from '../../state/selectors';
import type { State } from '../../state/state';
import { AdapterSetCard } from './AdapterSetCard';
import { ImportAdapters } from './ImportAdapters';

interface AdapterSetsProps {
  readonly state: State;
  readonly chat: Pick<ChatVerbs, 'setSettings'>;
}

/** Adapter sets on this device, and which of them the open chat uses. */
export function AdapterSets({ state, chat }: AdapterSetsProps) {
  const { sets, failure } = useAdapterSets();
  const model = loadedModel(state);
  const { settings, access } = state.chat;
  const chosen = settings.adapterSet;
  const { adapterSet: _, ...without } = settings;
  const inUse = state.engine.phase === 'ready' ? state.engine.adapters : undefined;
  const trouble = inUse && 'trouble' in inUse ? inUse.trouble : undefined;
  const chooseOwn = () => chat.setSettings(without);
  const choose = ({ id, name }: ListedAdapterSet) => chat.setSettings({ ...settings, adapterSet: { id, name } });
  return (
    <section aria-labelledby="adapter-sets">
      <h3 id="adapter-sets">Adapter sets</h3>
      <p className="caption models-note">
        The few numbers that LaVIN trains: they join a language model and a vision tower, which stay as they are. Chosen
        for each chat and exchanged in a moment.
      </p>
      {failure && (
        <p className="trouble" role="alert">
          {failure.message}
        </p>
      )}
      <ul className="cards">
        {model?.adapterShape && (
          <li className="model-card">
            <h4>The model’s own</h4>
            <p className="good-for">As {model.manifest.title} came.</p>
            <div className="model-actions">
              <UseButton
                name="the model’s own"
                used={chosen === undefined || trouble !== undefined}
                disabled={access !== 'here'}
                onUse={chooseOwn}
              />
            </div>
          </li>
        )}
        {sets?.map((set) => {
          const here = chosen?.id === set.id;
          return (
            <AdapterSetCard
              key={set.id}
              set={set}
              model={model}
              trouble={here ? trouble : undefined}
              onRemoved={() => here && chooseOwn()}
              onRenamed={(name) => here && chat.setSettings({ ...settings, adapterSet: { id: set.id, name } })}
            >
              <UseButton
                name={set.name}
                used={here && trouble === undefined && model !== undefined}
                disabled={access !== 'here'}
                onUse={() => choose(set)}
              />
            </AdapterSetCard>
          );
        })}
        <ImportAdapters model={model} />
      </ul>
    </section>
  );
}

interface UseButtonProps {
  readonly name: string;
  readonly used: boolean;
  readonly disabled: boolean;
  onUse(): void;
}

function UseButton({ name, used, disabled, onUse }: UseButtonProps): ReactNode {
  if (used) {
    return (
      <span className="in-use">
        <CheckIcon /> In use in this chat
      </span>
    );
  }
  return (
    <button type="button" className="outlined" disabled={disabled} onClick={onUse}>
      Use in this chat<span className="hidden"> {name}</span>
    </button>
  );
}
