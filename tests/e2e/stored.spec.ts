/** The real engine on models that lie on this device. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { HubServer } from '../hub-server';
import { ask, expect, lastAnswer, test } from './page';

// A software GPU compiles and runs slowly.
test.describe.configure({ timeout: 300_000 });

const READY = { timeout: 180_000 };
const starter = (file: string) =>
  readFile(fileURLToPath(new URL(`../../public/models/starter/${file}`, import.meta.url)));

test('a GGUF of the hub is downloaded, opened from disk, and again in a visit without the hub', async ({ page }) => {
  const hub = new HubServer();
  hub.add('o/starter', 'llama.gguf', await starter('llama.gguf'));
  await hub.start();
  await page.route(/models\/index\.json$/, (route) => route.fulfill({ json: [] }));
  await page.goto('./#/models');
  await page.getByLabel('Address or repository').fill(`${hub.url}/o/starter/resolve/main/llama.gguf`);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('button', { name: 'Open llama.gguf' }).click(READY);
  await expect(page.getByRole('button', { name: 'Model: llama.gguf , ready' })).toBeVisible(READY);
  await hub.stop();
  await page.reload();
  await page.getByRole('button', { name: 'Open llama.gguf' }).click();
  await expect(page.getByRole('button', { name: 'Model: llama.gguf , ready' })).toBeVisible(READY);
  await page.getByRole('link', { name: 'Chat', exact: true }).click();
  await ask(page, 'Hello');
  await expect(lastAnswer(page)).toContainText('tokens/s', { timeout: 120_000 });
});

test('a manifest by its address is kept with all that it names, and sees', async ({ page, baseURL }) => {
  await page.route(/models\/index\.json$/, (route) => route.fulfill({ json: [] }));
  await page.goto('./#/models');
  await page.getByLabel('Address or repository').fill(`${baseURL}models/starter/manifest.json`);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  const open = page.getByRole('button', { name: /^Open Starter/ });
  await expect(open).toBeVisible();
  await page.route(/models\/starter\//, (route) => route.abort());
  await open.click();
  await expect(page.getByRole('button', { name: /^Model: Starter.*, ready$/ })).toBeVisible(READY);
  await page.getByRole('link', { name: 'Chat', exact: true }).click();
  // Its example's picture came along inside the manifest.
  await page.getByRole('button', { name: 'What is this?' }).first().click();
  await expect(lastAnswer(page)).toContainText('This is a strawberry.', { timeout: 120_000 });
});
