import AxeBuilder from '@axe-core/playwright';
import type { Locator, Page } from '@playwright/test';
import { ggufLike } from '../hub-server';
import { expect, SIZE, SMOLLM2, test } from './library-hub';

const TITLE = 'SmolLM2 135M Instruct';
const here = (page: Page): Locator => page.getByRole('region', { name: 'On this device' });
/** The library's card of a title. */
const card = (page: Page, title = TITLE): Locator =>
  here(page)
    .getByRole('listitem')
    .filter({ has: page.getByRole('heading', { name: title, exact: true }) });
const button = (of: Page | Locator, name: string, title = TITLE) =>
  of.getByRole('button', { name: `${name} ${title}`, exact: true });

/** Asks the hub for the model's files and takes the one that is proposed. */
async function startDownload(page: Page): Promise<void> {
  await button(page, 'Download…').click();
  await page.getByRole('button', { name: /^Download 3\.0 MB/ }).click();
}

test('a model is looked up, its file proposed, downloaded, checked, opened, and there after a reload', async ({
  page,
  hub,
  openModels,
}) => {
  await openModels();
  await expect(page.getByText('Not tried by us.').first()).toBeVisible();
  await button(page, 'Download…').click();
  const files = page.getByLabel('File', { exact: true });
  await expect(files).toHaveValue('SmolLM2-135M-Instruct.Q4_1.gguf');
  await expect(files.getByRole('option')).toHaveText([
    'SmolLM2-135M-Instruct.Q2_K.gguf · 1.5 MB (Q2_K does not run here)',
    'SmolLM2-135M-Instruct.Q4_1.gguf · 3.0 MB',
    'SmolLM2-135M-Instruct.Q8_0.gguf · 6.0 MB',
  ]);
  await files.selectOption('SmolLM2-135M-Instruct.Q8_0.gguf');
  await expect(page.getByRole('button', { name: /^Download 6\.0 MB/ })).toBeVisible();
  await files.selectOption('SmolLM2-135M-Instruct.Q4_1.gguf');
  hub.faults.bytesPerSecond = 1_500_000;
  await page.getByRole('button', { name: /^Download 3\.0 MB/ }).click();
  await expect(card(page)).toContainText(/Loading [\d.]+ (k|M)B of 3\.0 MB[\d.]+ (k|M)B\/s · \d s left/);
  await expect(card(page)).toContainText('SHA-256');
  await expect(card(page)).toContainText('as the hub lists it');

  await button(card(page), 'Open').click();
  await expect(card(page).getByText('In use')).toBeVisible();
  await expect(page.getByRole('button', { name: `Model: ${TITLE} , ready` })).toBeVisible();

  await hub.stop();
  await page.reload();
  await expect(button(card(page), 'Open')).toBeVisible();
  await page.getByRole('button', { name: /^Model:/ }).click();
  await page.getByRole('button', { name: new RegExp(`${TITLE}.*On this device`) }).click();
  await expect(page.getByRole('button', { name: `Model: ${TITLE} , ready` })).toBeVisible();
});

test('pause, resume, reload in mid-download, resume: no byte is asked for twice', async ({ page, hub, openModels }) => {
  await openModels();
  hub.faults.bytesPerSecond = 600_000;
  await startDownload(page);
  await expect(card(page)).toContainText('left');
  await button(card(page), 'Pause').click();
  await expect(card(page)).toContainText(/Paused at [\d.]+ (k|M)B of 3\.0 MB\./);
  await button(card(page), 'Resume').click();
  await expect(card(page)).toContainText('left');
  await button(card(page), 'Pause').click();
  await expect(card(page)).toContainText('Paused at');
  await page.reload();
  await expect(card(page)).toContainText(/Paused at [\d.]+ (k|M)B of 3\.0 MB\./);
  hub.faults.bytesPerSecond = undefined;
  await button(card(page), 'Resume').click();
  await expect(card(page)).toContainText('as the hub lists it');
  const starts = hub.requests.map((request) => Number(/bytes=(\d+)-/.exec(request)?.[1]));
  expect(starts.length).toBe(3);
  expect(starts[0]).toBe(0);
  expect(starts[1]).toBeGreaterThan(0);
  expect(starts[2]).toBeGreaterThan(starts[1] as number);
});

test('a tab closed in mid-download goes on from its last resume point', async ({ page, context, hub, openModels }) => {
  hub.add(SMOLLM2, 'SmolLM2-135M-Instruct.Q4_1.gguf', ggufLike(24_000_000));
  await openModels();
  hub.faults.bytesPerSecond = 8_000_000;
  await button(page, 'Download…').click();
  await page.getByRole('button', { name: /^Download 24 MB/ }).click();
  await expect(card(page)).toContainText(/Loading 1\d MB of 24 MB/);
  const url = page.url();
  await page.close();
  hub.heal();
  const next = await context.newPage();
  await next.route(/models\/index\.json$/, (route) => route.fulfill({ json: [] }));
  await next.addInitScript((address) => localStorage.setItem('lavin.hub', address), hub.url);
  await next.goto(url);
  await expect(card(next)).toContainText(/Paused at [\d.]+ MB of 24 MB\./);
  await button(card(next), 'Resume').click();
  await expect(card(next)).toContainText('as the hub lists it');
  expect(Number(/bytes=(\d+)-/.exec(hub.requests[0] ?? '')?.[1])).toBeGreaterThanOrEqual(8 * 1024 * 1024);
});

test('cancel removes what arrived; delete asks first', async ({ page, hub, openModels }) => {
  await openModels();
  hub.faults.bytesPerSecond = 600_000;
  await startDownload(page);
  await expect(card(page)).toContainText('left');
  await button(card(page), 'Cancel').click();
  await expect(card(page)).toHaveCount(0);
  hub.heal();
  await startDownload(page);
  await expect(card(page)).toContainText('as the hub lists it');
  await button(card(page), 'Delete').click();
  const dialog = page.getByRole('dialog', { name: `Delete ${TITLE}?` });
  await expect(dialog).toContainText('3.0 MB on this device will be freed');
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
  await expect(card(page)).toBeVisible();
  await button(card(page), 'Delete').click();
  await dialog.getByRole('button', { name: 'Delete', exact: true }).click();
  await expect(card(page)).toHaveCount(0);
  await page.reload();
  await expect(page.getByText('that the browser allows')).toBeVisible();
  await expect(card(page)).toHaveCount(0);
  const left = await page.evaluate(async () => {
    const names: string[] = [];
    const models = await (await navigator.storage.getDirectory()).getDirectoryHandle('models');
    for await (const name of (models as unknown as { keys(): AsyncIterable<string> }).keys()) names.push(name);
    return names;
  });
  expect(left).toEqual([]);
});

test('broken downloads say what happened and what to do, and end well when the server does', async ({
  page,
  hub,
  openModels,
}) => {
  await openModels();
  const trouble = card(page).getByRole('alert');

  hub.faults.corruptFrom = 1000;
  await startDownload(page);
  await expect(trouble).toContainText('not the file that the listing names');
  hub.heal();
  hub.faults.shift = 3;
  await button(card(page), 'Download again').click();
  await expect(trouble).toContainText('cannot be trusted with parts');
  hub.heal();
  hub.faults.html = true;
  await button(card(page), 'Download again').click();
  await expect(trouble).toContainText('sent a web page instead of');
  hub.heal();
  hub.faults.shortBy = 100;
  await button(card(page), 'Download again').click();
  await expect(trouble).toContainText('incomplete: choose another file');
  hub.heal();
  hub.faults.statuses = [403];
  await button(card(page), 'Download again').click();
  await expect(trouble).toContainText('accepted licence');

  hub.heal();
  hub.faults.bytesPerSecond = 1_000_000;
  await button(card(page), 'Download again').click();
  await expect(card(page)).toContainText('left');
  await button(card(page), 'Pause').click();
  await expect(card(page)).toContainText('Paused at');
  hub.heal();
  hub.faults.etag = '"v2"';
  await button(card(page), 'Resume').click();
  await expect(trouble).toContainText('changed on the server in mid-download');

  // Faults that pass are sat out, visibly.
  hub.heal();
  hub.faults.statuses = [503];
  hub.faults.breakAfter = [1_000_000];
  await button(card(page), 'Download again').click();
  await expect(card(page)).toContainText('answers 503: it is overloaded or broken');
  await expect(card(page)).toContainText('The next try comes in 1 s.');
  await expect(card(page)).toContainText('as the hub lists it');
});

test('a gated and a missing repository say what to do', async ({ page, hub, openModels }) => {
  await openModels();
  await button(page, 'Download…', 'TinyLlama 1.1B Chat').click();
  const known = page.getByRole('region', { name: 'To download' });
  await expect(known.getByRole('alert')).toContainText('has no public model TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF');
  hub.faults.listingStatus = 403;
  hub.faults.errorCode = 'GatedRepo';
  await button(page, 'Ask again', 'TinyLlama 1.1B Chat').click();
  await expect(known.getByRole('alert')).toContainText('people who accepted its licence. Sign in at');
});

test('a full disk is told, what arrived is kept, and the rest comes once there is room', async ({
  page,
  hub,
  openModels,
}) => {
  await openModels();
  const session = await page.context().newCDPSession(page);
  const origin = new URL(page.url()).origin;
  hub.faults.bytesPerSecond = 400_000;
  await startDownload(page);
  // A full disk may be refused at any byte, the first among them: Chromium's file system of a private window is not exact.
  await expect(card(page)).toContainText(/Loading 1\.\d MB of 3\.0 MB/);
  await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 2_500_000 });
  await expect(card(page).getByRole('alert')).toContainText(/no room left for it. Delete a model.*then resume/);
  await session.send('Storage.overrideQuotaForOrigin', { origin });
  hub.faults.bytesPerSecond = undefined;
  await button(card(page), 'Resume').click();
  await expect(card(page)).toContainText('as the hub lists it');
  expect(Number(/bytes=(\d+)-/.exec(hub.requests[1] ?? '')?.[1])).toBeGreaterThan(0);
});

test('offline is told; the connection’s return resumes by itself', async ({ page, context, hub, openModels }) => {
  await openModels();
  hub.faults.bytesPerSecond = 600_000;
  await startDownload(page);
  await expect(card(page)).toContainText('left');
  await context.setOffline(true);
  await hub.stop();
  await expect(card(page).getByText(/offline/)).toBeVisible();
  hub.heal();
  await hub.start();
  await context.setOffline(false);
  await expect(card(page)).toContainText('as the hub lists it');
});

test('two tabs do not download the same model at once', async ({ page, context, hub, openModels }) => {
  await openModels();
  hub.faults.bytesPerSecond = 600_000;
  await startDownload(page);
  await expect(card(page)).toContainText('left');
  const other = await context.newPage();
  await other.route(/models\/index\.json$/, (route) => route.fulfill({ json: [] }));
  await other.goto(page.url());
  await expect(card(other)).toContainText('Another tab is working on it.');
  await expect(button(card(other), 'Resume')).toHaveCount(0);
  await button(card(page), 'Pause').click();
  await expect(button(card(other), 'Resume')).toBeVisible();
  hub.heal();
  await button(card(other), 'Resume').click();
  await expect(card(other)).toContainText('as the hub lists it');
  await expect(button(card(page), 'Open')).toBeVisible();
});

test('a model by its address, a repository by its name, and addresses that are none', async ({
  page,
  hub,
  openModels,
}) => {
  await openModels();
  const field = page.getByLabel('Address or repository');
  const add = page.getByRole('button', { name: 'Add', exact: true });
  await field.fill('not an address');
  await add.click();
  await expect(page.getByRole('alert')).toContainText('neither an address');
  await field.fill(`${hub.url}/${SMOLLM2}/blob/main/SmolLM2-135M-Instruct.Q8_0.gguf`);
  await add.click();
  const byUrl = card(page, 'SmolLM2-135M-Instruct.Q8_0.gguf');
  await expect(byUrl).toContainText('told by nobody to compare with');
  await field.fill(SMOLLM2);
  await add.click();
  await button(page, 'Download…', SMOLLM2).click();
  await page.getByRole('button', { name: /^Download 6\.0 MB/ }).click();
  await expect(card(page, 'SmolLM2-135M-Instruct-GGUF')).toContainText('as the hub lists it');
});

test('a local file is used once, or kept', async ({ page, openModels }) => {
  await openModels();
  const input = page.getByLabel('GGUF to add');
  const mine = { name: 'mine.gguf', mimeType: '', buffer: Buffer.from(ggufLike(100_000)) };
  await input.setInputFiles(mine);
  await page.getByRole('button', { name: 'Use once' }).click();
  await expect(page.getByRole('button', { name: 'Model: mine.gguf , ready' })).toBeVisible();
  await expect(card(page, 'mine')).toHaveCount(0);
  await page.getByRole('button', { name: 'Keep a copy' }).click();
  await expect(card(page, 'mine')).toContainText('Copied from mine.gguf');
  await button(card(page, 'mine'), 'Check', 'mine').click();
  await expect(card(page, 'mine')).toContainText('Every byte is what it was when it came.');
  await page.reload();
  await button(card(page, 'mine'), 'Open', 'mine').click();
  await expect(page.getByRole('button', { name: 'Model: mine , ready' })).toBeVisible();

  await input.setInputFiles({ name: 'text.gguf', mimeType: '', buffer: Buffer.from('no model') });
  await page.getByRole('button', { name: 'Keep a copy' }).click();
  await expect(page.getByRole('alert')).toContainText('does not begin as a GGUF file does');
});

test('a file that the disk changed is found by a check, told, and downloaded again', async ({ page, openModels }) => {
  await openModels();
  await startDownload(page);
  await expect(card(page)).toContainText('as the hub lists it');
  await page.evaluate(async (at) => {
    const models = await (await navigator.storage.getDirectory()).getDirectoryHandle('models');
    const keys = (folder: FileSystemDirectoryHandle) =>
      (folder as unknown as { keys(): AsyncIterableIterator<string> }).keys();
    const folder = await models.getDirectoryHandle((await keys(models).next()).value);
    const file = await folder.getFileHandle((await keys(folder).next()).value);
    const writer = await file.createWritable({ keepExistingData: true });
    await writer.write({ type: 'write', position: at, data: new Uint8Array([1, 2, 3]) });
    await writer.close();
  }, SIZE / 2);
  await button(card(page), 'Check').click();
  await expect(card(page).getByRole('alert')).toContainText('incomplete or changed');
  await button(card(page), 'Download again').click();
  await expect(card(page)).toContainText('as the hub lists it');
});

test('another hub address is remembered', async ({ page, openModels }) => {
  await openModels();
  await page.getByText('Where models are looked up').click();
  await page.getByLabel(/Address of the hub/).fill('https://mirror.example/hub/');
  await page.getByRole('button', { name: 'Use', exact: true }).click();
  await expect(page.getByText('Where models are looked up: mirror.example')).toBeVisible();
  expect(await page.evaluate(() => localStorage.getItem('lavin.hub'))).toBe('https://mirror.example/hub');
});

test('storage is told, and keeping it is asked for and answered', async ({ page, openModels }) => {
  await openModels();
  await expect(page.getByText(/kept, of [\d.]+ GB that the browser allows/)).toBeVisible();
  await page.getByRole('button', { name: 'Keep on this device' }).click();
  await expect(page.getByText(/The browser (did not promise|has promised)|the browser has promised/)).toBeVisible();
});

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [360, 1280]) {
    test(`axe finds nothing serious in Models: ${colorScheme}, ${width} px`, async ({ page, hub, openModels }) => {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: 800 });
      await openModels();
      await startDownload(page);
      await expect(card(page)).toContainText('as the hub lists it');
      hub.faults.bytesPerSecond = 200_000;
      await page
        .getByLabel('Address or repository')
        .fill(`${hub.url}/${SMOLLM2}/resolve/main/SmolLM2-135M-Instruct.Q8_0.gguf`);
      await page.getByRole('button', { name: 'Add', exact: true }).click();
      await expect(page.getByText('left')).toBeVisible();
      await button(page, 'Download…', 'TinyLlama 1.1B Chat').click();
      await expect(page.getByRole('alert')).toBeVisible();
      const serious = async () =>
        (await new AxeBuilder({ page }).analyze()).violations
          .filter(({ impact }) => impact === 'serious' || impact === 'critical')
          .map(({ id, nodes }) => ({ id, nodes: nodes.map(({ target }) => target) }));
      expect(await serious()).toEqual([]);
      await button(card(page), 'Delete').click();
      await expect(page.getByRole('dialog')).toBeVisible();
      expect(await serious()).toEqual([]);
    });
  }
}
