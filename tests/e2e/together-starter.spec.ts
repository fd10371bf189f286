/** The real engine on a LaVIN put together on the page: the prototype's parts, in the forms in which LaVIN's own are published. */
import { readAdapterTensors } from '../../src/formats/adapter-convert';
import { openAdapterFile } from '../../src/formats/adapter-file';
import { MemorySource } from '../../src/formats/bytes';
import { writeTorchCheckpoint } from '../../src/formats/torch-writer';
import { clipCheckpoint, starterTower } from '../clip-checkpoint';
import { HubServer } from '../hub-server';
import { addPrototype, ask, dropFile, expect, lastAnswer, picture, prototypeFile, test } from './page';

// A software GPU compiles and runs slowly.
test.describe.configure({ timeout: 240_000 });

const REPO = 'openai/clip-vit-base-patch16';

test('a language model, a CLIP’s tower and a checkpoint of LaVIN become a model that sees', async ({ page }) => {
  const hub = new HubServer();
  hub.add(REPO, 'model.safetensors', clipCheckpoint(await starterTower()));
  hub.add(
    REPO,
    'config.json',
    Buffer.from('{"vision_config": {"num_attention_heads": 6, "hidden_act": "quick_gelu"}}'),
  );
  await hub.start();
  const adapters = await openAdapterFile(new MemorySource(await prototypeFile('adapters.safetensors')));
  const buffer = Buffer.from(writeTorchCheckpoint(await readAdapterTensors(adapters)));

  await page.addInitScript((url) => localStorage.setItem('lavin.hub', url), hub.url);
  // One look-up at a time: another would end this one.
  await addPrototype(page, hub);
  await page.getByRole('button', { name: 'Download… CLIP ViT-B/16' }).click();
  await page.getByRole('button', { name: /^Download 5\.\d MB of CLIP/ }).click();
  await expect(page.getByText('of this part; the hub')).toBeVisible();
  await hub.stop();

  const form = page.getByRole('form', { name: 'Put a LaVIN together' });
  await form.getByLabel('Language model').selectOption({ index: 1 });
  await form.getByLabel('Vision tower').selectOption('CLIP ViT-B/16');
  await form.getByLabel(/^Adapters/).setInputFiles({ name: 'checkpoint-19.pth', mimeType: '', buffer });
  await form.getByLabel(/^Router temperature/).fill('10');
  await form.getByLabel('Name').fill('My LaVIN');
  await form.getByRole('button', { name: 'Put together' }).click();
  await page.getByRole('button', { name: 'Open My LaVIN' }).click();
  await expect(page.getByRole('button', { name: 'Model: My LaVIN , ready' })).toBeVisible({ timeout: 180_000 });

  await page.getByRole('link', { name: 'Chat', exact: true }).click();
  await dropFile(page, 'blue-disc.png', 'image/png', await picture('blue-disc'));
  await ask(page, 'What colour is the shape?');
  await expect(lastAnswer(page)).toContainText('tokens/s', { timeout: 120_000 });
  await expect(lastAnswer(page)).toContainText('It is blue.');
});
