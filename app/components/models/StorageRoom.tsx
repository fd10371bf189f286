import { useEffect, useState } from 'react';
import type { StorageRoom as Room } from '../../../src/workers/storage-api';
import { formatBytes } from '../../format';

/** What this page keeps, what it may keep, and whether the browser may throw it away. */
export function StorageRoom({ room }: { readonly room: Room | undefined }) {
  const [persisted, setPersisted] = useState<boolean>();
  const [refused, setRefused] = useState(false);
  useEffect(() => {
    navigator.storage?.persisted?.().then(setPersisted, () => {});
  }, []);

  const keep = async () => {
    const granted = await navigator.storage.persist().catch(() => false);
    setPersisted(granted);
    setRefused(!granted);
  };

  return (
    <div className="storage">
      <div className="storage-words">
        <p className="number">
          {room
            ? `${formatBytes(room.used)} kept, of ${formatBytes(room.quota)} that the browser allows`
            : 'Measuring…'}
        </p>
        <p className="caption" aria-live="polite">
          {persisted === true && 'Kept until you delete it: the browser has promised.'}
          {persisted === false &&
            (refused
              ? 'The browser did not promise. It asks no one and decides by use: visit more often, bookmark or install the page, then ask again.'
              : 'The browser may delete it when the disk runs full.')}
        </p>
      </div>
      {persisted === false && (
        <button type="button" className="outlined" onClick={keep}>
          Keep on this device
        </button>
      )}
      {/* Room for the bar before the figures come. */}
      <meter
        aria-label="Storage used"
        min={0}
        max={room && room.quota > 0 ? room.quota : 1}
        value={room && room.quota > 0 ? room.used : 0}
      />
    </div>
  );
}
