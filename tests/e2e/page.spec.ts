import { expect, test } from '@playwright/test';

test('the built page opens, isolated, and lists the starter model', async ({ page, request }) => {
  await page.goto('./');
  await expect(page).toHaveTitle(/LaVIN/);
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  const models = (await (await request.get('./models/index.json')).json()) as { name: string; bytes: number }[];
  expect(models.find(({ name }) => name === 'starter')?.bytes).toBeGreaterThan(8e6);
});
