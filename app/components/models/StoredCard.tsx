import { useState } from 'react';
import type { ListedModel } from '../../../src/workers/storage-api';
import { formatBytes } from '../../format';
import { type LibraryHandle, storedChoice } from '../../hooks/useLibrary';
import type { Device } from '../../library/fit';
import { KNOWN_LLAMAS } from '../../library/known-models';
import { towerWords } from '../../library/words';
import type { EngineState, ModelChoice } from '../../state/state';
import { Markdown } from '../Markdown';
import { Confirm } from './Confirm';
import { FitWords } from './FitWords';
import { OpenButton } from './OpenButton';
import { TransferStatus } from './TransferStatus';

interface StoredCardProps {
  readonly model: ListedModel;
  readonly library: LibraryHandle;
  readonly device: Device;
  readonly engine: EngineState;
  onOpen(choice: ModelChoice): void;
}

/** A model of the library: whole, on its way, or broken. */
export function StoredCard({ model, library, device, engine, onOpen }: StoredCardProps) {
  const [confirming, setConfirming] = useState(false);
  const { id, title, state, elsewhere } = model;
  const activity = library.state.activities[id];
  const failure = library.state.failures[id];
  const note = library.state.notes[id];
  const users = library.state.models.filter(({ parts }) => parts?.ids.includes(id)).map((user) => user.title);
  const needed = model.bytesInAll === undefined ? undefined : model.bytesInAll + (model.parts?.bytes ?? 0);
  const own = OWN_WORK.has(model.origin.kind);
  const known = KNOWN_LLAMAS.find((each) => each.id === model.entry);
  const idle = !activity && !elsewhere;
  const name = <span className="hidden"> {title}</span>;
  return (
    <li className="model-card">
      <h4>{title}</h4>
      <div className="good-for">
        <Markdown text={model.card.split('\n\n')[0] ?? ''} />
      </div>
      <p className="caption">
        {originWords(model)} · Licence: {model.licence}
      </p>
      {state === 'ready' && (
        <p className="caption number">
          {formatBytes(model.bytesHere)} {checkWords(model)}
        </p>
      )}
      {model.shape && <p className="caption number">{towerWords(model.shape)}</p>}
      {users.length > 0 && <p className="caption">Part of {users.join(', ')}.</p>}
      {needed !== undefined && <FitWords bytes={needed} shape={known?.shape} device={device} />}
      {activity && <TransferStatus activity={activity} title={title} onStop={() => library.pause(id)} />}
      {idle && state === 'partial' && !failure && (
        <p className="number">
          Paused at {formatBytes(model.bytesHere)}
          {model.bytesInAll === undefined ? '' : ` of ${formatBytes(model.bytesInAll)}`}.
        </p>
      )}
      {elsewhere && <p>Another tab is working on it.</p>}
      {idle && state === 'broken' && (
        <p className="trouble" role="alert">
          {brokenWords(model)}
        </p>
      )}
      {idle && failure && (
        <p className="trouble" role="alert">
          {failure.message}
        </p>
      )}
      <p className="caption" aria-live="polite">
        {note}
      </p>
      {idle && (
        <div className="model-actions">
          {state === 'ready' && model.kind !== 'tower' && (
            <OpenButton choice={storedChoice(model)} engine={engine} onOpen={onOpen} />
          )}
          {state !== 'ready' && !own && (
            <button type="button" className="outlined" onClick={() => library.download(id)}>
              {state === 'broken' || (failure && model.bytesHere === 0) ? 'Download again' : 'Resume'}
              {name}
            </button>
          )}
          {state === 'ready' && (
            <button type="button" className="quiet" onClick={() => library.verify(id)}>
              Check{name}
            </button>
          )}
          <button type="button" className="quiet" onClick={() => setConfirming(true)}>
            {state === 'ready' ? 'Delete' : 'Cancel'}
            {name}
          </button>
        </div>
      )}
      {activity && activity.phase !== 'verify' && (
        <div className="model-actions">
          {activity.phase !== 'copy' && (
            <button type="button" className="outlined" onClick={() => library.pause(id)}>
              Pause{name}
            </button>
          )}
          <button type="button" className="quiet" onClick={() => library.remove(id)}>
            Cancel{name}
          </button>
        </div>
      )}
      {confirming && (
        <Confirm
          question={`Delete ${title}?`}
          words={
            users.length > 0
              ? `${users.join(', ')} would not open without it. Delete that first.`
              : `${formatBytes(model.bytesHere)} on this device will be freed. ${againWords(model)}`
          }
          verb="Delete"
          onConfirm={users.length > 0 ? undefined : () => library.remove(id)}
          onClose={() => setConfirming(false)}
        />
      )}
    </li>
  );
}

/** What cannot be downloaded again as it was. */
const OWN_WORK: ReadonlySet<ListedModel['origin']['kind']> = new Set(['file', 'together']);

function originWords({ origin }: ListedModel): string {
  switch (origin.kind) {
    case 'hub':
      return `${origin.repo}, ${origin.path}`;
    case 'url':
      return origin.url;
    case 'file':
      return `Copied from ${origin.name}`;
    case 'together':
      return `Put together here from ${origin.llama}, ${origin.tower} and ${origin.adapters}`;
  }
}

function brokenWords({ origin, parts }: ListedModel): string {
  if (parts) {
    return 'It, or a model that it is made of, is incomplete or changed on this device. Download that model again, or delete this one and put it together anew.';
  }
  const cause = 'Its files on this device are incomplete or changed: the browser or the disk lost part of them.';
  return `${cause} ${origin.kind === 'file' ? 'Delete it and add the file again.' : 'Download it again.'}`;
}

function againWords({ origin }: ListedModel): string {
  if (origin.kind === 'together') return 'The models that it is made of stay.';
  return `To use it again it has to be ${origin.kind === 'file' ? 'added' : 'downloaded'} again.`;
}

function checkWords({ files, kind, parts }: ListedModel): string {
  const main = files.find(({ url, text }) => url !== undefined || text === undefined);
  const short = main?.sha256?.slice(0, 12);
  if (parts) return `of its own on disk, ${formatBytes(parts.bytes)} in the models that it uses`;
  if (kind === 'tower') {
    return `on disk · SHA-256 ${short}… of this part; the hub lists that of the whole file alone, so its size, version and shapes were checked`;
  }
  if (main?.expected !== undefined) return `on disk · SHA-256 ${short}…, as the hub lists it`;
  return `on disk · SHA-256 ${short}…, told by nobody to compare with`;
}
