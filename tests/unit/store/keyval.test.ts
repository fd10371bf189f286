import type { UseStore } from 'idb-keyval';
import { expect, it } from 'vitest';
import { withReasons } from '../../../src/store/keyval';

/** A store whose one request fails with `reason`, while its transaction has no error of its own, as idb-keyval sees it. */
function failing(reason: Error): UseStore {
  const request = Object.assign(new EventTarget(), { error: reason });
  const transaction = new EventTarget();
  // Node's events do not bubble: the target is set by hand.
  const event = Object.defineProperty(new Event('error'), 'target', { value: request });
  return async (_mode, callback) => {
    const done = callback({ transaction } as unknown as IDBObjectStore);
    transaction.dispatchEvent(event);
    return done;
  };
}

it('a request that fails says why', async () => {
  const full = new DOMException('full', 'QuotaExceededError');
  await expect(withReasons(failing(full))('readwrite', () => Promise.reject(null))).rejects.toBe(full);
});

it('an error that is known stays, and so does an answer', async () => {
  const known = new DOMException('known', 'AbortError');
  const store = withReasons(failing(new Error('other')));
  await expect(store('readwrite', () => Promise.reject(known))).rejects.toBe(known);
  expect(await store('readonly', async () => 7)).toBe(7);
});
