/** Failures told well: each names its cause and the next action, and nothing that was typed or answered is lost. */
import type { FakeOptions } from './fake-engine';
import { ask, expect, lastAnswer, messageBox, test } from './page';

const numbers = (text: string | null) => [...(text ?? '').matchAll(/\d+/g)].map(Number);

for (const [prompt, words] of [
  ['lose the device, count to 30', 'The GPU was taken away.'],
  ['crash, count to 30', 'The engine stopped and was started again.'],
] as const) {
  test(`${prompt.split(',')[0]} in mid-answer: the model comes back by itself and the answer is completed`, async ({
    page,
    openPage,
  }) => {
    await openPage({ tokenMs: 20, loadMs: 1500 });
    await expect(page.getByText('Ready', { exact: true })).toBeVisible();
    await ask(page, prompt);
    await expect(lastAnswer(page)).toContainText(`${words} The answer goes on by itself`);
    await expect(page.getByRole('button', { name: 'Cancel loading Scripted starter' })).toBeVisible();
    await expect(lastAnswer(page)).toContainText('tokens/s');
    const whole = await lastAnswer(page).locator('.markdown').textContent();
    expect(numbers(whole)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
    await expect(page.locator('.answer')).toHaveCount(1);
    await expect(page.getByRole('alert')).toHaveCount(0);
  });

  test(`${prompt.split(',')[0]} twice: the second loss is told, and what was written goes on by hand`, async ({
    page,
    openPage,
  }) => {
    await openPage({ tokenMs: 20 });
    await expect(page.getByText('Ready', { exact: true })).toBeVisible();
    await ask(page, `${prompt}, twice`);
    await messageBox(page).fill('typed meanwhile');
    const again = page.getByRole('button', { name: 'Load Scripted starter again' });
    await expect(again).toBeVisible();
    await expect(lastAnswer(page).getByRole('alert')).toBeVisible();
    // Three words in each attempt.
    expect(numbers(await lastAnswer(page).locator('.markdown').textContent())).toEqual([1, 2, 3, 4, 5, 6]);
    await expect(messageBox(page)).toHaveValue('typed meanwhile');
    await again.click();
    await expect(page.getByText('Ready', { exact: true })).toBeVisible();
    await expect(page.getByRole('button', { name: 'Go on with the answer' })).toBeVisible();
  });
}

test('an answer that waits for its model can be left as it is; a busy page loses no word of it', async ({
  page,
  openPage,
}) => {
  await openPage({ tokenMs: 20, loadMs: 5000 });
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
  // To a page that is busy while three words are written, the failure would come first.
  await page.evaluate(() => {
    const work = () => {
      if (document.body.textContent.includes('The answer goes on by itself')) return;
      const end = performance.now() + 150;
      while (performance.now() < end);
      setTimeout(work, 10);
    };
    work();
  });
  await ask(page, 'lose the device');
  await page.getByRole('button', { name: 'Leave it as it is' }).click();
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
  await expect(lastAnswer(page).locator('.markdown')).toHaveText(/^1 2 3\s*$/);
  await expect(page.getByRole('button', { name: 'Continue' })).toBeVisible();
});

const AGENTS: [name: string, agent: string, words: string][] = [
  ['Firefox', 'Mozilla/5.0 (Windows NT 10.0; rv:130.0) Gecko/20100101 Firefox/130.0', 'from version 141'],
  [
    'Safari',
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15',
    'Safari has WebGPU from version 26',
  ],
  [
    'an iPhone',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1',
    'iOS or iPadOS 26',
  ],
  [
    'Android',
    'Mozilla/5.0 (Linux; Android 11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/110.0.0.0 Mobile Safari/537.36',
    'Chrome to version 121 or later, on Android 12',
  ],
];
for (const [name, userAgent, words] of AGENTS) {
  test.describe(name, () => {
    test.use({ userAgent });
    test('is told what to do where it has no WebGPU', async ({ page, openPage }) => {
      await openPage({ failOpen: 'no-webgpu' });
      await expect(page.getByRole('alert')).toContainText('This browser cannot reach the GPU');
      await expect(page.getByRole('alert')).toContainText(words);
    });
  });
}

const CAUSES: [code: FakeOptions['failFirstLoad'], title: string, step: string][] = [
  ['out-of-memory', 'does not fit into the GPU’s memory', 'choose a smaller model'],
  ['limit', 'This GPU is too small for the model', 'Choose a smaller model'],
  ['file', 'The file could not be read', 'choose it again'],
  ['format', 'damaged or of another kind', 'Download it again'],
  ['unsupported', 'not supported', 'Choose a LLaMA-family GGUF'],
];
for (const [code, title, step] of CAUSES) {
  test(`a load that fails with ${code} names the cause and the next action, and keeps what was typed`, async ({
    page,
    openPage,
  }) => {
    await openPage({ ...(code && { failFirstLoad: code }) });
    await messageBox(page).fill('Not lost');
    await expect(page.getByRole('alert')).toContainText(title);
    await expect(page.getByRole('alert')).toContainText(step);
    await expect(messageBox(page)).toHaveValue('Not lost');
    // The way out that the words name is one click away.
    await expect(page.getByRole('alert').getByRole('link', { name: 'See the models' })).toHaveAttribute(
      'href',
      '#/models',
    );
  });
}

test('without 16-bit floats the page says what that means', async ({ page, openPage }) => {
  await openPage();
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
  await page.getByText('About Scripted starter').click();
  await expect(page.getByText('no: computed in 32 bits, slower')).toBeVisible();
});

test('a full disk is told, and the chat goes on', async ({ page, openPage }) => {
  await page.addInitScript(() => {
    const put = IDBObjectStore.prototype.put;
    IDBObjectStore.prototype.put = function (...parameters: Parameters<typeof put>) {
      if (this.name === 'conversations') throw new DOMException('full', 'QuotaExceededError');
      return put.apply(this, parameters);
    };
  });
  await openPage();
  await ask(page, 'Hello');
  await expect(page.getByRole('alert')).toContainText('The storage of this browser is full');
  await expect(lastAnswer(page)).toContainText('You said Hello');
  await ask(page, 'Still here');
  await expect(lastAnswer(page)).toContainText('You said Still here in turn 3');
});

test('where nothing can be kept, the page says so and answers all the same; a draft survives a reload', async ({
  page,
  openPage,
}) => {
  await page.addInitScript(() => {
    const open = indexedDB.open.bind(indexedDB);
    indexedDB.open = (name, version) => {
      if (name === 'lavin-conversations') throw new DOMException('private window', 'InvalidStateError');
      return open(name, version);
    };
  });
  await openPage({ loadMs: 3000 });
  await expect(page.getByRole('alert')).toContainText('Chats cannot be kept here');
  await ask(page, 'Waits');
  await expect(page.getByText('Waiting for the model')).toBeVisible();
  await page.reload();
  await expect(messageBox(page)).toHaveValue('Waits');
  await messageBox(page).press('Enter');
  await expect(lastAnswer(page)).toContainText('You said Waits');
});
