import { expect, it } from 'vitest';
import { type LibraryAction, libraryReducer, NO_LIBRARY } from '../../../app/library/state';
import type { LibraryProgress } from '../../../src/workers/storage-api';

const after = (...actions: LibraryAction[]) => actions.reduce(libraryReducer, NO_LIBRARY);
const progress = (bytes: number, at: number, phase: LibraryProgress['phase'] = 'download'): LibraryAction => ({
  type: 'progress',
  progress: { id: 'm', phase, bytes, total: 10_000 },
  at,
});
const began: LibraryAction = { type: 'began', id: 'm', phase: 'download' };

it('speed is bytes per second, and what was there before a resume is no speed', () => {
  expect(after(began, progress(8000, 0)).activities.m?.speed).toBe(0);
  expect(after(began, progress(8000, 0), progress(8500, 500)).activities.m?.speed).toBe(1000);
});

it('speed is smoothed, and not taken from moments', () => {
  const steady = after(began, progress(0, 0), progress(1000, 1000), progress(1001, 1001));
  expect(steady.activities.m?.speed).toBe(1000);
  expect(libraryReducer(steady, progress(3000, 2000)).activities.m?.speed).toBe(1250);
});

it('a start from nothing or another phase is no negative speed', () => {
  const back = after(began, progress(5000, 0), progress(6000, 1000), progress(0, 2000));
  expect(back.activities.m).toMatchObject({ bytes: 0, speed: 1000 });
  expect(after(began, progress(5000, 0), progress(0, 1000, 'verify')).activities.m?.bytes).toBe(0);
});

it('work that ends leaves its failure, which the next try clears', () => {
  const failure = { code: 'server', message: 'Busy.' } as const;
  const failed = after(began, { type: 'ended', id: 'm', failure });
  expect(failed.activities).toEqual({});
  expect(failed.failures).toEqual({ m: failure });
  expect(libraryReducer(failed, began).failures).toEqual({});
});
