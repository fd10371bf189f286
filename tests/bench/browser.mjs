/** The bench page in headless Chromium: one fresh page per section, so that a crash costs one section. */
import { chromium } from '@playwright/test';
import { findChromium } from '../setup/machine.mjs';

const POLL_MS = 20;

/**
 * @param {import('./driver.mjs').Driver} driver
 * @param {string} url of the page
 * @param {{ row: (row: any) => void, fact: (fact: any) => void, say: (line: string) => void }} report
 */
export async function openBrowser(driver, url, report) {
  const browser = await chromium.launch({
    executablePath: findChromium(),
    args: driver.args,
    env: /** @type {Record<string, string>} */ ({ ...process.env, ...driver.env }),
    // Whoever interrupts the bench gets its own clean-up.
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
  });
  return {
    version: browser.version(),
    close: () => browser.close(),
    /**
     * Measures one section; rejects when the page throws or crashes.
     * @param {object} options BenchOptions of page/host.ts
     */
    async measure(options) {
      const page = await browser.newPage();
      try {
        page.on('pageerror', (error) => report.say(`page: ${error.message}`));
        const crashed = new Promise((_, reject) => {
          page.on('crash', () => reject(new Error('the page crashed')));
        });
        crashed.catch(() => {});
        const heap = heapPoller(await page.context().newCDPSession(page));
        await page.exposeFunction('benchRow', report.row);
        await page.exposeFunction('benchFact', report.fact);
        await page.exposeFunction('benchSay', report.say);
        await page.exposeFunction('benchHeapStart', heap.start);
        await page.exposeFunction('benchHeapStop', heap.stop);
        await page.goto(url);
        const work = page.evaluate((o) => /** @type {any} */ (globalThis).bench(o), options);
        await Promise.race([work, crashed]);
      } finally {
        await page.close();
      }
    },
  };
}

/**
 * Heap in use and bytes of ArrayBuffers, as V8 counts them, asked from outside between the page's tasks.
 * @param {import('@playwright/test').CDPSession} session
 */
function heapPoller(session) {
  let before = { total: 0, buffers: 0 };
  let peak = before;
  let polling = false;
  /** @type {Promise<void>} */
  let loop = Promise.resolve();
  const read = async () => {
    const { usedSize, backingStorageSize: buffers = 0 } =
      /** @type {{ usedSize: number, backingStorageSize?: number }} */ (await session.send('Runtime.getHeapUsage'));
    return { total: usedSize + buffers, buffers };
  };
  return {
    async start() {
      await session.send('HeapProfiler.collectGarbage');
      before = await read();
      peak = before;
      polling = true;
      loop = (async () => {
        while (polling) {
          const now = await read();
          if (now.total > peak.total) peak = now;
          await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        }
      })();
      loop.catch(() => {});
    },
    async stop() {
      polling = false;
      await loop;
      return {
        before: before.total,
        peak: peak.total,
        buffersBefore: before.buffers,
        buffersAtPeak: peak.buffers,
      };
    },
  };
}
