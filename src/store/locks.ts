import { ELSEWHERE_WORDS, StoreError } from './error';

/** One holder of a name at a time, over all tabs. */
export interface Locks {
  /** @throws StoreError `elsewhere` at once when somebody holds it */
  hold<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Names that somebody holds. */
  held(): Promise<ReadonlySet<string>>;
}

const PREFIX = 'lavin-model:';

/** Web Locks: freed by the browser when a tab dies. */
export const webLocks: Locks = {
  hold: (name, work) =>
    navigator.locks.request(`${PREFIX}${name}`, { ifAvailable: true }, (lock) => {
      if (!lock) throw new StoreError('elsewhere', ELSEWHERE_WORDS);
      return work();
    }) as Promise<Awaited<ReturnType<typeof work>>>,
  held: async () => {
    const { held = [] } = await navigator.locks.query();
    return new Set(held.flatMap(({ name = '' }) => (name.startsWith(PREFIX) ? [name.slice(PREFIX.length)] : [])));
  },
};
