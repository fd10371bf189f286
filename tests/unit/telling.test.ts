import { releaseProxy } from 'comlink';
import { expect, it } from 'vitest';
import { tellingWith } from '../../src/workers/telling';

const telling = tellingWith((error) => ({ told: String(error) }));
const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A page that hears in order, but is slow to: a promise for each report, as comlink's callbacks return. */
function slowPage() {
  const heard: number[] = [];
  let turn: Promise<unknown> = Promise.resolve();
  return {
    heard,
    hear(report: number) {
      turn = turn.then(() => later(10)).then(() => heard.push(report));
      return turn;
    },
  };
}

it('a verb ends when its reports were heard', async () => {
  const { heard, hear } = slowPage();
  const work = (tell: (report: number) => void) => {
    for (const report of [1, 2, 3]) tell(report);
    return 'done';
  };
  expect(await telling(work, hear)).toBe('done');
  expect(heard).toEqual([1, 2, 3]);
});

it('fails with a plain object when its reports were heard', async () => {
  const { heard, hear } = slowPage();
  const work = (tell: (report: number) => void) => {
    tell(1);
    tell(2);
    throw new Error('lost');
  };
  await expect(telling(work, hear)).rejects.toEqual({ told: 'Error: lost' });
  expect(heard).toEqual([1, 2]);
});

it('ends as it would where the page fails at a report', async () => {
  const fails = () => Promise.reject(new Error('the page'));
  const work = (tell: (report: number) => void) => {
    tell(1);
    return 'done';
  };
  expect(await telling(work, fails)).toBe('done');
});

it('frees the callback’s port after the last report was heard', async () => {
  const { heard, hear } = slowPage();
  let heardThen: number[] | undefined;
  const callback = Object.assign((report: number) => hear(report), {
    [releaseProxy]: () => {
      heardThen = [...heard];
    },
  });
  await telling((tell) => tell(1), callback);
  expect(heardThen).toEqual([1]);
});
