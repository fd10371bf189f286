/** What every verb of a worker owes the page: its reports before its end, and failures that cross whole. */
import { releaseProxy } from 'comlink';

/**
 * Runs a verb's work. `callback`, where the page gave one, is what `tell` reaches, which returns what it does: a promise of
 * having been heard, from comlink. Its port is freed at the end.
 */
export type Telling = <T, R = never>(
  work: (tell: (report: R) => unknown) => Promise<T> | T,
  callback?: (report: R) => void,
) => Promise<T>;

/**
 * A verb and its reports cross by ports of their own, and to a busy page the end comes first: an answer's last words would be
 * lost. So the end waits until the last report was heard, as comlink's callbacks promise; a page that fails at it is past help.
 * @param toFailure makes of anything thrown a plain object: comlink keeps only name and message of an `Error`
 */
export function tellingWith(toFailure: (error: unknown) => object): Telling {
  return async (work, callback) => {
    let heard: unknown;
    try {
      return await work((report) => {
        heard = callback?.(report);
        return heard;
      });
    } catch (error) {
      throw toFailure(error);
    } finally {
      await Promise.allSettled([heard]);
      release(callback);
    }
  };
}

/** Frees the message port behind a callback that came through comlink; without it every request leaks one. */
function release(callback: unknown): void {
  const free = (callback as { [releaseProxy]?: () => void } | undefined)?.[releaseProxy];
  if (typeof free === 'function') free.call(callback);
}
