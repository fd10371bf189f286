/** Vision towers fetched by ranges, and LaVINs put together of what is kept, on the scripted engine. */
import AxeBuilder from '@axe-core/playwright';
import type { Locator, Page } from '@playwright/test';
import type { AdapterShape } from '../../src/formats/adapter-shape';
import { writeTorchCheckpoint } from '../../src/formats/torch-writer';
import { askedFor, clipCheckpoint, smallTower, unwanted } from '../clip-checkpoint';
import { ggufOf, randomLlama, SMALL } from '../engine/random-llama';
import { adapterFixture } from '../unit/formats/adapter-fixture';
import { test as base, expect } from './library-hub';

const REPO = 'openai/clip-vit-base-patch16';
const TOWER = 'CLIP ViT-B/16';
/** 2.4 MB of vision in 4 MB, at two places. */
const TENSORS = smallTower({ width: 128, layers: 3 });
for (const name of [...TENSORS.keys()].filter((each) => each.includes('layer_norm'))) {
  const { shape, data } = TENSORS.get(name)!;
  TENSORS.set(name, { format: 'F16', shape, data: new Uint8Array(data.byteLength / 2) });
}
const CHECKPOINT = clipCheckpoint(TENSORS, 300_000);
const SHAPE: AdapterShape = {
  hidden: 8,
  groups: 2,
  llama: { dim: SMALL.dim, layers: SMALL.layers, kind: 'attn' },
  vision: { width: 128, layers: 3, kind: 'router', projectorHidden: 5 },
};

const test = base.extend({
  hub: async ({ hub }, use) => {
    hub.add(REPO, 'model.safetensors', CHECKPOINT);
    await use(hub);
  },
});

const here = (page: Page): Locator => page.getByRole('region', { name: 'On this device' });
const towers = (page: Page): Locator => page.getByRole('region', { name: 'Vision towers' });
const form = (page: Page): Locator => page.getByRole('form', { name: 'Put a LaVIN together' });
const card = (page: Page, title = TOWER): Locator =>
  here(page)
    .getByRole('listitem')
    .filter({ has: page.getByRole('heading', { name: title, exact: true }) });
const button = (of: Page | Locator, name: string) => of.getByRole('button', { name, exact: true });

async function download(page: Page): Promise<void> {
  await button(towers(page), `Download… ${TOWER}`).click();
  await towers(page)
    .getByRole('button', { name: /^Download [\d.]+ MB of CLIP/ })
    .click();
}

async function keepLlama(page: Page): Promise<void> {
  const buffer = Buffer.from(ggufOf(randomLlama({ ...SMALL, format: 'Q8_0' })));
  await page.getByLabel('GGUF to add').setInputFiles({ name: 'llama-7b.gguf', mimeType: '', buffer });
  await page.getByRole('button', { name: 'Keep a copy' }).click();
  await expect(card(page, 'llama-7b')).toContainText('Copied from');
}

async function chooseAdapters(page: Page, shape = SHAPE): Promise<void> {
  const buffer = Buffer.from(writeTorchCheckpoint(adapterFixture(shape)));
  await form(page)
    .getByLabel(/^Adapters/)
    .setInputFiles({ name: 'checkpoint-19.pth', mimeType: '', buffer });
  await expect(form(page)).toContainText('For a LLaMA of');
}

test('a tower is fetched by ranges, paused, gone on with after a reload, kept, and deleted', async ({
  page,
  hub,
  openModels,
}) => {
  await openModels();
  await button(towers(page), `Download… ${TOWER}`).click();
  await expect(towers(page)).toContainText(
    `2.4 MB of 4.2 MB are fetched: the ${TENSORS.size} tensors of the vision tower`,
  );
  await expect(towers(page)).toContainText('Vision tower of 3 blocks, width 128 · pictures of 8 × 8 pixels');
  await expect(towers(page)).toContainText('which a part cannot be compared with');
  hub.faults.bytesPerSecond = 500_000;
  await towers(page).getByRole('button', { name: 'Download 2.4 MB of CLIP' }).click();
  await expect(card(page)).toContainText(/Loading [\d.]+ (k|M)B of 2\.4 MB[\d.]+ (k|M)B\/s · \d s left/);
  await button(card(page), `Pause ${TOWER}`).click();
  await expect(card(page)).toContainText('Paused at');
  await page.reload();
  hub.faults.bytesPerSecond = undefined;
  await button(card(page), `Resume ${TOWER}`).click();
  await expect(card(page)).toContainText('of this part; the hub lists that of the whole file alone');
  await expect(card(page).getByRole('button', { name: 'Open' })).toHaveCount(0);
  await expect(towers(page)).toContainText('On this device already.');

  const asked = askedFor(hub.requests);
  for (const [from, to] of await unwanted(CHECKPOINT)) {
    expect(asked.filter(([a, b]) => a < to && from < b)).toEqual([]);
  }
  await button(card(page), `Check ${TOWER}`).click();
  await expect(card(page)).toContainText('Every byte is what it was when it came.');
  await page.getByRole('button', { name: /^Model:/ }).click();
  await expect(page.locator('.menu')).not.toContainText(TOWER);
  await page.keyboard.press('Escape');

  await button(card(page), `Delete ${TOWER}`).click();
  await button(page.getByRole('dialog'), 'Delete').click();
  await expect(card(page)).toHaveCount(0);
  await expect(button(towers(page), `Download… ${TOWER}`)).toBeVisible();
});

test('a file that is no CLIP, one that changed, and a cancelled download', async ({ page, hub, openModels }) => {
  await openModels();
  hub.add(REPO, 'model.safetensors', clipCheckpoint(new Map()));
  await button(towers(page), `Download… ${TOWER}`).click();
  await expect(towers(page).getByRole('alert')).toContainText('patch_embedding.weight": there is no such tensor');
  hub.add(REPO, 'model.safetensors', CHECKPOINT);
  await button(towers(page), `Ask again ${TOWER}`).click();
  hub.faults.bytesPerSecond = 400_000;
  await towers(page)
    .getByRole('button', { name: /^Download 2\.4 MB/ })
    .click();
  await expect(card(page)).toContainText('left');
  await button(card(page), `Pause ${TOWER}`).click();
  hub.heal();
  hub.faults.etag = '"v2"';
  await button(card(page), `Resume ${TOWER}`).click();
  await expect(card(page).getByRole('alert')).toContainText('changed on the server in mid-download');
  hub.faults.bytesPerSecond = 400_000;
  await button(card(page), `Download again ${TOWER}`).click();
  await expect(card(page)).toContainText('left');
  await button(card(page), `Cancel ${TOWER}`).click();
  await expect(card(page)).toHaveCount(0);
});

test('a LaVIN is put together, opens, and holds on to its parts', async ({ page, openModels }) => {
  await openModels();
  await expect(form(page).getByLabel('Vision tower')).toContainText('None yet');
  await download(page);
  await keepLlama(page);
  await expect(card(page)).toContainText('of this part');
  await form(page).getByLabel('Language model').selectOption('llama-7b');
  await form(page).getByLabel('Vision tower').selectOption(TOWER);
  await chooseAdapters(page, { ...SHAPE, vision: { ...SHAPE.vision!, width: 64 } });
  await form(page)
    .getByLabel(/^Router temperature/)
    .fill('10');
  await expect(form(page).getByLabel('Name')).toHaveValue('checkpoint-19');
  await form(page).getByLabel('Name').fill('LaVIN 7B');
  await button(form(page), 'Put together').click();
  const alert = form(page).getByRole('alert');
  await expect(alert).toContainText('made for a vision tower of width 64; here it is 128.');
  await expect(alert).toContainText('Nothing was kept.');

  await chooseAdapters(page);
  await button(form(page), 'Put together').click();
  await expect(form(page)).toContainText('“LaVIN 7B” is put together');
  const lavin = card(page, 'LaVIN 7B');
  await expect(lavin).toContainText('Put together here from llama-7b, CLIP ViT-B/16 and checkpoint-19.pth');
  await expect(lavin).toContainText(/of its own on disk, [\d.]+ MB in the models that it uses/);
  await expect(card(page)).toContainText('Part of LaVIN 7B.');
  await button(lavin, 'Open LaVIN 7B').click();
  await expect(lavin.getByText('In use')).toBeVisible();

  await button(card(page), `Delete ${TOWER}`).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog).toContainText('LaVIN 7B would not open without it. Delete that first.');
  await expect(button(dialog, 'Delete')).toHaveCount(0);
  await button(dialog, 'Keep it').click();

  await page.reload();
  await button(lavin, 'Delete LaVIN 7B').click();
  await expect(dialog).toContainText('The models that it is made of stay.');
  await button(dialog, 'Delete').click();
  await expect(lavin).toHaveCount(0);
  await expect(card(page)).not.toContainText('Part of');
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`axe finds nothing serious, and nothing is wider than the page: ${colorScheme}`, async ({
    page,
    openModels,
  }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await openModels();
    await download(page);
    await keepLlama(page);
    await expect(card(page)).toContainText('of this part');
    await form(page).getByLabel('Language model').selectOption('llama-7b');
    await form(page).getByLabel('Vision tower').selectOption(TOWER);
    await chooseAdapters(page, { ...SHAPE, llama: { ...SHAPE.llama, layers: 32 } });
    await form(page)
      .getByLabel(/^Router temperature/)
      .fill('10');
    await button(form(page), 'Put together').click();
    await expect(form(page).getByRole('alert')).toBeVisible();
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      const { violations } = await new AxeBuilder({ page }).analyze();
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      expect(serious.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ target }) => target) }))).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
    }
  });
}
