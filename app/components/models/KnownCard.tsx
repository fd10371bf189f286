import type { ListedModel } from '../../../src/workers/storage-api';
import { formatBytes, formatCount } from '../../format';
import type { LibraryHandle } from '../../hooks/useLibrary';
import type { Device } from '../../library/fit';
import type { KnownLlama } from '../../library/known-models';
import { FitWords } from './FitWords';
import { RepoFiles } from './RepoFiles';

interface KnownCardProps {
  readonly known: KnownLlama;
  readonly hub: string;
  /** The library's, if it came from here. */
  readonly kept: ListedModel | undefined;
  readonly library: LibraryHandle;
  readonly device: Device;
}

/** A model that is published elsewhere: what it is, whether it would fit, and the way to get it. */
export function KnownCard({ known, hub, kept, library, device }: KnownCardProps) {
  const bytes = (known.parameters * known.bitsPerWeight) / 8;
  const { id: entry, title, goodFor: card, licence } = known;
  return (
    <li className="model-card">
      <h4>{title}</h4>
      <p className="good-for">{card}</p>
      <p className="caption">
        {formatCount(known.parameters)} parameters · about {formatBytes(bytes)} to download · Licence: {licence}
      </p>
      <p className="caption">
        {known.tried ?? 'Not tried by us.'}{' '}
        <a href={`${hub}/${known.repo}`} target="_blank" rel="noreferrer">
          {known.repo}
        </a>
      </p>
      <FitWords bytes={bytes} shape={known.shape} device={device} />
      {kept ? (
        <p className="caption">{kept.state === 'ready' ? 'On this device already.' : 'On its way: see above.'}</p>
      ) : (
        <RepoFiles
          hub={hub}
          repo={known.repo}
          title={title}
          wanted={known.wanted}
          shape={known.shape}
          about={{ title, card, licence, entry }}
          library={library}
          device={device}
        />
      )}
    </li>
  );
}
