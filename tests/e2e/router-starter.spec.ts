/** The router view on the real engine and the prototype: what it measures and changes is the model's own. */
import { HubServer } from '../hub-server';
import { addPrototype, expect, test } from './page';

test('asks, measures, proves and overrides on the starter', async ({ page }) => {
  const hub = new HubServer();
  await hub.start();
  await addPrototype(page, hub);
  await page.getByRole('button', { name: /^Open Starter/ }).click();
  await page.getByRole('link', { name: 'Router', exact: true }).click();
  const view = page.getByRole('main', { name: 'Router' });
  const button = (name: string | RegExp) => view.getByRole('button', { name, exact: typeof name === 'string' });
  await expect(button('Ask')).toBeVisible({ timeout: 170_000 });
  await button('What colour is the shape?').first().click();
  await expect(button('Ask')).toBeEnabled();
  await button('Ask').click();
  await expect(view.getByRole('region', { name: 'The answer' })).toContainText('blue');
  await expect(button('Pin this run')).toBeVisible();

  // PyTorch's numbers for this very prompt, tests/engine/data/explain.json.
  const llm = view.getByRole('region', { name: 'Routers of the language model' });
  await expect(llm.locator('.readout li').nth(1)).toContainText(
    'weights 0.526 and 0.474; they add 1.33 (14.7 %) and 1.11 (12.2 %), together 2.16, to an input of 9.08',
  );
  await expect(llm.locator('.readout li').nth(0)).toContainText(
    'weights 0.177 and 0.823; what they add is not measured',
  );
  await expect(view.getByRole('slider', { name: 'Patch of the picture' })).toHaveAttribute('aria-valuemax', '16');

  await llm.getByText('Prove it').click();
  await llm.getByRole('button', { name: 'Send both' }).click();
  await expect(llm.getByText('Largest difference: 0.')).toBeVisible();

  await button('As if text only').click();
  await button('Ask again').click();
  await expect(button('Pin the changed run')).toBeVisible();
  await button('Pin this run').click();
  await button('Pin the changed run').click();
  const compared = view.getByRole('region', { name: 'Run 1 and run 2 compared' }).locator('.readout li');
  await expect(compared.nth(0)).toContainText('weights 0.526 and 0.474');
  await expect(compared.nth(1)).toContainText('weights 0.177 and 0.823; they add');
  await hub.stop();
});
