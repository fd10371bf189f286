/** The real engine on real weights: SmolLM2-135M-Instruct, as `npm run model -- smollm2` brings it. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Manifest } from '../../src/engine/manifest';
import { NO_SMOLLM2, smollm2Path } from '../unit/formats/fixtures';
import { ask, expect, lastAnswer, test } from './page';

const WITH_EYES = fileURLToPath(new URL('../../public/models/smollm2-vision/manifest.json', import.meta.url));

test.skip(smollm2Path() === undefined, NO_SMOLLM2);

test('SmolLM2 is chosen and answers', async ({ page }) => {
  // A software GPU reads 0.5 GB/s: half a second per word.
  test.setTimeout(300_000);
  await page.goto('./');
  await page.getByRole('button', { name: /^Model:/ }).click();
  await page.getByRole('button', { name: /SmolLM2 135M Instruct/ }).click();
  await expect(page.getByRole('button', { name: 'Model: SmolLM2 135M Instruct , ready' })).toBeVisible({
    timeout: 180_000,
  });
  await expect(page.getByRole('button', { name: 'Add a picture' })).toBeDisabled();
  await ask(page, 'What is the capital of France? Answer with one word.');
  await expect(lastAnswer(page)).toContainText('tokens/s', { timeout: 120_000 });
  await expect(lastAnswer(page).locator('.markdown')).toContainText('Paris');
});

test('SmolLM2 with eyes answers its examples as its manifest says, by one click each', async ({ page }) => {
  test.setTimeout(600_000);
  const { examples } = JSON.parse(await readFile(WITH_EYES, 'utf8')) as Pick<Manifest, 'examples'>;
  expect(examples!.filter(({ image }) => image)).toHaveLength(6);
  await page.goto('./');
  await page.getByRole('button', { name: /^Model:/ }).click();
  await page.getByRole('button', { name: /SmolLM2 135M with eyes/ }).click();
  await expect(page.getByRole('button', { name: 'Model: SmolLM2 135M with eyes , ready' })).toBeVisible({
    timeout: 180_000,
  });
  const buttons = page.getByRole('list', { name: 'Examples' }).getByRole('button');
  for (const [place, { text, answer }] of examples!.entries()) {
    await expect(buttons.nth(place)).toHaveText(text);
    await buttons.nth(place).click();
    await expect(lastAnswer(page)).toContainText('tokens/s', { timeout: 120_000 });
    expect(((await lastAnswer(page).locator('.markdown').textContent()) ?? '').trim()).toBe(answer);
    await page.getByRole('banner').getByRole('button', { name: 'New chat' }).click();
  }
});
