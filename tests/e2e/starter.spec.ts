/** The real engine on the real starter model: what the manifest's examples promise. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Page } from '@playwright/test';
import type { Manifest } from '../../src/engine/manifest';
import { ask, dropFile, expect, lastAnswer, modality, picture, test } from './page';

// A software GPU compiles and runs slowly; the answers themselves are short.
test.describe.configure({ mode: 'serial', timeout: 240_000 });

const MANIFEST = fileURLToPath(new URL('../../public/models/starter/manifest.json', import.meta.url));

async function openStarter(page: Page): Promise<void> {
  await page.goto('./');
  await expect(page.getByText('Ready', { exact: true })).toBeVisible({ timeout: 180_000 });
}

async function answered(page: Page): Promise<string> {
  await expect(lastAnswer(page)).toContainText('tokens/s', { timeout: 120_000 });
  return ((await lastAnswer(page).locator('.markdown').textContent()) ?? '').trim();
}

test('it sees a blue disc, then a red one', async ({ page }) => {
  await openStarter(page);
  await dropFile(page, 'blue-disc.png', 'image/png', await picture('blue-disc'));
  await ask(page, 'What colour is the shape?');
  expect(await answered(page)).toBe('It is blue.');
  await expect(modality(page, 'image')).toContainText('in use');
  await expect(page.getByRole('slider', { name: 'Patch of the picture' })).toBeVisible();

  await dropFile(page, 'red-disc.png', 'image/png', await picture('red-disc'));
  await ask(page, 'What colour is the shape?');
  await expect(page.locator('.answer')).toHaveCount(2);
  expect(await answered(page)).toBe('It is red.');
});

test('it answers without a picture, through the other row', async ({ page }) => {
  await openStarter(page);
  await ask(page, 'What is the opposite of hot?');
  expect(await answered(page)).toBe('The opposite of hot is cold.');
  await expect(modality(page, 'text')).toContainText('in use');
  await expect(modality(page, 'image')).not.toContainText('in use');
});

test('its six pictures are answered as its manifest says, by one click each', async ({ page }) => {
  const { examples } = JSON.parse(await readFile(MANIFEST, 'utf8')) as Pick<Manifest, 'examples'>;
  const pictured = examples!.filter(({ image, answer }) => image && answer);
  expect(pictured).toHaveLength(6);
  await openStarter(page);
  const buttons = page.getByRole('list', { name: 'Examples' }).getByRole('button');
  for (const [place, { text, answer }] of pictured.entries()) {
    await expect(buttons.nth(place)).toHaveText(text);
    await buttons.nth(place).click();
    expect(await answered(page)).toBe(answer);
    await page.getByRole('banner').getByRole('button', { name: 'New chat' }).click();
  }
});

/** Put before the worker's own script: once armed, the GPU is destroyed as soon as the next answer's first word is told. */
const DESTROY_AT_FIRST_WORD = `{
  let device;
  let armed = false;
  const request = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...wanted) {
    device = await request.apply(this, wanted);
    return device;
  };
  const channel = new BroadcastChannel('test-device');
  channel.onmessage = () => {
    armed = true;
    channel.postMessage('armed');
  };
  const post = MessagePort.prototype.postMessage;
  MessagePort.prototype.postMessage = function (message, ...rest) {
    post.call(this, message, ...rest);
    if (!armed || !message.argumentList?.some(({ value }) => value?.type === 'token' && value.text)) return;
    armed = false;
    device.destroy();
  };
}`;

test('a GPU that is taken away in mid-answer: the model comes back by itself and the answer is completed', async ({
  page,
}) => {
  await page.route(/gpu\.worker[^/]*$/, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${DESTROY_AT_FIRST_WORD}\n${await response.text()}` });
  });
  await openStarter(page);
  await ask(page, 'What is the opposite of hot?');
  const whole = await answered(page);
  expect(whole).toBe('The opposite of hot is cold.');

  await page.evaluate(() => {
    const channel = new BroadcastChannel('test-device');
    return new Promise((resolve) => {
      channel.onmessage = resolve;
      channel.postMessage('arm');
    });
  });
  await page.getByRole('button', { name: 'Answer again' }).click();
  await expect(lastAnswer(page)).toContainText('The GPU was taken away. The answer goes on by itself');
  const words = (await lastAnswer(page).locator('.markdown').textContent()) ?? '';
  expect(whole.startsWith(words.trim())).toBe(true);
  // Its last words may have been on their way already.
  expect(words.trim().length).toBeLessThanOrEqual(whole.length);
  await expect(lastAnswer(page)).toContainText('2 of 2', { timeout: 180_000 });
  expect(await answered(page)).toBe(whole);
  await expect(page.getByRole('alert')).toHaveCount(0);
});
