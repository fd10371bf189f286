import { ask, expect, lastAnswer, messageBox, test } from './page';

const cancel = { name: 'Cancel loading Scripted starter' };

test('the starter loads by itself, with bytes, speed and time left', async ({ page, openPage }) => {
  await openPage({ loadMs: 3000 });
  const status = page.locator('.status');
  await expect(status).toContainText(/[\d.]+ (k|M)B of 9\.4 MB · [\d.]+ MB\/s · \d s left/);
  await expect(page.getByRole('progressbar')).toHaveAttribute('max', '9360000');
  await expect(status).toContainText('Ready');
  await expect(page.getByRole('button', { name: 'Model: Scripted starter , ready' })).toBeVisible();
});

test('a load is cancelled and begun again', async ({ page, openPage }) => {
  await openPage({ loadMs: 1500 });
  await page.getByRole('button', cancel).click();
  await expect(page.getByText('Loading was cancelled.')).toBeVisible();
  await page.getByRole('button', { name: 'Load Scripted starter' }).click();
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
});

test('another model chosen in mid-load takes its place', async ({ page, openPage }) => {
  await openPage({ loadMs: 1500 });
  await expect(page.getByRole('button', cancel)).toBeVisible();
  await page.getByRole('button', { name: /^Model:/ }).click();
  await expect(page.getByText('105 MB')).toBeVisible();
  await page.getByRole('button', { name: /Another model/ }).click();
  await expect(page.getByRole('button', { name: 'Model: Another model , ready' })).toBeVisible();
});

test('a local GGUF is opened for text chat', async ({ page, openPage }) => {
  await openPage();
  await expect(page.getByText('Ready', { exact: true })).toBeVisible();
  await page
    .getByLabel('GGUF file')
    .setInputFiles({ name: 'mine.gguf', mimeType: 'application/octet-stream', buffer: Buffer.from('GGUF') });
  await expect(page.getByRole('button', { name: 'Model: mine.gguf , ready' })).toBeVisible();
  await expect(page.getByRole('button', { name: 'Add a picture' })).toBeDisabled();
  await expect(page.getByText('This model has no adapters')).toBeVisible();
  await ask(page, 'Hello');
  await expect(lastAnswer(page)).toContainText('You said Hello');
});

test('a prompt sent while the model loads waits, visibly, and can be taken back', async ({ page, openPage }) => {
  await openPage({ loadMs: 2500 });
  await expect(page.getByRole('button', cancel)).toBeVisible();
  await ask(page, 'Too early');
  await expect(page.getByText('Waiting for the model; it will be sent by itself.')).toBeVisible();
  await page.getByRole('button', { name: 'Take back' }).click();
  await expect(messageBox(page)).toHaveValue('Too early');
  await messageBox(page).press('Enter');
  await expect(lastAnswer(page)).toContainText('You said Too early');
});

test('a waiting prompt survives a reload', async ({ page, openPage }) => {
  await openPage({ loadMs: 5000 });
  await ask(page, 'Not lost');
  await expect(page.getByText('Waiting for the model')).toBeVisible();
  await page.reload();
  await expect(page.locator('.prompt .bubble')).toHaveText('Not lost');
  await page.getByRole('button', { name: 'Ask', exact: true }).click();
  await expect(page.getByText('Waiting for the model')).toBeVisible();
  await expect(lastAnswer(page)).toContainText('You said Not lost');
});

test('without WebGPU the page says what to do', async ({ page, openPage }) => {
  await openPage({ failOpen: 'no-webgpu' });
  const alert = page.getByRole('alert');
  await expect(alert).toContainText('This browser cannot reach the GPU');
  await expect(alert.getByRole('listitem').first()).toContainText('Update the browser to version 113 or later.');
  await ask(page, 'Kept');
  await expect(page.getByText('Waiting: it will be sent once a model is loaded.')).toBeVisible();
});

test('a failed download is told and tried again, and the waiting prompt is then answered', async ({
  page,
  openPage,
}) => {
  await openPage({ failFirstLoad: 'network' });
  await expect(page.getByRole('alert')).toContainText('The model could not be downloaded');
  await ask(page, 'Patience');
  await page.getByRole('button', { name: 'Load Scripted starter again' }).click();
  await expect(lastAnswer(page)).toContainText('You said Patience');
});

test('the model card tells what the model is and what it takes', async ({ page, openPage }) => {
  await openPage();
  await page.getByText('About Scripted starter').click();
  await expect(page.getByText('It knows nothing.')).toBeVisible();
  await expect(page.getByText('Apache-2.0')).toBeVisible();
  await expect(page.getByText('22 MB')).toBeVisible();
});
