import { useSyncExternalStore } from 'react';
import { offlineState, subscribeOffline, takeUpdate } from '../../offline/offline';

/** Whether the page opens without a connection, and the way to a newer one. */
export function OfflineWords() {
  const { kept, update } = useSyncExternalStore(subscribeOffline, offlineState);
  if (!kept) return null;
  return (
    <div className="offline-words caption" role="status">
      {update ? (
        <>
          <span>A newer version of this page is ready. It comes by itself once every tab of the page was closed.</span>
          <button type="button" className="outlined" onClick={takeUpdate}>
            Reload with it now
          </button>
        </>
      ) : (
        <span>This page, and the models you used, open without a connection.</span>
      )}
    </div>
  );
}
