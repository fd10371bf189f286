/** idb-keyval's stores, with failures that say why. */
import { createStore, type UseStore } from 'idb-keyval';

/** A store of its own database in IndexedDB. Rejects with what failed, as a `DOMException`: `QuotaExceededError` on a full disk. */
export function keyvalStore(database: string, name: string): UseStore {
  return withReasons(createStore(database, name));
}

/**
 * Where a request fails, its transaction has no error of its own yet, and idb-keyval, which asks the transaction, rejects with
 * `null`. The request is the event's target.
 */
export function withReasons(store: UseStore): UseStore {
  return (mode, callback) =>
    store(mode, async (objects) => {
      let reason: unknown;
      objects.transaction.addEventListener('error', ({ target }) => {
        reason = (target as IDBRequest | null)?.error;
      });
      try {
        return await callback(objects);
      } catch (error) {
        throw error ?? reason;
      }
    });
}
