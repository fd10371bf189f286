/** What can be done with a message: continue, regenerate, edit, copy, delete. */
import type { Page } from '@playwright/test';
import { ask, dropFile, expect, lastAnswer, messageBox, picture, test } from './page';

const prompts = (page: Page) => page.locator('.prompt .bubble');
const tool = (page: Page, name: string) => page.getByRole('button', { name, exact: true });

test('a stopped answer is continued from where it is', async ({ page, openPage }) => {
  await openPage({ tokenMs: 8 });
  await ask(page, 'count to 60');
  await expect(lastAnswer(page)).toContainText('9 10');
  await page.keyboard.press('Escape');
  await expect(lastAnswer(page)).toContainText('Stopped.');
  const words = () => lastAnswer(page).locator('.markdown').textContent();
  const before = (await words()) ?? '';
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(lastAnswer(page)).toContainText('59 60');
  await expect(lastAnswer(page)).toContainText('60 tokens');
  const after = (await words()) ?? '';
  expect(after.startsWith(before.trimEnd())).toBe(true);
  const numbers = [...after.matchAll(/\d+/g)].map(Number);
  expect(numbers).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
  await expect(page.locator('.answer')).toHaveCount(1);
});

test('an answer cut at the longest allowed is continued, too', async ({ page, openPage }) => {
  await openPage();
  await page.getByRole('button', { name: 'Settings of this chat' }).click();
  await page.getByLabel('Longest answer').fill('7');
  await page.keyboard.press('Escape');
  await ask(page, 'count to 12');
  await expect(lastAnswer(page)).toContainText('Cut at the longest answer allowed.');
  await expect(lastAnswer(page).locator('.markdown')).toHaveText('1 2 3 4 5 6 7');
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(lastAnswer(page).locator('.markdown')).toHaveText('1 2 3 4 5 6 7 8 9 10 11 12.');
  await expect(page.getByRole('button', { name: 'Continue' })).toBeHidden();
});

test('an answer made again stands beside the first, and both are kept', async ({ page, openPage }) => {
  await openPage();
  await ask(page, 'draw one');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  const text = async () => ((await lastAnswer(page).locator('.markdown').textContent()) ?? '').trim();
  const first = await text();
  await tool(page, 'Answer again').click();
  await expect(lastAnswer(page)).toContainText('2 of 2');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  const second = await text();
  // Without a seed of one's own every answer draws anew.
  expect(second).toMatch(/^Drawn with seed \d+\.$/);
  expect(second).not.toBe(first);
  await tool(page, 'Variant before').click();
  expect(await text()).toBe(first);
  await expect(tool(page, 'Variant before')).toBeDisabled();
  await ask(page, 'Follow the first');
  await expect(lastAnswer(page)).toContainText('in turn 3');
  await tool(page, 'Variant after').click();
  // What followed the first variant does not follow the second.
  await expect(prompts(page)).toHaveCount(1);
  await tool(page, 'Variant before').click();
  await expect(prompts(page)).toHaveText(['draw one', 'Follow the first']);
});

test('a prompt is edited and sent again: the first branch stays, picture and all', async ({ page, openPage }) => {
  await openPage();
  const bytes = await picture('blue-disc');
  await dropFile(page, 'blue.png', 'image/png', bytes);
  await ask(page, 'What is that?');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  await tool(page, 'Edit this message').click();
  const editor = page.getByRole('textbox', { name: 'Edit the message' });
  await expect(editor).toBeFocused();
  await editor.fill('What colour is that?');
  await editor.press('Enter');
  await expect(lastAnswer(page)).toContainText(
    `You said What colour is that? in turn 1, with a picture of ${bytes.length}`,
  );
  await expect(page.locator('.prompt')).toContainText('2 of 2');
  await tool(page, 'Variant before').click();
  await expect(prompts(page)).toHaveText('What is that?');
  await expect(lastAnswer(page)).toContainText('You said What is that?');

  await tool(page, 'Edit this message').click();
  await editor.fill('never mind');
  await editor.press('Escape');
  await expect(prompts(page)).toHaveText('What is that?');
});

test('an edit that was not sent survives a reload', async ({ page, openPage }) => {
  await openPage();
  await ask(page, 'Hello');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  await tool(page, 'Edit this message').click();
  await page.getByRole('textbox', { name: 'Edit the message' }).fill('Hello, in many more words');
  await page.reload();
  await expect(messageBox(page)).toHaveValue('Hello, in many more words');
});

test('messages and code blocks are copied', async ({ page, openPage, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await openPage();
  await ask(page, 'show code');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
  await lastAnswer(page).locator('.code').getByRole('button', { name: 'Copy' }).click();
  expect(await clipboard()).toBe('const answer = 42;\n');
  await expect(lastAnswer(page).locator('.copy-code')).toHaveText('Copied');
  await lastAnswer(page).locator('.tools').getByRole('button', { name: 'Copy' }).click();
  expect(await clipboard()).toBe('Like this:\n\n```js\nconst answer = 42;\n```\n\nThat is all.');
  await page.locator('.prompt').getByRole('button', { name: 'Copy' }).click();
  expect(await clipboard()).toBe('show code');
});

test('a message is deleted with what follows it, and can be had back', async ({ page, openPage }) => {
  await openPage();
  for (const text of ['One', 'Two']) {
    await ask(page, text);
    await expect(lastAnswer(page)).toContainText(`You said ${text}`);
    await expect(lastAnswer(page)).toContainText('tokens/s');
  }
  await page.locator('.answer').first().hover();
  await page.locator('.answer').first().getByRole('button', { name: 'Delete this answer' }).click();
  await expect(page.locator('.answer')).toHaveCount(0);
  await expect(prompts(page)).toHaveText(['One']);
  await expect(page.getByText('Deleted, with what followed.')).toBeVisible();
  await page.getByRole('button', { name: 'Undo' }).click();
  await expect(prompts(page)).toHaveText(['One', 'Two']);
  await expect(page.locator('.answer')).toHaveCount(2);
  await page.reload();
  await expect(prompts(page)).toHaveText(['One', 'Two']);

  await page.locator('.prompt').last().getByRole('button', { name: 'Delete from here on' }).click();
  await expect(prompts(page)).toHaveText(['One']);
  await ask(page, 'Three');
  await expect(lastAnswer(page)).toContainText('You said Three in turn 3');
});
