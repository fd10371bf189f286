/** A photograph taken in the page; Chromium's own test picture stands for a camera. */
import { ask, expect, lastAnswer, test } from './page';

test.use({
  launchOptions: async ({ launchOptions }, use) =>
    use({
      ...launchOptions,
      args: [...(launchOptions.args ?? []), '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
    }),
});

test('a photograph is taken, attached and sent; the camera is off again', async ({ page, openPage }) => {
  await page.addInitScript(() => {
    const media = navigator.mediaDevices;
    const get = media.getUserMedia.bind(media);
    media.getUserMedia = async (wanted) => {
      const stream = await get(wanted);
      Object.assign(window, { camera: stream });
      return stream;
    };
  });
  await openPage();
  await page.getByRole('button', { name: 'Take a photograph' }).click();
  const dialog = page.getByRole('dialog', { name: 'Take a photograph' });
  await expect(dialog.getByText('The photograph stays on this device.')).toBeVisible();
  await dialog.getByRole('button', { name: 'Take it' }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByRole('img', { name: 'Attached: photograph.jpg' })).toBeVisible();
  const states = await page.evaluate(() =>
    (window as unknown as { camera: MediaStream }).camera.getTracks().map(({ readyState }) => readyState),
  );
  expect(states).toEqual(['ended']);
  await ask(page, 'What is it?');
  await expect(lastAnswer(page)).toContainText(/with a picture of \d{4,} bytes/);
});

test('a camera that is refused is told with the next action', async ({ page, openPage }) => {
  await page.addInitScript(() => {
    navigator.mediaDevices.getUserMedia = async () => {
      throw new DOMException('Permission denied', 'NotAllowedError');
    };
  });
  await openPage();
  await page.getByRole('button', { name: 'Take a photograph' }).click();
  await expect(page.getByRole('alert')).toContainText('This page may not use the camera. Allow it at the icon');
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toBeHidden();
});
