/** The real engine on real weights: SmolLM2-135M-Instruct, as `npm run model -- smollm2` brings it. */
import { NO_SMOLLM2, smollm2Path } from '../unit/formats/fixtures';
import { ask, expect, lastAnswer, test } from './page';

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
