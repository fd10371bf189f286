import { useState } from 'react';
import type { ListedModel } from '../../../src/workers/storage-api';
import { formatBytes } from '../../format';
import { type LibraryHandle, storedChoice } from '../../hooks/useLibrary';
import type { Device } from '../../library/fit';
import { KNOWN_LLAMAS } from '../../library/known-models';
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
          {formatBytes(model.bytesHere)} on disk · {checkWords(model)}
        </p>
      )}
      {model.bytesInAll !== undefined && <FitWords bytes={model.bytesInAll} shape={known?.shape} device={device} />}
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
          Its files on this device are incomplete or changed: the browser or the disk lost part of them.{' '}
          {model.origin.kind === 'file' ? 'Delete it and add the file again.' : 'Download it again.'}
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
          {state === 'ready' && <OpenButton choice={storedChoice(model)} engine={engine} onOpen={onOpen} />}
          {state !== 'ready' && model.origin.kind !== 'file' && (
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
          words={`${formatBytes(model.bytesHere)} on this device will be freed. To use it again it has to be ${model.origin.kind === 'file' ? 'added' : 'downloaded'} again.`}
          verb="Delete"
          onConfirm={() => library.remove(id)}
          onClose={() => setConfirming(false)}
        />
      )}
    </li>
  );
}

function originWords({ origin }: ListedModel): string {
  if (origin.kind === 'hub') return `${origin.repo}, ${origin.path}`;
  return origin.kind === 'url' ? origin.url : `Copied from ${origin.name}`;
}

function checkWords({ files }: ListedModel): string {
  const main = files.find(({ url, text }) => url !== undefined || text === undefined);
  const short = main?.sha256?.slice(0, 12);
  if (main?.expected !== undefined) return `SHA-256 ${short}…, as the hub lists it`;
  return `SHA-256 ${short}…, told by nobody to compare with`;
}
