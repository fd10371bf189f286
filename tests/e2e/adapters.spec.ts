/** Adapter sets in the Models place and in the chats that use them, on the scripted engine. */
import { readFile } from 'node:fs/promises';
import AxeBuilder from '@axe-core/playwright';
import type { Locator, Page } from '@playwright/test';
import { type AdapterDetails, openAdapterFile, writeAdapterFile } from '../../src/formats/adapter-file';
import type { AdapterShape } from '../../src/formats/adapter-shape';
import { MemorySource } from '../../src/formats/bytes';
import { writeTorchCheckpoint } from '../../src/formats/torch-writer';
import { adapterFixture } from '../unit/formats/adapter-fixture';
import { fakeBase, fakeRouting } from './fake-engine';
import { ask, dropFile, expect, lastAnswer, test } from './page';

const { base, adapterShape } = fakeBase(6, true);
const SHAPE = adapterShape as AdapterShape;
const CONFIG = {
  hidden: 8,
  groups: 2,
  scale: 1,
  temperature: 10,
  llama: 'attn',
  visual: 'router',
  clipRouting: 'per_sample',
} as const;

function setFile(name: string, details: Partial<AdapterDetails> = {}, shape: AdapterShape = SHAPE): Buffer {
  const whole = { name, config: CONFIG, base: { ...base, source: 'trained' }, ...details } as const;
  return Buffer.from(writeAdapterFile(adapterFixture(shape), whole));
}

const section = (page: Page): Locator => page.getByRole('region', { name: 'Adapter sets' });
const card = (page: Page, name: string): Locator =>
  section(page)
    .getByRole('listitem')
    .filter({ has: page.getByRole('heading', { name, exact: true }) });
const button = (of: Locator, name: string) => of.getByRole('button', { name, exact: true });
const toModels = (page: Page) => page.getByRole('link', { name: 'Models', exact: true }).click();
const toChat = (page: Page) => page.getByRole('link', { name: 'Chat', exact: true }).click();

async function importFile(page: Page, name: string, buffer: Buffer): Promise<void> {
  const mimeType = 'application/octet-stream';
  await section(page).getByLabel('Adapter file').setInputFiles({ name, mimeType, buffer });
}

/** The Models place with the model loaded. */
async function openModels(page: Page): Promise<void> {
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
  await toModels(page);
  await expect(section(page)).toBeVisible();
}

test('a set is imported, chosen for one chat, and answers there alone, also after a reload', async ({
  page,
  openPage,
}) => {
  await openPage();
  await openModels(page);
  await expect(card(page, 'The model’s own')).toContainText('In use in this chat');
  const details = { notes: 'Seven nights of drawings', metrics: { accuracy: 0.75 }, created: '2026-03-04T12:00:00Z' };
  await importFile(page, 'colours.safetensors', setFile('Colours', details));
  await expect(section(page).getByText('“Colours” was imported.')).toBeVisible();
  const colours = card(page, 'Colours');
  await expect(colours).toContainText('Base: Scripted LLaMA and scripted-tower');
  await expect(colours).toContainText('LLaMA of 6 layers, width 8 · ViT of 6 layers, width 8 · bottleneck 8');
  await expect(colours).toContainText(/parameters · [\d.]+ kB · added .*2026 · trained .*2026/);
  await expect(colours).toContainText('accuracy 0.75');
  await expect(colours).toContainText('Seven nights of drawings');

  await toChat(page);
  /** Of the first layer: text only, with a picture. */
  const weights = page.locator('.router-table tbody tr').first().locator('td.number.first');
  const routed = (shift: number) => {
    const { text, image } = fakeRouting(6, shift);
    return [text[0]![0].toFixed(2), image[0]![0].toFixed(2)];
  };
  await expect(weights).toHaveText(routed(0));
  await toModels(page);
  await button(colours, 'Use in this chat Colours').click();
  await expect(colours).toContainText('In use in this chat');
  await expect(button(card(page, 'The model’s own'), 'Use in this chat the model’s own')).toBeVisible();

  await toChat(page);
  await expect(weights).toHaveText(routed('Colours'.length));
  await ask(page, 'Hello');
  await expect(lastAnswer(page)).toContainText('without a picture, by Colours.');
  await expect(page.getByRole('article', { name: 'Scripted starter · Colours' })).toBeVisible();
  await expect(lastAnswer(page)).toContainText('tokens/s');

  await page.getByRole('button', { name: 'New chat' }).first().click();
  await expect(weights).toHaveText(routed(0));
  await ask(page, 'And now');
  await expect(lastAnswer(page)).toContainText('without a picture.');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  await page
    .getByRole('button', { name: 'Hello', exact: true })
    .or(page.getByRole('link', { name: 'Hello', exact: true }))
    .first()
    .click();
  await expect(lastAnswer(page)).toContainText('by Colours.');
  await expect(weights).toHaveText(routed('Colours'.length));

  await page.waitForTimeout(1500);
  await page.reload();
  await expect(page.getByText('Ready · Colours', { exact: true })).toBeVisible();
  await ask(page, 'Again');
  await expect(lastAnswer(page)).toContainText('You said Again in turn 3, without a picture, by Colours.');
});

test('a checkpoint of LaVIN, dropped anywhere: its base is asked for, recorded as stated, told as unverified', async ({
  page,
  openPage,
}) => {
  await openPage();
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
  const checkpoint = Buffer.from(writeTorchCheckpoint(adapterFixture(SHAPE), { epoch: 3 }));
  await dropFile(page, 'checkpoint-3.pth', '', checkpoint);
  const form = section(page).getByRole('form', { name: 'Import checkpoint-3.pth' });
  await expect(form).toContainText('does not say which model it was trained on');
  await button(form, 'Cancel importing').click();
  await expect(form).toBeHidden();
  await expect(card(page, 'checkpoint-3')).toHaveCount(0);

  await importFile(page, 'checkpoint-3.pth', checkpoint);
  await form.getByLabel('Name').fill('From the paper');
  await form.getByLabel(/^Router temperature/).fill('5');
  await form.getByLabel('Notes').fill('epoch 3');
  // Nothing is assumed: the base has to be chosen.
  await button(form, 'Import').click();
  await expect(form).toBeVisible();
  await form.getByLabel('Trained on').selectOption('Scripted starter, the loaded model');
  await button(form, 'Import').click();
  const kept = card(page, 'From the paper');
  await expect(kept).toContainText('Base: Scripted LLaMA and scripted-tower, as somebody stated; unverified');
  await expect(kept).toContainText('temperature 5');
  await expect(kept).toContainText('epoch 3');

  await importFile(page, 'other.pth', checkpoint);
  const other = section(page).getByRole('form', { name: 'Import other.pth' });
  await other.getByLabel('Trained on').selectOption('Another model, by its name');
  await other.getByLabel('Language model').fill('A llama of mine');
  await other.getByLabel('Vision tower').fill('My eyes');
  await button(other, 'Import').click();
  await expect(card(page, 'other')).toContainText('Base: A llama of mine and My eyes, as somebody stated; unverified');

  await importFile(page, 'third.pth', checkpoint);
  const third = section(page).getByRole('form', { name: 'Import third.pth' });
  await third.getByLabel('Trained on').selectOption('I do not know');
  await button(third, 'Import').click();
  await expect(card(page, 'third')).toContainText('Base: unknown, unverified');
});

test('what does not fit is greyed with the difference named, and fits again with its model', async ({
  page,
  openPage,
}) => {
  await openPage();
  await openModels(page);
  await importFile(page, 'a.safetensors', setFile('Wide', {}, { ...SHAPE, llama: { ...SHAPE.llama, dim: 16 } }));
  await expect(card(page, 'Wide')).toContainText(
    'Does not fit Scripted starter. The adapters are made for a LLaMA of width 16; here it is 8.',
  );
  const llama = { ...base.llama, name: 'Another LLaMA', fingerprint: 'sample-sha256:ffff' };
  await importFile(page, 'b.safetensors', setFile('Foreign', { base: { ...base, llama, source: 'trained' } }));
  await expect(card(page, 'Foreign')).toContainText('belong to the language model "Another LLaMA" (ffff)');
  await importFile(page, 'c.safetensors', setFile('Fitting'));
  await button(card(page, 'Fitting'), 'Use in this chat Fitting').click();
  for (const name of ['Wide', 'Foreign']) {
    await expect(card(page, name)).toHaveClass(/unfit/);
    await expect(card(page, name).getByRole('button', { name: /^Use/ })).toHaveCount(0);
  }

  // A model without a place for adapters: the chat goes on with what that model has, and says so.
  await page.getByRole('button', { name: /^Model:/ }).click();
  await page.getByLabel('GGUF file').setInputFiles({ name: 'bare.gguf', mimeType: '', buffer: Buffer.from('GGUF') });
  await expect(card(page, 'Fitting')).toContainText('Does not fit bare.gguf. The adapters are made for pictures');
  await toChat(page);
  await expect(page.getByText('“Fitting” is not in use; the model’s own adapters are.')).toBeVisible();
  await ask(page, 'Hello');
  await expect(lastAnswer(page)).toContainText('without a picture.');
  await expect(page.getByRole('article', { name: 'bare.gguf', exact: true })).toBeVisible();
  await page.getByRole('button', { name: /^Model:/ }).click();
  await page.getByRole('button', { name: /Scripted starter/ }).click();
  await expect(page.getByRole('button', { name: 'Model: Scripted starter , ready' })).toBeVisible();
  await ask(page, 'Back');
  await expect(lastAnswer(page)).toContainText('by Fitting.');
});

test('notes and name are edited, and go out with the file; a deleted set is missed by nobody', async ({
  page,
  openPage,
}) => {
  await openPage();
  await openModels(page);
  await importFile(page, 'colours.safetensors', setFile('Colours'));
  await button(card(page, 'Colours'), 'Use in this chat Colours').click();
  await button(card(page, 'Colours'), 'Edit Colours').click();
  await expect(card(page, 'Colours').getByLabel('Name')).toBeFocused();
  await card(page, 'Colours').getByLabel('Name').fill('Colours, second try');
  await card(page, 'Colours').getByLabel('Notes').fill('Line one\nline two');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  const renamed = card(page, 'Colours, second try');
  await expect(renamed).toContainText('line two');
  await expect(renamed).toContainText('In use in this chat');
  await page.reload();
  await expect(renamed).toContainText('line two');

  for (const [name, ending] of [
    ['Export', 'safetensors'],
    ['As .pth', 'pth'],
  ] as const) {
    const saved = page.waitForEvent('download');
    await button(renamed, `${name} Colours, second try`).click();
    const download = await saved;
    expect(download.suggestedFilename()).toBe(`Colours-second-try.${ending}`);
    const { details, tensors } = await openAdapterFile(
      new MemorySource(new Uint8Array(await readFile((await download.path())!))),
    );
    expect(details).toMatchObject({ name: 'Colours, second try', notes: 'Line one\nline two', config: CONFIG });
    const first = adapterFixture(SHAPE).get('layers.0.adapter_attn.conv_A.weight')!.data as Float32Array;
    const bytes = await tensors.read('layers.0.adapter_attn.conv_A.weight');
    expect([...new Float32Array(bytes.buffer)]).toEqual([...first]);
  }

  await button(renamed, 'Delete Colours, second try').click();
  await button(page.getByRole('dialog'), 'Keep it').click();
  await expect(renamed).toBeVisible();
  await button(renamed, 'Delete Colours, second try').click();
  await button(page.getByRole('dialog'), 'Delete').click();
  await expect(renamed).toHaveCount(0);
  await expect(card(page, 'The model’s own')).toContainText('In use in this chat');
  await toChat(page);
  await ask(page, 'Hello');
  await expect(lastAnswer(page)).toContainText('without a picture.');
});

test('bad files are refused in the reader’s words', async ({ page, openPage }) => {
  await openPage();
  await openModels(page);
  const alert = section(page).getByRole('alert');
  await importFile(page, 'words.pth', Buffer.from('just words'));
  await expect(alert).toContainText('words.pth');
  await expect(alert).toContainText('Nothing was imported.');
  await importFile(page, 'cut.safetensors', setFile('Cut').subarray(0, 4000));
  await expect(alert).toContainText('cut.safetensors');
  await importFile(page, 'model.safetensors', Buffer.from(`GGUF${'\0'.repeat(60)}`));
  await expect(alert).toContainText('model.safetensors');
  await importFile(page, 'good.safetensors', setFile('Good'));
  await expect(alert).toBeHidden();
  await expect(card(page, 'Good')).toBeVisible();
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`axe finds nothing serious, and nothing is wider than the page: ${colorScheme}`, async ({ page, openPage }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await openPage();
    await openModels(page);
    await importFile(page, 'a.safetensors', setFile('Colours', { notes: 'A note', metrics: { accuracy: 0.7512345 } }));
    await importFile(
      page,
      'b.safetensors',
      setFile('W'.repeat(90), {}, { ...SHAPE, llama: { ...SHAPE.llama, dim: 16 } }),
    );
    await expect(card(page, 'W'.repeat(90))).toContainText('Does not fit');
    await importFile(page, 'bad.pth', Buffer.from('bad'));
    await expect(section(page).getByRole('alert')).toBeVisible();
    const checkpoint = Buffer.from(writeTorchCheckpoint(adapterFixture(SHAPE)));
    const analyse = async () => {
      const { violations } = await new AxeBuilder({ page }).analyze();
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      expect(serious.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ target }) => target) }))).toEqual([]);
    };
    await analyse();
    await importFile(page, 'checkpoint.pth', checkpoint);
    await section(page).getByLabel('Trained on').selectOption('Another model, by its name');
    await button(card(page, 'Colours'), 'Edit Colours').click();
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      await analyse();
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
    }
  });
}
