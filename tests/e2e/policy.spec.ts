/** What the built site may and may not do, and how large it is. */
import { gzipSync } from 'node:zlib';
import type { Page } from '@playwright/test';
import { ask, dropFile, expect, lastAnswer, picture, test } from './page';

const policyOf = (page: Page) =>
  page.locator('meta[http-equiv="Content-Security-Policy"]').getAttribute('content', { timeout: 10_000 });

/** Everything that the policy refused from the page's first script on. */
async function watchRefusals(page: Page): Promise<() => Promise<string[]>> {
  await page.addInitScript(() => {
    const refused: string[] = [];
    Object.assign(window, { refused });
    document.addEventListener('securitypolicyviolation', (event) => {
      refused.push(`${event.effectiveDirective} ${event.blockedURI}`);
    });
  });
  return () => page.evaluate(() => (window as unknown as { refused: string[] }).refused);
}

test('the policy allows no inline script, and the page needs nothing that it refuses', async ({ page, openPage }) => {
  const refused = await watchRefusals(page);
  await openPage();
  const policy = await policyOf(page);
  expect(policy).toMatch(/script-src 'self' 'wasm-unsafe-eval';/);
  expect(policy).not.toContain("'unsafe-inline'");
  expect(policy).not.toContain("'unsafe-eval'");
  await dropFile(page, 'blue.png', 'image/png', await picture('blue-disc'));
  await ask(page, 'What is it?');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  await page.getByRole('button', { name: 'Settings of this chat' }).click();
  await page.keyboard.press('Escape');
  for (const place of ['Router', 'Models']) {
    await page.getByRole('link', { name: place, exact: true }).click();
    await expect(page.getByRole('main', { name: place })).toBeVisible();
  }
  expect(await refused()).toEqual([]);
});

test('an inline script, an inline handler, eval and a remote picture are refused', async ({ page, openPage }) => {
  const refused = await watchRefusals(page);
  await openPage();
  await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.hacked = true';
    document.body.append(script);
    const button = document.createElement('button');
    button.setAttribute('onclick', 'window.hacked = true');
    document.body.append(button);
    button.click();
    const image = new Image();
    image.src = 'https://tracker.example/pixel.png';
    document.body.append(image);
  });
  await expect.poll(refused).toContain('img-src https://tracker.example/pixel.png');
  const all = await refused();
  expect(all).toContain('script-src-elem inline');
  expect(all).toContain('script-src-attr inline');
  expect(await page.evaluate(() => (window as { hacked?: boolean }).hacked)).toBeUndefined();
});

test('the main bundle is at most 250 kB gzipped, before the workers', async ({ request, baseURL }) => {
  const fetched = new Map<string, Buffer>();
  const read = async (url: string): Promise<void> => {
    if (fetched.has(url)) return;
    const body = await (await request.get(url)).body();
    fetched.set(url, body);
    // Static imports only: what is imported when it is wanted is not in the way of the first view.
    for (const [, path] of body
      .toString()
      .matchAll(/(?:^|[;}\s])(?:import|export)[^'"()]*?from\s*["'](\.[^"']+)["']/g)) {
      await read(new URL(path!, url).href);
    }
  };
  const html = await (await request.get('./')).text();
  const scripts = [...html.matchAll(/<(?:script[^>]*src|link[^>]*modulepreload[^>]*href)="([^"]+)"/g)];
  expect(scripts.length).toBeGreaterThan(0);
  for (const [, path] of scripts) await read(new URL(path!, baseURL).href);
  const bytes = [...fetched.values()].reduce((sum, body) => sum + gzipSync(body).length, 0);
  expect(bytes).toBeGreaterThan(50_000);
  expect(bytes).toBeLessThanOrEqual(250_000);
});
