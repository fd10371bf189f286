import { useState } from 'react';
import type { ListedModel, StoreFailure, TowerReport } from '../../../src/workers/storage-api';
import { asStoreFailure } from '../../../src/workers/storage-client';
import { formatBytes } from '../../format';
import type { LibraryHandle } from '../../hooks/useLibrary';
import type { Device } from '../../library/fit';
import type { KnownTower } from '../../library/known-models';
import { towerWords } from '../../library/words';
import { FitWords } from './FitWords';

interface TowerCardProps {
  readonly known: KnownTower;
  readonly hub: string;
  /** The library's, if it came from here. */
  readonly kept: ListedModel | undefined;
  readonly library: LibraryHandle;
  readonly device: Device;
}

/** A CLIP vision tower, what of its file would be fetched, and the way to get it. */
export function TowerCard({ known, hub, kept, library, device }: TowerCardProps) {
  const [asking, setAsking] = useState(false);
  const [answer, setAnswer] = useState<TowerReport>();
  const [failure, setFailure] = useState<StoreFailure>();

  const ask = async (work: () => Promise<void>) => {
    setAsking(true);
    setFailure(undefined);
    try {
      await work();
    } catch (error) {
      const failed = asStoreFailure(error);
      if (failed.code !== 'aborted') setFailure(failed);
    } finally {
      setAsking(false);
    }
  };
  const look = () => ask(async () => setAnswer(await library.client().lookAtTower(hub, known.repo)));
  const { id: entry, title, goodFor: card, licence } = known;
  const download = () =>
    ask(async () => {
      await library.addTower(hub, known.repo, { title, card, licence, entry });
      setAnswer(undefined);
    });

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
        {answer && !kept && (
          <>
            <p className="number">
              {formatBytes(answer.towerBytes)} of {formatBytes(answer.fileBytes)} are fetched: the {answer.towerTensors}{' '}
              tensors of the vision tower, out of {answer.tensors} in {answer.path}.
            </p>
            <p className="caption">{towerWords(answer.shape)}.</p>
            <FitWords bytes={answer.towerBytes} shape={undefined} device={device} />
            <p className="caption">
              The hub lists the SHA-256 of the whole file, which a part cannot be compared with. Its size, version and
              shapes are.
            </p>
          </>
        )}
      </div>
      {failure && (
        <p className="trouble" role="alert">
          {failure.message}
        </p>
      )}
      {kept && (
        <p className="caption">{kept.state === 'ready' ? 'On this device already.' : 'On its way: see above.'}</p>
      )}
      <div className="model-actions">
        {asking && (
          <>
            <span role="status">Reading the header…</span>
            <button type="button" className="quiet" onClick={() => library.client().cancelLookUp()}>
              Cancel<span className="hidden"> reading {title}</span>
            </button>
          </>
        )}
        {!asking && !kept && !answer && (
          <button type="button" className="outlined" onClick={look}>
            {failure ? 'Ask again' : 'Download…'}
            <span className="hidden"> {title}</span>
          </button>
        )}
        {!asking && !kept && answer && (
          <>
            <button type="button" className="outlined strong" onClick={download}>
              Download {formatBytes(answer.towerBytes)}
              <span className="hidden"> of {title}</span>
            </button>
            <button type="button" className="quiet" onClick={() => setAnswer(undefined)}>
              Not now<span className="hidden">, {title}</span>
            </button>
          </>
        )}
      </div>
    </li>
  );
}
