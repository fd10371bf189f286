import { StoreError } from './error';

/** What downloads take from their surroundings, so that tests can stand in for it. */
export interface NetworkPorts {
  readonly fetch: typeof globalThis.fetch;
  /** Milliseconds; rejects with the signal's reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** False only when the browser is sure that there is no connection. */
  online(): boolean;
}

/** Tries without progress before a download gives up. Pauses between them double from 1 s to 15 s. */
export const MAX_TRIES = 5;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 15_000;

/** Milliseconds to wait before try `failures + 1`; a server's `Retry-After` in seconds is heeded, up to a minute. */
export function pauseBefore(failures: number, retryAfter: string | null = null): number {
  const asked = Number(retryAfter ?? Number.NaN) * 1000;
  const own = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
  return Number.isFinite(asked) ? Math.min(60_000, Math.max(asked, own)) : own;
}

/** Worth asking again: overload and faults that pass. */
export function isPassing(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

/**
 * One request; broken connections, 429 and 5xx are tried again. Other statuses are the caller's.
 * @throws StoreError `offline` or `unreachable`, or the signal's reason
 */
export async function fetchPatiently(
  url: string,
  init: RequestInit,
  ports: NetworkPorts,
  signal?: AbortSignal,
  tries = 3,
): Promise<Response> {
  for (let failures = 1; ; failures++) {
    let retryAfter: string | null = null;
    try {
      const response = await request(ports, url, init, signal);
      if (!isPassing(response.status) || failures === tries) return response;
      retryAfter = response.headers.get('retry-after');
      await response.body?.cancel();
    } catch (error) {
      signal?.throwIfAborted();
      if (failures === tries) throw unreachable(url, ports, error);
    }
    await ports.sleep(pauseBefore(failures, retryAfter), signal);
  }
}

/** Large files must not fill the HTTP cache a second time, and nobody is told where the request came from. */
export function request(ports: NetworkPorts, url: string, init: RequestInit, signal?: AbortSignal): Promise<Response> {
  return ports.fetch(url, { cache: 'no-store', credentials: 'omit', referrerPolicy: 'no-referrer', ...init, signal });
}

export function unreachable(url: string, ports: NetworkPorts, cause: unknown): StoreError {
  if (!ports.online()) {
    return new StoreError(
      'offline',
      'This device is offline. What arrived is kept; it goes on when the connection is back.',
      {
        cause,
      },
    );
  }
  return new StoreError(
    'unreachable',
    `${hostOf(url)} cannot be reached from this page: the connection is broken, or the server does not allow pages to read it. Check the address and the connection, then try again.`,
    { cause },
  );
}

export function hostOf(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return url;
  }
}

export const browserNetwork: NetworkPorts = {
  fetch: (...parameters) => globalThis.fetch(...parameters),
  online: () => globalThis.navigator?.onLine !== false,
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const stop = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', stop);
        resolve();
      }, ms);
      signal?.addEventListener('abort', stop, { once: true });
    }),
};
