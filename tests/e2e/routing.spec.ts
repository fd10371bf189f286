import { fakeRouting } from './fake-engine';
import { ask, dropFile, expect, lastAnswer, modality, picture, test } from './page';

test('the table shows every weight and marks the row in use', async ({ page, openPage }) => {
  await openPage();
  const rows = page.locator('.router-table tbody tr');
  await expect(rows).toHaveCount(6);
  const { text, image } = fakeRouting(6);
  for (let layer = 0; layer < 6; layer++) {
    const numbers = [...text[layer]!, ...image[layer]!].map((weight) => weight.toFixed(2));
    await expect(rows.nth(layer).locator('td.number')).toHaveText(numbers);
  }
  await expect(modality(page, 'text')).toContainText('next prompt');

  await dropFile(page, 'blue.png', 'image/png', await picture('blue-disc'));
  await expect(modality(page, 'image')).toContainText('next prompt');
  await ask(page, 'What is it?');
  await expect(modality(page, 'image')).toHaveAttribute('aria-current', 'true');
  await expect(modality(page, 'image')).toContainText('in use');
  await expect(modality(page, 'text')).toHaveAttribute('aria-current', 'false');

  await expect(lastAnswer(page)).toContainText('tokens/s');
  await page.getByRole('banner').getByRole('button', { name: 'New chat' }).click();
  await ask(page, 'Without');
  await expect(modality(page, 'text')).toHaveAttribute('aria-current', 'true');
  await expect(modality(page, 'text')).toContainText('in use');
  await expect(modality(page, 'image')).toHaveAttribute('aria-current', 'false');
});

test('the vision routers are painted over the picture, layer by layer, exact at every patch', async ({
  page,
  openPage,
}) => {
  await openPage();
  await expect(page.getByText('each square of it is routed by itself')).toBeVisible();
  await dropFile(page, 'red.png', 'image/png', await picture('red-disc'));
  await expect(page.getByText('Ask about this picture')).toBeVisible();
  await ask(page, 'What is it?');

  const patch = page.getByRole('slider', { name: 'Patch of the picture' });
  await expect(patch).toHaveAttribute('aria-valuemax', '16');
  const weight = (layer: number, token: number) => 0.5 + 0.3 * Math.sin(token * 0.9 + layer);
  const words = (row: number, column: number, value: number) =>
    `Row ${row}, column ${column}: expert 1 ${value.toFixed(3)}, expert 2 ${(1 - value).toFixed(3)}`;

  await patch.focus();
  await expect(patch).toHaveAttribute('aria-valuetext', words(1, 1, weight(0, 1)));
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowDown');
  await expect(patch).toHaveAttribute('aria-valuetext', words(2, 2, weight(0, 6)));

  const pixel = () =>
    page.locator('.patch-frame canvas').evaluate((canvas: HTMLCanvasElement) => {
      return [...canvas.getContext('2d')!.getImageData(0, 0, 1, 1).data];
    });
  const before = await pixel();
  const layer = page.getByRole('slider', { name: 'Layer' });
  await layer.fill('4');
  await expect(page.getByText('4 of 6')).toBeVisible();
  await expect(patch).toHaveAttribute('aria-valuetext', words(2, 2, weight(3, 6)));
  expect(await pixel()).not.toEqual(before);

  const box = (await patch.boundingBox())!;
  await page.mouse.move(box.x + box.width * 0.9, box.y + box.height * 0.1);
  await expect(page.locator('.patch-words')).toHaveText(words(1, 4, weight(3, 4)));

  await layer.fill('6');
  await page.getByRole('button', { name: 'Play through the layers' }).click();
  await expect(page.getByText('1 of 6')).toBeVisible();
  await expect(page.getByText('3 of 6')).toBeVisible();
  await page.getByRole('button', { name: 'Pause' }).click();
});
