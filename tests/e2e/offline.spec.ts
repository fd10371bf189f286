import { stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Page } from '@playwright/test';
import { ask, test as base, expect, lastAnswer } from './page';
import { SiteProxy } from './site-proxy';

const test = base.extend<{ site: SiteProxy; scripted: SiteProxy }>({
  site: async ({ baseURL }, use) => {
    const site = new SiteProxy(baseURL as string);
    await site.start();
    await use(site);
    await site.stop();
  },
  /** With the scripted engine as the worker's script; the service worker keeps that one. */
  scripted: async ({ site, fakeWorker }, use) => {
    site.substitutes.push([/gpu\.worker[^/]*$/, () => fakeWorker]);
    await use(site);
  },
});
test.use({ serviceWorkers: 'allow' });

const KEPT = 'This page, and the models you used, open without a connection.';

/** Files of the models' cache, without the address in front. */
const keptModels = (page: Page): Promise<string[]> =>
  page.evaluate(async () => {
    const requests = await (await caches.open('lavin-models')).keys();
    return requests.map(({ url }) => url.slice(document.baseURI.replace(/#.*/, '').length)).sort();
  });

const LLAMA = fileURLToPath(new URL('../../public/models/starter/llama.gguf', import.meta.url));
const STARTER = [
  'models/starter/adapters.safetensors',
  'models/starter/apple.png',
  'models/starter/llama.gguf',
  'models/starter/manifest.json',
  'models/starter/vision.safetensors',
];

test('after one visit the page opens without a server, in every place, and answers', async ({
  page,
  context,
  scripted,
}) => {
  await page.goto(scripted.url);
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
  await page.goto(`${scripted.url}#/models`);
  await expect(page.getByText(KEPT)).toBeVisible();

  await scripted.stop();
  await context.setOffline(true);
  await page.goto(`${scripted.url}#/chat`);
  await page.reload();
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
  await ask(page, 'Anybody there');
  await expect(lastAnswer(page)).toContainText('You said Anybody there');
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  for (const place of ['Router', 'Models']) {
    await page.getByRole('link', { name: place, exact: true }).click();
    await expect(page.getByRole('main', { name: place })).toBeVisible();
  }
  await expect(page.getByRole('main', { name: 'Models' }).getByText('In use', { exact: true })).toBeVisible();
  await page.goto(`${scripted.url}index.html`);
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
});

test('the starter, used once, is read from this device by the real engine', async ({ page, context, site }) => {
  test.setTimeout(400_000);
  await page.goto(site.url);
  await expect(page.getByText('Ready', { exact: true })).toBeVisible({ timeout: 180_000 });
  await expect.poll(() => keptModels(page)).toEqual(expect.arrayContaining(STARTER));
  await site.stop();
  await context.setOffline(true);
  await page.reload();
  const part = await page.evaluate(async () => {
    const response = await fetch('models/starter/llama.gguf', { headers: { Range: 'bytes=1-3' } });
    return { status: response.status, range: response.headers.get('content-range'), text: await response.text() };
  });
  expect(part).toEqual({ status: 206, range: `bytes 1-3/${(await stat(LLAMA)).size}`, text: 'GUF' });
  await expect(page.getByText('Ready', { exact: true })).toBeVisible({ timeout: 180_000 });
  await ask(page, 'What is the opposite of hot?');
  await expect(lastAnswer(page)).toContainText('The opposite of hot is cold.', { timeout: 120_000 });
});

test('a newer build waits, comes when asked for, and breaks no page that is open', async ({
  page,
  context,
  scripted,
}) => {
  await page.goto(`${scripted.url}#/models`);
  await expect(page.getByText(KEPT)).toBeVisible();
  const old = await context.newPage();
  await old.goto(scripted.url);
  await expect(old.getByText('Ready', { exact: true })).toBeVisible();

  // The site is replaced: another title, another hash, and the old build's files are gone.
  scripted.substitutes.push([/\/$|index\.html$/, (html) => html.replace('<title>', '<title>Newer ')]);
  scripted.substitutes.push([/sw\.js$/, (code) => code.replace(/(?<=\})[0-9a-f]{16}(?=`)/, '0123456789abcdef')]);
  await page.reload();
  await expect(page).toHaveTitle('LaVIN in your browser');
  await page.getByRole('button', { name: 'Reload with it now' }).click();
  await expect(page).toHaveTitle('Newer LaVIN in your browser');
  await expect(page.getByText(KEPT)).toBeVisible();

  await scripted.stop();
  await context.setOffline(true);
  await old.getByRole('link', { name: 'Router', exact: true }).click();
  await expect(old.getByRole('main', { name: 'Router' }).getByRole('heading').first()).toBeVisible();
  await expect(old).toHaveTitle('LaVIN in your browser');
  await page.reload();
  await expect(page).toHaveTitle('Newer LaVIN in your browser');
});
