import { useCallback, useEffect, useState } from 'react';
import type { ListedAdapterSet, StoreFailure } from '../../src/workers/adapters-api';
import { adapterSets, watchAdapterSets } from '../../src/workers/adapters-client';
import { asStoreFailure } from '../../src/workers/storage-client';

export interface AdapterShelf {
  /** Undefined until they are read. */
  readonly sets: readonly ListedAdapterSet[] | undefined;
  /** Why there is no list. */
  readonly failure: StoreFailure | undefined;
}

/** The adapter sets of this device, whichever tab changes them. */
export function useAdapterSets(): AdapterShelf {
  const [shelf, setShelf] = useState<AdapterShelf>({ sets: undefined, failure: undefined });
  const read = useCallback(
    () =>
      adapterSets.list().then(
        (sets) => setShelf({ sets, failure: undefined }),
        (error) => setShelf({ sets: undefined, failure: asStoreFailure(error) }),
      ),
    [],
  );
  useEffect(() => {
    void read();
    return watchAdapterSets(() => void read());
  }, [read]);
  return shelf;
}
