/** A hundred words a second for a minute: the page stays quick, still and slim. */
import type { Browser, Page } from '@playwright/test';
import { ask, expect, lastAnswer, test } from './page';

const SECONDS = Number(process.env.LAVIN_SMOOTH_SECONDS ?? 60);
const TOKEN_MS = 10;
const LONGEST_TASK_MS = 50;
/** What the collector leaves lying, in bytes. */
const HEAP_SLACK = 3e6;
/** The text, its tokens' ids and the document that shows them are kept. */
const HEAP_PER_TOKEN = 1000;

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds that the thread itself ran. */
  readonly tdur?: number;
  readonly args: { readonly name?: string };
}

/**
 * The longest task of the page's main thread while `work` runs, in milliseconds of the thread's own time: on a machine
 * that runs other things, too, the clock also counts what others take.
 */
async function longestTask(browser: Browser, page: Page, work: () => Promise<void>): Promise<number> {
  await browser.startTracing(page, { categories: ['toplevel', '__metadata'] });
  await work();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
  const busiest = new Map<string, { count: number; longest: number }>();
  const mains = new Set(
    traceEvents
      .filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
      .map(({ pid, tid }) => `${pid} ${tid}`),
  );
  for (const { name, ph, pid, tid, tdur = 0 } of traceEvents) {
    const thread = `${pid} ${tid}`;
    if (ph !== 'X' || !name.endsWith('RunTask') || !mains.has(thread)) continue;
    const { count, longest } = busiest.get(thread) ?? { count: 0, longest: 0 };
    busiest.set(thread, { count: count + 1, longest: Math.max(longest, tdur / 1000) });
  }
  // A hundred tokens a second are thousands of tasks; another renderer that stands by has few.
  const [busy] = [...busiest.values()].sort((a, b) => b.count - a.count);
  expect(busy?.count).toBeGreaterThan(SECONDS * 50);
  return busy!.longest;
}

test(`${SECONDS} s of a streamed answer: no long task, no layout shift, a flat heap`, async ({
  page,
  openPage,
  browser,
}, testInfo) => {
  test.setTimeout(SECONDS * 1000 + 120_000);
  await page.addInitScript(() => {
    const seen = { tasks: [] as number[], shift: 0 };
    Object.assign(window, { seen });
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) seen.tasks.push(duration);
    }).observe({ type: 'longtask' });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[]) {
        if (!entry.hadRecentInput) seen.shift += entry.value;
      }
    }).observe({ type: 'layout-shift' });
  });
  const reset = () =>
    page.evaluate(() => {
      const { seen } = window as unknown as { seen: { tasks: number[]; shift: number } };
      const were = { ...seen };
      Object.assign(seen, { tasks: [], shift: 0 });
      return were;
    });
  const devtools = await page.context().newCDPSession(page);
  const heapBytes = async () => {
    await devtools.send('HeapProfiler.collectGarbage');
    return (await devtools.send('Runtime.getHeapUsage')).usedSize;
  };

  await openPage({ tokenMs: TOKEN_MS });
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
  await ask(page, 'speak steadily');
  await expect(lastAnswer(page)).toContainText('A heading');
  // Starting up is not streaming, and a collector that is told to collect does so in one long task.
  await page.waitForTimeout(2000);
  const before = await heapBytes();
  await page.waitForTimeout(1000);
  await reset();
  const longest = await longestTask(browser, page, () => page.waitForTimeout(SECONDS * 1000));
  const { tasks, shift } = await reset();
  const after = await heapBytes();

  const status = (await page.locator('.dock .status').textContent()) ?? '';
  const tokens = Number(/· (\d+) tokens/.exec(status)?.[1]);
  testInfo.annotations.push({
    type: 'smoothness',
    description: `${tokens} tokens; longest task ${longest.toFixed(1)} ms of the thread's own time; over ${LONGEST_TASK_MS} ms by the clock: ${tasks.length}; heap ${((after - before) / 1e6).toFixed(2)} MB more`,
  });
  expect(tokens).toBeGreaterThan((SECONDS * 1000 * 0.9) / TOKEN_MS);
  expect(longest).toBeLessThan(LONGEST_TASK_MS);
  expect(shift).toBe(0);
  expect(after - before).toBeLessThan(HEAP_SLACK + tokens * HEAP_PER_TOKEN);
  await page.keyboard.press('Escape');
  await expect(lastAnswer(page)).toContainText('Stopped.');
});
