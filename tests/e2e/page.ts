/** Helpers for tests of the page: the scripted engine, pictures, and what the page is asked again and again. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { test as base, expect, type Locator, type Page } from '@playwright/test';
import { build, type Rolldown } from 'vite';
import type { HubServer } from '../hub-server';
import type { FakeOptions } from './fake-engine';

export { expect };

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

async function bundleFakeWorker(): Promise<string> {
  const result = (await build({
    configFile: false,
    logLevel: 'error',
    build: { write: false, minify: false, rolldownOptions: { input: here('./fake.worker.ts') } },
  })) as Rolldown.RolldownOutput;
  const [chunk] = result.output;
  return chunk.code;
}

interface Fixtures {
  /**
   * Opens the page with the scripted engine in the worker's place. The page itself is unchanged: only the answer to the
   * request for the worker's script is another one, so it works on the built site as on the development server.
   */
  openPage(options?: FakeOptions): Promise<void>;
}

interface WorkerFixtures {
  fakeWorker: string;
}

export const test = base.extend<Fixtures, WorkerFixtures>({
  fakeWorker: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the fixtures wanted from this pattern
    async ({}, use) => use(await bundleFakeWorker()),
    { scope: 'worker' },
  ],
  openPage: async ({ page, context, fakeWorker }, use) => {
    await use(async (options = {}) => {
      // For every tab of it.
      await context.route(/gpu\.worker[^/]*$/, (route) =>
        route.fulfill({
          contentType: 'text/javascript',
          headers: {
            'Cross-Origin-Embedder-Policy': 'require-corp',
            'Cross-Origin-Resource-Policy': 'same-origin',
          },
          body: `globalThis.fakeOptions = ${JSON.stringify(options)};\n${fakeWorker}`,
        }),
      );
      await context.route(/models\/index\.json$/, (route) =>
        route.fulfill({
          json: [
            { name: 'starter', title: 'Scripted starter', summary: 'For tests.', bytes: 9_360_000 },
            { name: 'other', title: 'Another model', summary: 'Also for tests.', bytes: 105_000_000 },
          ],
        }),
      );
      await page.goto('./');
    });
  },
});

export const messageBox = (page: Page): Locator => page.getByRole('textbox', { name: 'Message' });

/** The newest answer's element. */
export const lastAnswer = (page: Page): Locator => page.locator('.answer').last();

/** Sends as soon as the page takes it: while a chat opens, Enter does nothing and the words stay in the box. */
export async function ask(page: Page, text: string): Promise<void> {
  await messageBox(page).fill(text);
  await expect(page.getByRole('button', { name: 'Send', exact: true })).toBeEnabled();
  await messageBox(page).press('Enter');
}

/** A file of the prototype, the small model whose numbers are recorded in tests. */
export const prototypeFile = (name: string): Promise<Buffer> => readFile(here(`../models/prototype/${name}`));

/** A picture of the prototype's, as bytes. */
export function picture(name: 'blue-disc' | 'red-disc' | 'green-disc'): Promise<Buffer> {
  return prototypeFile(`${name}.png`);
}

/** Adds the prototype to the page's models from a hub, where nothing else loads by itself; its row can be opened then. */
export async function addPrototype(page: Page, hub: HubServer): Promise<void> {
  const files = ['manifest.json', 'llama.gguf', 'vision.safetensors', 'adapters.safetensors'];
  for (const file of [...files, 'blue-disc.png', 'red-disc.png', 'green-disc.png'])
    hub.add('o/prototype', file, await prototypeFile(file));
  await page.route(/models\/index\.json$/, (route) => route.fulfill({ json: [] }));
  await page.goto('./#/models');
  await page.getByLabel('Address or repository').fill(`${hub.url}/o/prototype/resolve/main/manifest.json`);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await expect(page.getByRole('button', { name: /^Open Starter/ })).toBeVisible();
}

/** Drops a file on the page as a person does with the pointer. */
export async function dropFile(page: Page, name: string, type: string, bytes: Buffer): Promise<void> {
  const transfer = await page.evaluateHandle(
    ({ base64, name, type }) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], name, { type }));
      return data;
    },
    { base64: bytes.toString('base64'), name, type },
  );
  await page.dispatchEvent('body', 'dragover', { dataTransfer: transfer });
  await page.dispatchEvent('body', 'drop', { dataTransfer: transfer });
}

/** Whether a routers' row is marked as the one in use. */
export const modality = (page: Page, which: 'text' | 'image'): Locator =>
  page.locator(`.router-table [data-modality="${which}"]`);
