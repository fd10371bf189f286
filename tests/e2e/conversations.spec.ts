/** Chats kept on this device: listed, opened, renamed, searched, deleted, exported, imported, shared between tabs. */
import { readFile } from 'node:fs/promises';
import type { Download, Page } from '@playwright/test';
import { ask, dropFile, expect, lastAnswer, messageBox, picture, test } from './page';

// biome-ignore lint/suspicious/noExplicitAny: files are changed in every way that a file can be wrong
type Json = any;

const list = (page: Page) => page.getByRole('navigation', { name: 'Chats' });
const titles = (page: Page) => list(page).locator('li a > .chat-row-title:first-child');
const newChat = (page: Page) => page.getByRole('banner').getByRole('button', { name: 'New chat' });

async function say(page: Page, text: string): Promise<void> {
  await ask(page, text);
  await expect(lastAnswer(page)).toContainText(`You said ${text}`);
  await expect(lastAnswer(page)).toContainText('tokens/s');
}

const menu = (page: Page, title: string) => list(page).getByRole('button', { name: `More for ${title}` });

async function jsonOf(download: Download): Promise<{ text: string; value: Json }> {
  const text = await readFile(await download.path(), 'utf8');
  return { text, value: JSON.parse(text) };
}

test('chats are listed newest first, open by their links and come back with Back', async ({ page, openPage }) => {
  await openPage();
  await expect(page.getByText('Your chats will stand here.')).toBeVisible();
  await say(page, 'Apples');
  await newChat(page).click();
  await dropFile(page, 'blue.png', 'image/png', await picture('blue-disc'));
  await say(page, 'Pears');
  await expect(titles(page)).toHaveText(['Pears', 'Apples']);
  await list(page).getByRole('link', { name: 'Apples' }).click();
  await expect(lastAnswer(page)).toContainText('You said Apples');
  await expect(list(page).getByRole('link', { name: 'Apples' })).toHaveAttribute('aria-current', 'true');
  await page.goBack();
  await expect(lastAnswer(page)).toContainText('You said Pears');
  const shown = page.getByRole('img', { name: 'You attached: blue.png' });
  await expect(shown).toBeVisible();
  expect(
    await shown.evaluate((image: HTMLImageElement) => image.decode().then(() => image.naturalWidth)),
  ).toBeGreaterThan(0);
  // Older words make a chat newer again.
  await list(page).getByRole('link', { name: 'Apples' }).click();
  await expect(lastAnswer(page)).toContainText('You said Apples');
  await say(page, 'More apples');
  await expect(titles(page)).toHaveText(['Apples', 'Pears']);
  await page.reload();
  await expect(lastAnswer(page)).toContainText('You said More apples in turn 3');
  await say(page, 'After the reload');
  await expect(lastAnswer(page)).toContainText('in turn 5');
});

test('a chat goes on behind the picture that was kept with it', async ({ page, openPage }) => {
  await openPage();
  const bytes = await picture('red-disc');
  await dropFile(page, 'red.png', 'image/png', bytes);
  await say(page, 'Colour');
  await page.reload();
  await say(page, 'Shape');
  await expect(lastAnswer(page)).toContainText(`in turn 3, with a picture of ${bytes.length} bytes.`);
});

test('a chat is renamed, searched by title and text, deleted and had back', async ({ page, openPage }) => {
  await openPage();
  for (const text of ['First words', 'Second words']) {
    await say(page, text);
    await newChat(page).click();
  }
  await menu(page, 'First words').click();
  await list(page).getByRole('button', { name: 'Rename' }).click();
  const name = page.getByRole('textbox', { name: 'Name of the chat' });
  await expect(name).toBeFocused();
  await name.fill('On gardens');
  await name.press('Enter');
  await expect(titles(page)).toHaveText(['On gardens', 'Second words']);

  const search = page.getByRole('searchbox', { name: 'Search the chats' });
  await search.fill('GARDEN');
  await expect(titles(page)).toHaveText(['On gardens']);
  await search.fill('said second');
  await expect(list(page).getByText('No chat holds these words.')).toBeVisible();
  await search.fill('said **second');
  await expect(titles(page)).toHaveText(['Second words']);
  await expect(list(page).locator('small')).toContainText('You said **Second words** in turn 1');
  await search.fill('');

  await list(page).getByRole('link', { name: 'On gardens' }).click();
  await expect(lastAnswer(page)).toContainText('You said First words');
  await menu(page, 'On gardens').click();
  await list(page).getByRole('button', { name: 'Delete' }).click();
  await expect(titles(page)).toHaveText(['Second words']);
  await expect(page.getByRole('heading', { name: 'Ask about a picture' })).toBeVisible();
  await page.getByRole('button', { name: 'Undo' }).click();
  await expect(lastAnswer(page)).toContainText('You said First words');
  await expect(titles(page)).toHaveText(['On gardens', 'Second words']);
  await page.reload();
  await expect(lastAnswer(page)).toContainText('You said First words');
  await expect(titles(page)).toHaveText(['On gardens', 'Second words']);
});

test('exported chats come back whole, pictures and variants too, beside what is there', async ({ page, openPage }) => {
  await openPage();
  const bytes = await picture('blue-disc');
  await dropFile(page, 'blue.png', 'image/png', bytes);
  await say(page, 'Colour');
  await page.getByRole('button', { name: 'Answer again' }).click();
  await expect(lastAnswer(page)).toContainText('2 of 2');
  await expect(lastAnswer(page)).toContainText('tokens/s');

  const saved = page.waitForEvent('download');
  await list(page).getByRole('button', { name: 'Export all' }).click();
  const { text, value } = await jsonOf(await saved);
  expect(value.format).toBe('lavin-conversations-1');
  expect(value.conversations[0].messages).toHaveLength(3);
  const data: string = value.conversations[0].messages[0].picture.data;
  expect(Buffer.from(data.split(',')[1]!, 'base64').equals(bytes)).toBe(true);

  await menu(page, 'Colour').click();
  const markdown = page.waitForEvent('download');
  await list(page).getByRole('button', { name: 'Save as Markdown' }).click();
  const written = await markdown;
  expect(written.suggestedFilename()).toBe('Colour.md');
  expect(await readFile(await written.path(), 'utf8')).toMatch(
    /^# Colour\n\n## You\n\n\*With the picture blue\.png\*\n\nColour\n\n## Scripted starter\n\nYou said \*\*Colour\*\*/,
  );

  await page.getByLabel('File of chats').setInputFiles({
    name: 'chats.json',
    mimeType: 'application/json',
    buffer: Buffer.from(text),
  });
  await expect(titles(page)).toHaveText(['Colour', 'Colour']);
  // Both chats look alike, and the new one stands in the list before it is open: words typed until then are the old one's.
  await expect(list(page).locator('li a').first()).toHaveAttribute('aria-current', 'true');
  await expect(lastAnswer(page)).toContainText('2 of 2');
  await expect(page.getByRole('img', { name: 'You attached: blue.png' })).toBeVisible();
  await say(page, 'Shape');
  await expect(lastAnswer(page)).toContainText(`in turn 3, with a picture of ${bytes.length} bytes.`);
});

const good = {
  format: 'lavin-conversations-1',
  exported: '2026-01-01T00:00:00.000Z',
  conversations: [
    {
      created: 1,
      settings: { system: '', sampling: {} },
      messages: [{ id: 'a', role: 'user', at: 1, text: 'Hi', startsContext: false }],
      chosen: {},
    },
  ],
};

/** @param change made to a copy of a file that is right */
function wrong(change: (file: Json) => void): string {
  const file = structuredClone(good);
  change(file);
  return JSON.stringify(file);
}

test('a file that is not right is refused, naming the place, and changes nothing', async ({ page, openPage }) => {
  await openPage();
  await say(page, 'Kept');
  const cases: [string, string][] = [
    ['{"format":', 'it is not JSON'],
    [wrong((f) => (f.format = 'other')), 'its format is not “lavin-conversations-1”'],
    [wrong((f) => delete f.conversations), 'it has no “conversations”'],
    [wrong((f) => (f.conversations[0].extra = 1)), 'chat 1 has an unknown “extra”'],
    [wrong((f) => (f.conversations[0].messages[0].role = 'system')), 'the role of message 1 of chat 1'],
    [wrong((f) => (f.conversations[0].messages[0].text = 5)), 'the text of message 1 of chat 1 is no text'],
    [wrong((f) => (f.conversations[0].messages[0].parent = 'z')), 'message 1 of chat 1 follows one that is not there'],
    [
      wrong((f) => f.conversations[0].messages.push({ id: 'b', role: 'assistant', at: 1, text: '', modelTitle: 'M' })),
      'message 2 of chat 1 answers nothing',
    ],
    [wrong((f) => (f.conversations[0].settings.sampling.temperature = 1e9)), 'Temperature in the settings of chat 1'],
    [
      wrong((f) => {
        f.conversations[0].messages[0].picture = { name: 'x', data: 'data:image/svg+xml;base64,PHN2Zy8+' };
      }),
      'the picture of message 1 of chat 1 is not a picture as this page writes them',
    ],
    [
      wrong((f) => (f.conversations[0].messages[0].picture = { name: 'x', data: 'data:image/png;base64,AAAA' })),
      'the picture of message 1 of chat 1 cannot be read',
    ],
  ];
  for (const [text, words] of cases) {
    await page
      .getByLabel('File of chats')
      .setInputFiles({ name: 'chats.json', mimeType: 'application/json', buffer: Buffer.from(text) });
    await expect(page.getByRole('alert')).toContainText(words);
  }
  await expect(titles(page)).toHaveText(['Kept']);
  await page
    .getByLabel('File of chats')
    .setInputFiles({ name: 'chats.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(good)) });
  await expect(titles(page)).toHaveText(['Hi', 'Kept']);
  await expect(page.getByText('Not answered yet.')).toBeVisible();
  await page.getByRole('button', { name: 'Ask', exact: true }).click();
  await expect(lastAnswer(page)).toContainText('You said Hi in turn 1');
});

test('a killed tab is at most two seconds behind, and its answer goes on', async ({ page, openPage, context }) => {
  await openPage({ tokenMs: 50 });
  await ask(page, 'count to 200');
  await expect(lastAnswer(page)).toContainText('60.');
  const address = page.url();
  const seen = (await lastAnswer(page).locator('.markdown').textContent()) ?? '';
  const numbers = (text: string) => [...text.matchAll(/\d+/g)].map(Number);
  // No unload, no pagehide: the renderer is gone.
  const crashed = page.waitForEvent('crash');
  page.goto('chrome://crash').catch(() => {});
  await crashed;

  const again = await context.newPage();
  await again.goto(address);
  await expect(again.getByText('This answer was cut off when the page was closed.')).toBeVisible();
  const kept = numbers((await lastAnswer(again).locator('.markdown').textContent()) ?? '');
  // 50 ms a number: two seconds are 40 of them.
  expect(kept.length).toBeGreaterThan(numbers(seen).length - 40);
  expect(kept).toEqual(kept.map((_, index) => index + 1));
  await again.getByRole('button', { name: 'Continue' }).click();
  await expect(lastAnswer(again)).toContainText('199 200');
  const whole = numbers((await lastAnswer(again).locator('.markdown').textContent()) ?? '');
  expect(whole).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
  await again.close();
});

test('one tab writes a chat: another one reads along, takes it over, and gets it when the first one goes', async ({
  page,
  openPage,
  context,
}) => {
  await openPage({ tokenMs: 30 });
  await say(page, 'Mine');
  const other = await context.newPage();
  await other.goto(page.url());
  await expect(other.getByText('This chat is open in another tab')).toBeVisible();
  await expect(lastAnswer(other)).toContainText('You said Mine');
  await messageBox(other).fill('Typed while reading');
  await expect(other.getByRole('button', { name: 'Send', exact: true })).toBeDisabled();
  // What the first tab writes is followed.
  await say(page, 'Still mine');
  await expect(lastAnswer(other)).toContainText('You said Still mine');

  // Taken over in the middle of an answer: it is stopped and saved first.
  await ask(page, 'count to 500');
  await expect(lastAnswer(page)).toContainText('5 6 7');
  await other.getByRole('button', { name: 'Write here instead' }).click();
  await expect(other.getByText('This chat is open in another tab')).toBeHidden();
  await expect(lastAnswer(other)).toContainText('Stopped.');
  await expect(lastAnswer(other)).toContainText('5 6 7');
  await expect(page.getByText('This chat is open in another tab')).toBeVisible();
  await expect(messageBox(other)).toHaveValue('Typed while reading');
  await messageBox(other).press('Enter');
  await expect(lastAnswer(other)).toContainText('You said Typed while reading');
  await expect(lastAnswer(page)).toContainText('You said Typed while reading');

  await other.close();
  await expect(page.getByText('This chat is open in another tab')).toBeHidden();
  await say(page, 'Mine again');
  expect(context.pages()).toHaveLength(1);
});

test('an address of a chat that is not here begins a new one, and says so', async ({ page, openPage }) => {
  await openPage();
  await say(page, 'Hello');
  await page.goto('./#/chat/no-such-chat');
  await expect(page.getByRole('alert')).toContainText('That chat is not on this device');
  await expect(lastAnswer(page)).toBeHidden();
  // The same for one who comes by such an address.
  await page.goto('about:blank');
  await page.goto('./#/chat/no-such-chat');
  await expect(page.getByRole('alert')).toContainText('That chat is not on this device');
  await say(page, 'Goodbye');
  await expect(titles(page)).toHaveText(['Goodbye', 'Hello']);
});

test('in a narrow window the chats are in a drawer', async ({ page, openPage }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await openPage();
  await say(page, 'One');
  await newChat(page).click();
  await say(page, 'Two');
  await page.getByRole('button', { name: 'Chats', exact: true }).click();
  const drawer = page.getByRole('dialog', { name: 'Chats' });
  await drawer.getByRole('link', { name: 'One' }).click();
  await expect(drawer).toBeHidden();
  await expect(lastAnswer(page)).toContainText('You said One');
});
