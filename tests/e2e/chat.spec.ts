import { ask, dropFile, expect, lastAnswer, messageBox, modality, picture, test } from './page';

test('a prompt is answered in a stream, with its numbers', async ({ page, openPage }) => {
  await openPage({ tokenMs: 30 });
  await ask(page, 'Hello there');
  await expect(page.locator('.prompt .bubble')).toHaveText('Hello there');
  await expect(messageBox(page)).toHaveValue('');
  await expect(lastAnswer(page)).toHaveAttribute('aria-busy', 'true');
  await expect(lastAnswer(page).locator('strong')).toHaveText('Hello there');
  await expect(lastAnswer(page)).toContainText('in turn 1, without a picture.');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  await expect(lastAnswer(page)).toContainText('first token after');
  await expect(page.getByText(/Context 2\d of 512 tokens/)).toBeVisible();
  await expect(page.getByTestId('announcer')).toContainText('without a picture.');

  await ask(page, 'And again');
  await expect(lastAnswer(page)).toContainText('in turn 3');
});

test('Shift+Enter breaks the line, Enter sends', async ({ page, openPage }) => {
  await openPage();
  await messageBox(page).pressSequentially('one');
  await messageBox(page).press('Shift+Enter');
  await messageBox(page).pressSequentially('two');
  await expect(messageBox(page)).toHaveValue('one\ntwo');
  await messageBox(page).press('Enter');
  await expect(page.locator('.prompt .bubble')).toHaveText('one\ntwo');
});

test('an answer is stopped by the button and by Escape, and what was written stays', async ({ page, openPage }) => {
  await openPage();
  await ask(page, 'count for me');
  await expect(lastAnswer(page)).toContainText('5 6 7');
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(lastAnswer(page)).toContainText('Stopped.');
  await expect(lastAnswer(page)).toContainText('1 2 3');
  await expect(page.getByRole('button', { name: 'Send' })).toBeVisible();

  await ask(page, 'count once more');
  await expect(lastAnswer(page)).toContainText('5 6 7');
  await page.keyboard.press('Escape');
  await expect(lastAnswer(page)).toContainText('Stopped.');
});

test('a dropped picture is shown, can be removed, and is sent along', async ({ page, openPage }) => {
  await openPage();
  const bytes = await picture('blue-disc');
  await dropFile(page, 'blue-disc.png', 'image/png', bytes);
  const thumbnail = page.getByRole('img', { name: 'Attached: blue-disc.png' });
  await expect(thumbnail).toBeVisible();
  await expect(page.getByText('Stays on this device.')).toBeVisible();
  await page.getByRole('button', { name: 'Remove the picture' }).click();
  await expect(thumbnail).toBeHidden();

  await page
    .getByLabel('Picture', { exact: true })
    .setInputFiles({ name: 'blue.png', mimeType: 'image/png', buffer: bytes });
  await ask(page, 'What colour is it?');
  await expect(lastAnswer(page)).toContainText(`with a picture of ${bytes.length} bytes.`);
  await expect(page.getByRole('img', { name: 'You attached: blue.png' })).toBeVisible();
});

test('a pasted picture is attached', async ({ page, openPage }) => {
  await openPage();
  const base64 = (await picture('red-disc')).toString('base64');
  await page.evaluate((base64) => {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], 'clipboard.png', { type: 'image/png' }));
    document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
  }, base64);
  await expect(page.getByRole('img', { name: 'Attached: clipboard.png' })).toBeVisible();
});

test('a file that is no picture is refused in words', async ({ page, openPage }) => {
  await openPage();
  await dropFile(page, 'notes.png', 'image/png', Buffer.from('no picture'));
  await expect(page.getByRole('alert')).toContainText('“notes.png” is not a picture that this browser can read');
});

test('a second picture begins a new context, told in the transcript', async ({ page, openPage }) => {
  await openPage();
  await dropFile(page, 'blue.png', 'image/png', await picture('blue-disc'));
  await ask(page, 'First');
  await expect(lastAnswer(page)).toContainText('in turn 1, with a picture');
  await ask(page, 'Second');
  await expect(lastAnswer(page)).toContainText('in turn 3, with a picture');
  const red = await picture('red-disc');
  await dropFile(page, 'red.png', 'image/png', red);
  await expect(page.getByText('A second picture begins a new context.')).toBeVisible();
  await ask(page, 'Third');
  await expect(lastAnswer(page)).toContainText(`in turn 1, with a picture of ${red.length} bytes.`);
  await expect(page.getByText('A new context begins here')).toBeVisible();
});

test('an example is sent with its picture by one click', async ({ page, openPage }) => {
  await openPage();
  await page.getByRole('button', { name: 'What colour is the apple?' }).click();
  await expect(page.getByRole('img', { name: 'You attached: apple.png' })).toBeVisible();
  await expect(lastAnswer(page)).toContainText('with a picture');
  await expect(modality(page, 'image')).toContainText('in use');
});

test('a full context is told, and the prompt goes on in a new one', async ({ page, openPage }) => {
  await openPage();
  await ask(page, 'Hello');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  await ask(page, 'overflow now');
  await expect(page.getByRole('alert')).toContainText('no longer fits into the model’s context');
  await page.getByRole('button', { name: 'Ask this in a new context' }).click();
  await expect(lastAnswer(page)).toContainText('You said overflow now in turn 1');

  await ask(page, 'fill up');
  await expect(lastAnswer(page)).toContainText('context is full');
  await lastAnswer(page).getByRole('button', { name: 'New chat' }).click();
  await expect(page.getByRole('heading', { name: 'Ask about a picture' })).toBeVisible();
});

test('a new chat can be undone until something is said', async ({ page, openPage }) => {
  await openPage();
  await ask(page, 'Hello');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  await messageBox(page).fill('half a thought');
  await page.getByRole('banner').getByRole('button', { name: 'New chat' }).click();
  await expect(lastAnswer(page)).toBeHidden();
  await expect(messageBox(page)).toHaveValue('half a thought');
  await page.getByRole('button', { name: 'Bring it back' }).click();
  await expect(lastAnswer(page)).toContainText('You said Hello');
});

test('what was typed survives a reload', async ({ page, openPage }) => {
  await openPage();
  await messageBox(page).fill('a long and careful question');
  await page.reload();
  await expect(messageBox(page)).toHaveValue('a long and careful question');
});

test('what was typed in a tab that was closed stands in the next one, and in no other', async ({
  page,
  openPage,
  context,
}) => {
  await openPage();
  await messageBox(page).fill('half a thought');
  // A tab that lives keeps its own.
  const beside = await context.newPage();
  await beside.goto('./');
  await expect(beside.getByText('Ready', { exact: true })).toBeVisible();
  await expect(messageBox(beside)).toHaveValue('');
  await page.close();
  const next = await context.newPage();
  await next.goto('./');
  await expect(messageBox(next)).toHaveValue('half a thought');
  await next.reload();
  await expect(messageBox(next)).toHaveValue('half a thought');
  await expect(messageBox(beside)).toHaveValue('');
});

test('a hostile answer does nothing but show text', async ({ page, openPage }) => {
  const outside: string[] = [];
  page.on('request', (request) => {
    if (request.url().includes('example')) outside.push(request.url());
  });
  await openPage();
  await ask(page, 'hostile');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  await expect(lastAnswer(page)).toContainText('<script>window.hacked = true</script>');
  expect(await page.evaluate(() => (window as { hacked?: boolean }).hacked)).toBeUndefined();
  await expect(lastAnswer(page).locator('img, script, iframe')).toHaveCount(0);
  await expect(lastAnswer(page).getByRole('link')).toHaveText(['picture not loaded: beacon', 'fine']);
  expect(outside).toEqual([]);
});

test('an endless line is shown as plain text, broken to fit', async ({ page, openPage }) => {
  await openPage();
  await ask(page, 'endless line');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  await expect(lastAnswer(page).locator('.markdown.plain')).toContainText('**xxxx');
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(overflow).toBeLessThanOrEqual(0);
});

test('links of an answer are marked, web links only', async ({ page, openPage }) => {
  await openPage();
  await ask(
    page,
    'see [docs](https://example.org/a) and [trap](javascript:alert(1)) and ![pixel](https://example.org/b.png) <b>bold</b>',
  );
  const links = lastAnswer(page).getByRole('link');
  await expect(links).toHaveCount(2);
  await expect(links.first()).toHaveAttribute('rel', /noopener noreferrer/);
  await expect(links.first()).toHaveAttribute('target', '_blank');
  await expect(links.last()).toContainText('picture not loaded: pixel');
  await expect(lastAnswer(page)).toContainText('<b>bold</b>');
});
