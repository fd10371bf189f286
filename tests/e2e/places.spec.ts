import { ask, expect, lastAnswer, test } from './page';

test('places are links: an answer goes on behind another one, Back returns, the fragment opens one', async ({
  page,
  openPage,
}) => {
  await openPage();
  await ask(page, 'count to a hundred');
  await expect(lastAnswer(page)).toContainText('1 2 3');
  await page.getByRole('link', { name: 'Router', exact: true }).click();
  await expect(page.getByRole('main', { name: 'Router' })).toBeVisible();
  await expect(page.getByRole('textbox', { name: 'Message' })).toBeHidden();
  await page.getByRole('link', { name: 'Models', exact: true }).click();
  await expect(page.getByRole('main', { name: 'Models' })).toBeVisible();
  await expect(page.getByRole('link', { name: 'Models', exact: true })).toHaveAttribute('aria-current', 'page');
  await page.goBack();
  await expect(page.getByRole('main', { name: 'Router' })).toBeVisible();
  await page.goBack();
  await expect(lastAnswer(page)).toContainText('tokens/s');

  await page.goto('./#/models');
  await page.reload();
  await expect(page.getByRole('main', { name: 'Models' })).toBeVisible();
});
