import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Saver } from '../../../app/conversations/saver';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

it('saves at once, then at most once a second, always the newest', async () => {
  const saved: number[] = [];
  const saver = new Saver<number>(
    async (value) => void saved.push(value),
    () => {},
  );
  saver.note(1);
  await vi.advanceTimersByTimeAsync(0);
  expect(saved).toEqual([1]);
  for (let value = 2; value <= 40; value++) {
    saver.note(value);
    await vi.advanceTimersByTimeAsync(100);
  }
  // 3.9 seconds in tenths.
  expect(saved).toHaveLength(4);
  await vi.advanceTimersByTimeAsync(1000);
  expect(saved.at(-1)).toBe(40);
});

it('a flush waits for all that was noted; a slow disk gathers no saves', async () => {
  let running = 0;
  let most = 0;
  const saved: number[] = [];
  const saver = new Saver<number>(
    async (value) => {
      running++;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 3500));
      running--;
      saved.push(value);
    },
    () => {},
  );
  for (let value = 1; value <= 60; value++) {
    saver.note(value);
    await vi.advanceTimersByTimeAsync(100);
  }
  expect(most).toBe(1);
  expect(saved).toEqual([1]);
  const flushed = saver.flush();
  await vi.advanceTimersByTimeAsync(10_000);
  await flushed;
  expect(saved.at(-1)).toBe(60);
});

it('a page that is left hands over the newest at once, behind the save that still runs', async () => {
  const begun: string[] = [];
  const saver = new Saver<string>(
    (value) => {
      begun.push(value);
      return new Promise(() => {});
    },
    () => {},
  );
  saver.note('first');
  saver.note('last');
  void saver.flush();
  expect(begun).toEqual(['first', 'last']);
});

it('tells a failure and saves again what comes next; what is dropped is not saved', async () => {
  const failed = vi.fn();
  const saved: string[] = [];
  const saver = new Saver<string>(async (value) => {
    if (value === 'bad') throw new Error('full');
    saved.push(value);
  }, failed);
  saver.note('bad');
  await vi.advanceTimersByTimeAsync(0);
  expect(failed).toHaveBeenCalledOnce();
  saver.note('gone');
  await saver.drop();
  await vi.advanceTimersByTimeAsync(5000);
  saver.note('good');
  await vi.advanceTimersByTimeAsync(0);
  expect(saved).toEqual(['good']);
});
