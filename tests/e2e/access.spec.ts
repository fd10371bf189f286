import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { ask, dropFile, expect, lastAnswer, messageBox, picture, test } from './page';

async function expectNoSeriousIssue(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  expect(serious.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ target }) => target) }))).toEqual([]);
}

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [360, 1280]) {
    test(`axe finds nothing serious: ${colorScheme}, ${width} px`, async ({ page, openPage }) => {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: 800 });
      await openPage({ loadMs: 2000 });
      await ask(page, 'Waiting');
      await expect(page.getByText('Waiting for the model')).toBeVisible();
      await expectNoSeriousIssue(page);
      await expect(lastAnswer(page)).toContainText('tokens/s');
      await dropFile(page, 'blue.png', 'image/png', await picture('blue-disc'));
      await ask(page, 'see [docs](https://example.org/) and `code`');
      await expect(lastAnswer(page)).toContainText('tokens/s');
      await dropFile(page, 'red.png', 'image/png', await picture('red-disc'));
      await page.getByText('About Scripted starter').click();
      await expectNoSeriousIssue(page);
      await page.getByRole('button', { name: /^Model:/ }).click();
      await expectNoSeriousIssue(page);
      await page.keyboard.press('Escape');

      await page.getByRole('button', { name: 'Edit this message' }).last().click();
      await expectNoSeriousIssue(page);
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Answer again' }).last().click();
      await expect(lastAnswer(page)).toContainText('2 of 2');
      await expect(lastAnswer(page)).toContainText('tokens/s');
      await ask(page, 'show code');
      await expect(lastAnswer(page)).toContainText('That is all.');
      await page.getByRole('button', { name: 'Settings of this chat' }).click();
      await page.getByLabel('Temperature').fill('99');
      await expectNoSeriousIssue(page);
      await page.keyboard.press('Escape');
      if (width < 1280) await page.getByRole('button', { name: 'Chats', exact: true }).click();
      await page.getByRole('button', { name: /^More for/ }).click();
      await expectNoSeriousIssue(page);
      await page.getByRole('button', { name: 'Delete', exact: true }).click();
      if (width < 1280) await page.keyboard.press('Escape');
      await expect(page.getByText('was deleted.')).toBeVisible();
      await expectNoSeriousIssue(page);
    });
  }

  test(`axe finds nothing serious in a failure: ${colorScheme}`, async ({ page, openPage }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await openPage({ failOpen: 'no-adapter' });
    await expect(page.getByRole('alert')).toBeVisible();
    await expectNoSeriousIssue(page);
  });
}

test('the whole way by keyboard: model, picture, question, stop, routing, new chat', async ({ page, openPage }) => {
  // Asked for this early: a chooser that opens before Playwright has begun to intercept is missed.
  const chooser = page.waitForEvent('filechooser');
  await openPage();
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to the message box' })).toBeFocused();
  for (const place of ['Chat', 'Router', 'Models']) {
    await page.keyboard.press('Tab');
    await expect(page.getByRole('link', { name: place, exact: true })).toBeFocused();
  }
  await page.keyboard.press('Tab');
  await expect(page.getByRole('button', { name: /^Model:/ })).toBeFocused();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await expect(page.getByRole('button', { name: /Another model/ })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('button', { name: 'Model: Another model , ready' })).toBeVisible();

  await page.getByRole('link', { name: 'Skip to the message box' }).focus();
  await page.keyboard.press('Enter');
  await expect(messageBox(page)).toBeFocused();
  await page.keyboard.press('Shift+Tab');
  await expect(page.getByRole('button', { name: 'Add a picture' })).toBeFocused();
  await page.keyboard.press('Enter');
  await (await chooser).setFiles({ name: 'blue.png', mimeType: 'image/png', buffer: await picture('blue-disc') });
  await expect(page.getByRole('img', { name: 'Attached: blue.png' })).toBeVisible();
  await page.keyboard.press('Tab');
  await page.keyboard.type('count the colours');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  await expect(lastAnswer(page)).toContainText('1 2 3');
  await expect(messageBox(page)).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(lastAnswer(page)).toContainText('Stopped.');
  await page.keyboard.press('Tab');
  await expect(page.getByRole('slider', { name: 'Patch of the picture' })).toBeFocused();
  await page.keyboard.press('ArrowRight');
  await expect(page.locator('.patch-words')).toContainText('Row 1, column 2');
});

test('nothing shifts while the model loads and an answer streams', async ({ page, openPage }) => {
  await page.addInitScript(() => {
    const shifts = { total: 0 };
    Object.assign(window, { shifts });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[]) {
        if (!entry.hadRecentInput) shifts.total += entry.value;
      }
    }).observe({ type: 'layout-shift', buffered: true });
  });
  await openPage({ loadMs: 1500 });
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
  const loading = await page.evaluate(() => (window as unknown as { shifts: { total: number } }).shifts.total);
  await ask(page, 'Hello');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  const whole = await page.evaluate(() => (window as unknown as { shifts: { total: number } }).shifts.total);
  expect({ loading, whole }).toEqual({ loading: 0, whole: 0 });
});
