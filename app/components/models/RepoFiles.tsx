import { useId, useState } from 'react';
import type { About, GgufChoice, StoreFailure } from '../../../src/workers/storage-api';
import { asStoreFailure, preferred } from '../../../src/workers/storage-client';
import { formatBytes } from '../../format';
import type { LibraryHandle } from '../../hooks/useLibrary';
import type { Device, KvShape } from '../../library/fit';
import { FitWords } from './FitWords';

interface RepoFilesProps {
  readonly hub: string;
  readonly repo: string;
  readonly title: string;
  readonly wanted: readonly string[];
  readonly shape: KvShape | undefined;
  readonly about: About;
  readonly library: LibraryHandle;
  readonly device: Device;
}

type Listing =
  | { readonly phase: 'closed' }
  | { readonly phase: 'asking' }
  | { readonly phase: 'listed'; readonly choices: readonly GgufChoice[]; readonly path: string | undefined }
  | { readonly phase: 'failed'; readonly failure: StoreFailure };

/** A repository's files, asked for when a person wants them: one is proposed, another can be chosen. */
export function RepoFiles({ hub, repo, title, wanted, shape, about, library, device }: RepoFilesProps) {
  const [listing, setListing] = useState<Listing>({ phase: 'closed' });
  const id = useId();

  const ask = async () => {
    setListing({ phase: 'asking' });
    try {
      const { choices } = await library.client().lookUp(hub, repo);
      setListing({ phase: 'listed', choices, path: preferred(choices, wanted)?.path });
    } catch (error) {
      const failure = asStoreFailure(error);
      setListing(failure.code === 'aborted' ? { phase: 'closed' } : { phase: 'failed', failure });
    }
  };
  const download = async (path: string) => {
    setListing({ phase: 'asking' });
    try {
      await library.addFromHub(hub, repo, path, about);
      setListing({ phase: 'closed' });
    } catch (error) {
      setListing({ phase: 'failed', failure: asStoreFailure(error) });
    }
  };

  if (listing.phase === 'asking') {
    return (
      <div className="model-actions">
        <span role="status">Asking {new URL(hub).host}…</span>
        <button type="button" className="quiet" onClick={() => library.client().cancelLookUp()}>
          Cancel<span className="hidden"> looking up {title}</span>
        </button>
      </div>
    );
  }
  if (listing.phase === 'listed') {
    const chosen = listing.choices.find(({ path }) => path === listing.path);
    return (
      <div className="repo-files">
        {chosen ? (
          <>
            <label htmlFor={id}>File</label>
            <select
              id={id}
              value={chosen.path}
              onChange={(event) => setListing({ ...listing, path: event.target.value })}
            >
              {listing.choices.map(({ path, bytes, unsupported }) => (
                <option key={path} value={path} disabled={unsupported !== undefined}>
                  {path} · {formatBytes(bytes)}
                  {unsupported === undefined ? '' : ` (${unsupported})`}
                </option>
              ))}
            </select>
            <FitWords bytes={chosen.bytes} shape={shape} device={device} />
          </>
        ) : (
          <p className="trouble" role="alert">
            {repo} has no GGUF file that runs here. Look for another repository of the same model.
          </p>
        )}
        <div className="model-actions">
          {chosen && (
            <button type="button" className="outlined strong" onClick={() => download(chosen.path)}>
              Download {formatBytes(chosen.bytes)}
              <span className="hidden"> of {title}</span>
            </button>
          )}
          <button type="button" className="quiet" onClick={() => setListing({ phase: 'closed' })}>
            Not now
          </button>
        </div>
      </div>
    );
  }
  return (
    <>
      {listing.phase === 'failed' && (
        <p className="trouble" role="alert">
          {listing.failure.message}
        </p>
      )}
      <div className="model-actions">
        <button type="button" className="outlined" onClick={ask}>
          {listing.phase === 'failed' ? 'Ask again' : 'Download…'}
          <span className="hidden"> {title}</span>
        </button>
      </div>
    </>
  );
}
