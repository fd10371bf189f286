import { useState } from 'react';
import type { StoreFailure, TowerReport } from '../../../src/workers/storage-api';
import { asStoreFailure } from '../../../src/workers/storage-client';
import { formatBytes } from '../../format';
import type { LibraryHandle } from '../../hooks/useLibrary';
import type { Device } from '../../library/fit';
import type { KnownTower } from '../../library/known-models';
import { FitWords } from './FitWords';

interface TowerCardProps {
  readonly known: KnownTower;
  readonly hub: string;
  readonly library: LibraryHandle;
  readonly device: Device;
}

/** A CLIP vision tower, and what of its file would be fetched. */
export function TowerCard({ known, hub, library, device }: TowerCardProps) {
  const [asking, setAsking] = useState(false);
  const [answer, setAnswer] = useState<TowerReport>();
  const [failure, setFailure] = useState<StoreFailure>();

  const look = async () => {
    setAsking(true);
    setFailure(undefined);
    try {
      setAnswer(await library.client().lookAtTower(hub, known.repo));
    } catch (error) {
      const failed = asStoreFailure(error);
      if (failed.code !== 'aborted') setFailure(failed);
    } finally {
      setAsking(false);
    }
  };

  return (
    <li className="model-card">
      <h4>{known.title}</h4>
      <p className="good-for">{known.goodFor}</p>
      <p className="caption">
        Licence: {known.licence} · {known.tried ?? 'Not tried by us.'}{' '}
        <a href={`${hub}/${known.repo}`} target="_blank" rel="noreferrer">
          {known.repo}
        </a>
      </p>
      <div aria-live="polite">
        {answer && (
          <>
            <p className="number">
              {formatBytes(answer.towerBytes)} of {formatBytes(answer.fileBytes)} would be fetched: the{' '}
              {answer.towerTensors} tensors of the vision tower, out of {answer.tensors} in {answer.path}.
            </p>
            <FitWords bytes={answer.towerBytes} shape={undefined} device={device} />
            <p className="caption">
              For a manifest’s “vision.file”: <code className="address">{answer.url}</code>
            </p>
          </>
        )}
      </div>
      {failure && (
        <p className="trouble" role="alert">
          {failure.message}
        </p>
      )}
      <div className="model-actions">
        {asking ? (
          <>
            <span role="status">Reading the header…</span>
            <button type="button" className="quiet" onClick={() => library.client().cancelLookUp()}>
              Cancel<span className="hidden"> reading {known.title}</span>
            </button>
          </>
        ) : (
          !answer && (
            <button type="button" className="outlined" onClick={look}>
              What would be fetched?<span className="hidden"> Of {known.title}</span>
            </button>
          )
        )}
      </div>
    </li>
  );
}
