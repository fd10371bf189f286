import { type FormEvent, useId, useState } from 'react';
import type { StoreFailure } from '../../../src/workers/storage-api';
import { asStoreFailure, isRepo } from '../../../src/workers/storage-client';
import { localModel } from '../../catalogue';
import { formatBytes } from '../../format';
import type { LibraryHandle } from '../../hooks/useLibrary';
import type { Device } from '../../library/fit';
import type { ModelChoice } from '../../state/state';
import { FitWords } from './FitWords';
import { RepoFiles } from './RepoFiles';

interface AddModelProps {
  readonly hub: string;
  readonly library: LibraryHandle;
  readonly device: Device;
  onOpen(choice: ModelChoice): void;
}

/** One's own models: by address, by repository, from this device. */
export function AddModel({ hub, library, device, onOpen }: AddModelProps) {
  return (
    <section aria-labelledby="own">
      <h3 id="own">Add your own</h3>
      <div className="cards">
        <ByAddress hub={hub} library={library} device={device} />
        <FromDevice library={library} device={device} onOpen={onOpen} />
      </div>
    </section>
  );
}

function ByAddress({ hub, library, device }: Omit<AddModelProps, 'onOpen'>) {
  const [text, setText] = useState('');
  const [repo, setRepo] = useState<string>();
  const [asking, setAsking] = useState(false);
  const [failure, setFailure] = useState<StoreFailure>();
  const id = useId();

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setFailure(undefined);
    setRepo(undefined);
    const wanted = text.trim().replace(`${hub}/`, '').replace(/\/+$/, '');
    if (isRepo(wanted)) {
      setRepo(wanted);
      return;
    }
    const url = asFileUrl(text.trim());
    if (url === undefined) {
      const message =
        'That is neither an address (https://…/model.gguf or https://…/manifest.json) nor a repository (owner/name). Check it for typing errors.';
      setFailure({ code: 'listing', message });
      return;
    }
    setAsking(true);
    try {
      await library.addFromUrl(url);
      setText('');
    } catch (error) {
      const failed = asStoreFailure(error);
      if (failed.code !== 'aborted') setFailure(failed);
    } finally {
      setAsking(false);
    }
  };

  return (
    <form className="model-card" onSubmit={submit}>
      <h4>From the web</h4>
      <p className="good-for">
        The address of a GGUF file or of a LaVIN’s manifest.json, or a repository on the hub, such as owner/name.
      </p>
      <label htmlFor={id}>Address or repository</label>
      <input
        id={id}
        type="text"
        inputMode="url"
        autoComplete="off"
        spellCheck={false}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      {failure && (
        <p className="trouble" role="alert">
          {failure.message}
        </p>
      )}
      <div className="model-actions">
        {asking ? (
          <>
            <span role="status">Asking…</span>
            <button type="button" className="quiet" onClick={() => library.client().cancelLookUp()}>
              Cancel
            </button>
          </>
        ) : (
          <button type="submit" className="outlined" disabled={text.trim() === ''}>
            Add
          </button>
        )}
      </div>
      {repo !== undefined && (
        <RepoFiles
          key={repo}
          hub={hub}
          repo={repo}
          title={repo}
          wanted={['Q4_K_M', 'Q4_0', 'Q8_0']}
          shape={undefined}
          about={{
            title: repo.split('/')[1] ?? repo,
            card: `From ${repo}. What it can do depends on how it was trained.`,
            licence: 'not stated',
          }}
          library={library}
          device={device}
        />
      )}
    </form>
  );
}

/** A file's own address: the hub's page about a file (`/blob/`) is turned into the file (`/resolve/`). */
function asFileUrl(text: string): string | undefined {
  try {
    const url = new URL(text);
    if (url.protocol !== 'https:' && url.protocol !== 'http:') return undefined;
    url.pathname = url.pathname.replace(/^(\/[^/]+\/[^/]+)\/blob\//, '$1/resolve/');
    return url.href;
  } catch {
    return undefined;
  }
}

function FromDevice({ library, device, onOpen }: Omit<AddModelProps, 'hub'>) {
  const [file, setFile] = useState<File>();
  const [copying, setCopying] = useState(false);
  const [failure, setFailure] = useState<StoreFailure>();
  const id = useId();

  const copy = async (chosen: File) => {
    setCopying(true);
    setFailure(undefined);
    setFile(undefined);
    try {
      await library.addFile(chosen);
    } catch (error) {
      setFailure(asStoreFailure(error));
      setFile(chosen);
    } finally {
      setCopying(false);
    }
  };

  return (
    <div className="model-card">
      <h4>Add a file from this device</h4>
      <p className="good-for">
        A GGUF that you have already. Use it once from where it is, or let the page keep a copy for the next visits.
      </p>
      <label htmlFor={id}>GGUF to add</label>
      <input
        id={id}
        type="file"
        accept=".gguf"
        disabled={copying}
        onChange={(event) => {
          setFile(event.target.files?.[0]);
          setFailure(undefined);
          event.target.value = '';
        }}
      />
      {file && (
        <>
          <p className="number">
            {file.name} · {formatBytes(file.size)}
          </p>
          <FitWords bytes={file.size} shape={undefined} device={device} />
        </>
      )}
      {failure && (
        <p className="trouble" role="alert">
          {failure.message}
        </p>
      )}
      {copying && <p role="status">Copying: see above.</p>}
      {file && (
        <div className="model-actions">
          <button type="button" className="outlined" onClick={() => onOpen(localModel(file))}>
            Use once
          </button>
          <button type="button" className="outlined" onClick={() => copy(file)}>
            Keep a copy
          </button>
        </div>
      )}
    </div>
  );
}
