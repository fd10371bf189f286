/** What the page knows of the models on this device; {@link libraryReducer} is the only place that changes it. */
import type { LibraryProgress, ListedModel, StorageRoom, StoreFailure } from '../../src/workers/storage-api';

/** Work on one model in this tab. */
export interface Activity extends LibraryProgress {
  /** Bytes per second, smoothed; 0 until known. */
  readonly speed: number;
  readonly mark: { readonly bytes: number; readonly at: number };
}

export interface LibraryState {
  readonly status: 'loading' | 'ready' | 'failed';
  /** Why there is no library. */
  readonly failure: StoreFailure | undefined;
  readonly models: readonly ListedModel[];
  readonly activities: Readonly<Record<string, Activity>>;
  /** What last went wrong, by model. */
  readonly failures: Readonly<Record<string, StoreFailure>>;
  /** Something small to tell, by model. */
  readonly notes: Readonly<Record<string, string>>;
  readonly room: StorageRoom | undefined;
}

export const NO_LIBRARY: LibraryState = {
  status: 'loading',
  failure: undefined,
  models: [],
  activities: {},
  failures: {},
  notes: {},
  room: undefined,
};

export type LibraryAction =
  | { readonly type: 'listed'; readonly models: readonly ListedModel[]; readonly room: StorageRoom }
  | { readonly type: 'unavailable'; readonly failure: StoreFailure }
  | { readonly type: 'began'; readonly id: string; readonly phase: LibraryProgress['phase'] }
  /** `at` in milliseconds of `performance.now()`. */
  | { readonly type: 'progress'; readonly progress: LibraryProgress; readonly at: number }
  | { readonly type: 'ended'; readonly id: string; readonly failure?: StoreFailure; readonly note?: string };

export function libraryReducer(state: LibraryState, action: LibraryAction): LibraryState {
  switch (action.type) {
    case 'listed':
      return { ...state, status: 'ready', failure: undefined, models: action.models, room: action.room };
    case 'unavailable':
      return { ...state, status: 'failed', failure: action.failure };
    case 'began': {
      const { id, phase } = action;
      const model = state.models.find((each) => each.id === id);
      const bytes = phase === 'download' ? (model?.bytesHere ?? 0) : 0;
      const progress = { id, phase, bytes, total: model?.bytesInAll };
      return {
        ...state,
        failures: without(state.failures, id),
        notes: without(state.notes, id),
        activities: { ...state.activities, [id]: { ...progress, speed: 0, mark: { bytes, at: Number.NaN } } },
      };
    }
    case 'progress': {
      const { progress, at } = action;
      const before = state.activities[progress.id];
      return { ...state, activities: { ...state.activities, [progress.id]: measured(before, progress, at) } };
    }
    case 'ended': {
      const { id, failure, note } = action;
      return {
        ...state,
        activities: without(state.activities, id),
        failures: failure ? { ...state.failures, [id]: failure } : without(state.failures, id),
        notes: note ? { ...state.notes, [id]: note } : without(state.notes, id),
      };
    }
  }
}

/** How much of a new measurement goes into the smoothed speed. */
const SPEED_GAIN = 0.25;
const SPEED_INTERVAL_MS = 250;

function measured(before: Activity | undefined, progress: LibraryProgress, at: number): Activity {
  const mark = { bytes: progress.bytes, at };
  // The first bytes after a resume, and a start from nothing, are no speed.
  if (
    !before ||
    before.phase !== progress.phase ||
    Number.isNaN(before.mark.at) ||
    progress.bytes < before.mark.bytes
  ) {
    return { ...progress, speed: before?.speed ?? 0, mark };
  }
  const elapsed = at - before.mark.at;
  if (elapsed < SPEED_INTERVAL_MS) return { ...progress, speed: before.speed, mark: before.mark };
  const now = ((mark.bytes - before.mark.bytes) / elapsed) * 1000;
  const speed = before.speed === 0 ? now : before.speed + SPEED_GAIN * (now - before.speed);
  return { ...progress, speed, mark };
}

function without<T>(record: Readonly<Record<string, T>>, id: string): Readonly<Record<string, T>> {
  if (!(id in record)) return record;
  const { [id]: _, ...rest } = record;
  return rest;
}
