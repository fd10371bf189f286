/** An adapter set swapped in on the real engine: routers whose weights are known by construction. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@playwright/test';
import { readAdapterTensors } from '../../src/formats/adapter-convert';
import { openAdapterFile } from '../../src/formats/adapter-file';
import { MemorySource } from '../../src/formats/bytes';
import type { TensorToWrite } from '../../src/formats/safetensors';
import { writeTorchCheckpoint } from '../../src/formats/torch-writer';

/** The starter's adapters as a checkpoint of LaVIN; every LLM router's logits are 10 ln 3 and 0 whatever comes in. */
async function constantRouters(): Promise<Buffer> {
  const path = fileURLToPath(new URL('../../public/models/starter/adapters.safetensors', import.meta.url));
  const tensors: Map<string, TensorToWrite> = await readAdapterTensors(
    await openAdapterFile(new MemorySource(new Uint8Array(await readFile(path)))),
  );
  for (const [name, { shape }] of tensors) {
    if (!/^layers\.\d+\.adapter_attn\.expert_weights\./.test(name)) continue;
    const data = name.endsWith('bias') ? Float32Array.of(10 * Math.log(3), 0) : new Float32Array(2 * shape[1]!);
    tensors.set(name, { format: 'F32', shape, data });
  }
  return Buffer.from(writeTorchCheckpoint(tensors));
}

test('a checkpoint is imported for the starter, used, and left again', async ({ page }) => {
  await page.goto('./');
  await expect(page.getByText('Ready', { exact: true })).toBeVisible({ timeout: 170_000 });
  const weights = page.locator('.router-table td.number');
  const own = await weights.allInnerTexts();
  await page.getByRole('link', { name: 'Models', exact: true }).click();
  const section = page.getByRole('region', { name: 'Adapter sets' });
  await section
    .getByLabel('Adapter file')
    .setInputFiles({ name: 'constant.pth', mimeType: '', buffer: await constantRouters() });
  const form = section.getByRole('form', { name: 'Import constant.pth' });
  await expect(form.getByLabel(/^Router temperature/)).toHaveValue('10');
  await form.getByLabel('Trained on').selectOption({ label: 'Starter (tiny, names 300 things), the loaded model' });
  await form.getByRole('button', { name: 'Import', exact: true }).click();
  await section.getByRole('button', { name: 'Use in this chat constant', exact: true }).click();
  await page.getByRole('link', { name: 'Chat', exact: true }).click();
  await expect(page.getByText('Ready · constant', { exact: true })).toBeVisible();
  const swapped = await weights.allInnerTexts();
  expect(own).toHaveLength(24);
  expect(swapped).toEqual(Array.from({ length: 12 }, () => ['0.75', '0.25']).flat());

  await page.getByRole('textbox', { name: 'Message' }).fill('What is the opposite of hot?');
  await page.keyboard.press('Enter');
  await expect(page.locator('.answer').last()).toContainText('tokens/s');
  await expect(page.locator('.answer').last()).toHaveAttribute('aria-label', /· constant$/);

  await page.getByRole('link', { name: 'Models', exact: true }).click();
  await section.getByRole('button', { name: 'Use in this chat the model’s own', exact: true }).click();
  await page.getByRole('link', { name: 'Chat', exact: true }).click();
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
  expect(await weights.allInnerTexts()).toEqual(own);
});
