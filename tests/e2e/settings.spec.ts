/** System prompt and sampling: per chat, with the model's defaults, explained, checked, reset. */
import { ask, expect, lastAnswer, test } from './page';

const open = { name: 'Settings of this chat' };

test('what is set for a chat is what the engine gets, in that chat only, and a reset takes it back', async ({
  page,
  openPage,
}) => {
  await openPage();
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
  await page.getByRole('button', open).click();
  const dialog = page.getByRole('dialog', open);
  await dialog.getByLabel('System prompt').fill('Answer like a pirate.');
  await expect(dialog.getByLabel('Temperature')).toHaveAttribute('placeholder', '0.1');
  await dialog.getByLabel('Temperature').fill('0.8');
  await dialog.getByLabel('Top-p').fill('0,9');
  await dialog.getByLabel('Top-k').fill('40');
  await dialog.getByLabel('Min-p').fill('0.05');
  await dialog.getByLabel('Repetition penalty').fill('1.1');
  await dialog.getByLabel('Longest answer').fill('99');
  await dialog.getByLabel('Seed').fill('7');
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
  await expect(page.getByRole('button', { name: 'Settings of this chat (changed)' })).toBeFocused();

  const told = async () => JSON.parse((await lastAnswer(page).locator('.markdown').textContent()) ?? '');
  await ask(page, 'settings');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  expect(await told()).toEqual({
    system: 'Answer like a pirate.',
    sampling: { temperature: 0.8, topP: 0.9, topK: 40, minP: 0.05, repetitionPenalty: 1.1, maxTokens: 99, seed: 7 },
  });

  await page.reload();
  await page.getByRole('button', { name: 'Settings of this chat (changed)' }).click();
  await expect(dialog.getByLabel('System prompt')).toHaveValue('Answer like a pirate.');
  await expect(dialog.getByLabel('Temperature')).toHaveValue('0.8');
  await dialog.getByRole('button', { name: 'Reset all' }).click();
  await expect(dialog.getByLabel('Temperature')).toHaveValue('');
  await expect(dialog.getByLabel('System prompt')).toHaveValue('');
  await page.keyboard.press('Escape');
  await ask(page, 'settings');
  await expect(page.locator('.answer')).toHaveCount(2);
  await expect(lastAnswer(page)).toContainText('tokens/s');
  expect(await told()).toEqual({ sampling: { seed: expect.any(Number) } });

  await page.getByRole('banner').getByRole('button', { name: 'New chat' }).click();
  await expect(page.getByRole('button', { ...open, exact: true })).toBeVisible();
});

test('a number out of its range is refused in words, and what held before still holds', async ({ page, openPage }) => {
  await openPage();
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
  await page.getByRole('button', open).click();
  const temperature = page.getByLabel('Temperature');
  await temperature.fill('0.5');
  await temperature.fill('50');
  await expect(temperature).toHaveAttribute('aria-invalid', 'true');
  await expect(page.getByRole('alert')).toContainText('a number from 0 to 2; 0.5 is used until then');
  await page.getByLabel('Top-k').fill('2.5');
  await expect(page.getByRole('alert').last()).toContainText('a whole number from 0 to 1000');
  await page.keyboard.press('Escape');
  await ask(page, 'settings');
  await expect(lastAnswer(page)).toContainText('"temperature":0.5');
  await expect(lastAnswer(page)).not.toContainText('topK');
});
