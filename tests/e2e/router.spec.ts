/** The router view on the scripted engine: (a) to (e) of the issue, and the ways it can stand in the way. */
import { readFile } from 'node:fs/promises';
import AxeBuilder from '@axe-core/playwright';
import type { Download, Locator, Page } from '@playwright/test';
import { fakeRouting } from './fake-engine';
import { FAKE_INPUT, fakeNorm } from './fake-explain';
import { ask, dropFile, expect, lastAnswer, picture, test } from './page';

const view = (page: Page): Locator => page.getByRole('main', { name: 'Router' });
const part = (page: Page, name: string | RegExp): Locator => view(page).getByRole('region', { name });
const button = (page: Page, name: string): Locator => view(page).getByRole('button', { name, exact: true });
const prompt = (page: Page): Locator => view(page).getByRole('textbox', { name: 'Prompt', exact: true });

async function openRouter(page: Page): Promise<void> {
  await page.getByRole('link', { name: 'Router', exact: true }).click();
  await expect(button(page, 'Ask')).toBeVisible();
}

async function askHere(page: Page, text: string): Promise<void> {
  await prompt(page).fill(text);
  await button(page, 'Ask').click();
  await expect(button(page, 'Pin this run')).toBeVisible();
}

async function pick(page: Page, label: string, name: 'blue-disc' | 'red-disc'): Promise<void> {
  const buffer = await picture(name);
  await page.getByLabel(label).setInputFiles({ name: `${name}.png`, mimeType: 'image/png', buffer });
}

async function text(download: Download): Promise<string> {
  return readFile(await download.path(), 'utf8');
}

test('(a) LLM routers: both modalities, norms beside weights, exact in words and table', async ({ page, openPage }) => {
  await openPage();
  await openRouter(page);
  const section = part(page, 'Routers of the language model');
  const { text: textRow, image } = fakeRouting(6);
  const readout = section.locator('.readout li');
  await expect(readout.nth(0)).toContainText('weights 0.500 and 0.500; what they add is not measured');

  await askHere(page, 'Hello there');
  const norms = ([0, 1] as const).map((e) => textRow[1]![e] * fakeNorm(1, e, 'Hello there'));
  await section.getByRole('slider', { name: 'Read out layer' }).fill('2');
  await expect(readout.nth(0)).toContainText(
    `weights ${textRow[1]![0].toFixed(3)} and ${textRow[1]![1].toFixed(3)}; they add ${norms[0]!.toFixed(2)} (${((100 * norms[0]!) / FAKE_INPUT).toFixed(1)} %) and ${norms[1]!.toFixed(2)}`,
  );
  await expect(readout.nth(1)).toContainText('not measured: ask with a picture');

  await pick(page, 'Picture for the router view', 'blue-disc');
  await askHere(page, 'What is it?');
  await expect(readout.nth(1)).toContainText('they add');
  await section.getByText('The numbers as a table').click();
  const rows = section.locator('.number-table tbody tr');
  await expect(rows).toHaveCount(6);
  for (let layer = 0; layer < 6; layer++) {
    const cells = rows.nth(layer).locator('td');
    await expect(cells.nth(0)).toHaveText(textRow[layer]![0].toFixed(4));
    await expect(cells.nth(5)).toHaveText(image[layer]![1].toFixed(4));
  }
  // Pointing at a row reads it out too.
  const chart = (await section.getByRole('img').boundingBox())!;
  await page.mouse.move(chart.x + 60, chart.y + chart.height - 10);
  await expect(section.getByText('6 of 6')).toBeVisible();
});

test('(a) two prompts prove that the rows are equal', async ({ page, openPage }) => {
  await openPage();
  await openRouter(page);
  const section = part(page, 'Routers of the language model');
  await section.getByText('Prove it').click();
  await section.getByRole('textbox', { name: 'Prompt A' }).fill('One thing');
  await section.getByRole('textbox', { name: 'Prompt B' }).fill('Quite another');
  await section.getByRole('button', { name: 'Send both' }).click();
  await expect(section.getByText('Largest difference: 0.')).toBeVisible();
  const table = section.getByRole('table', { name: /measured at A “One thing” and B “Quite another”/ });
  await expect(table.locator('tbody tr')).toHaveCount(6);
  const { text: row } = fakeRouting(6);
  await expect(table.locator('tbody tr').nth(3).locator('td')).toHaveText([
    row[3]![0].toFixed(6),
    row[3]![0].toFixed(6),
    '0',
  ]);
});

test('(b) ViT routers: painted, played, read by keyboard, weight or share, two pictures', async ({
  page,
  openPage,
}) => {
  await openPage();
  await openRouter(page);
  const section = part(page, 'Routers of the vision tower');
  await expect(section).toContainText('Ask with a picture');
  await pick(page, 'Picture for the router view', 'blue-disc');
  await askHere(page, 'What is it?');
  const patch = section.getByRole('slider', { name: 'Patch of the picture' });
  await patch.focus();
  await page.keyboard.press('ArrowRight');
  const weight = (layer: number, token: number) => 0.5 + 0.3 * Math.sin(token * 0.9 + layer);
  await expect(patch).toHaveAttribute('aria-valuetext', new RegExp(`column 2: expert 1 ${weight(0, 2).toFixed(3)}`));
  await section.getByRole('slider', { name: 'Layer', exact: true }).fill('6');
  await expect(patch).toHaveAttribute('aria-valuetext', new RegExp(`expert 1 ${weight(5, 2).toFixed(3)}`));
  await section.getByRole('button', { name: 'Play through the layers' }).click();
  await expect(section.getByText('3 of 6').first()).toBeVisible();
  await section.getByRole('button', { name: 'Pause' }).click();
  await section.getByRole('radio', { name: 'share of what is added' }).check();
  // The scripted norms add up to 1, so that the share is the weight.
  await expect(patch).toHaveAttribute('aria-valuetext', /expert 1 0\.\d{3}/);

  await pick(page, 'Picture to compare with', 'red-disc');
  await expect(section.getByRole('slider', { name: 'Patch of picture 2, red-disc.png' })).toBeVisible();
  await expect(section.getByRole('slider', { name: 'Patch of picture 1, blue-disc.png' })).toBeVisible();
  await expect(section).toContainText('the same square differs by 0.000');
  await section.getByRole('button', { name: 'Remove the second picture' }).click();
  await expect(patch).toBeVisible();
});

test('(c) what if: presets and sliders, the answer again with its different words marked', async ({
  page,
  openPage,
}) => {
  await openPage();
  await openRouter(page);
  const section = part(page, 'What if?');
  await expect(section.getByRole('button', { name: 'Ask again' })).toBeDisabled();
  await askHere(page, 'Tell me');
  await expect(section.getByRole('button', { name: 'Ask again' })).toBeDisabled();
  await section.getByRole('button', { name: 'Swap the experts' }).click();
  await expect(section).toContainText('Now: language model, every layer: experts swapped.');
  await section.getByText('Layer by layer').click();
  await section.getByRole('combobox', { name: 'Layer 2: rule' }).selectOption('silent');
  await section.getByRole('slider', { name: 'Layer 3: weight of expert 1' }).fill('0.25');
  await expect(section).toContainText('layers 1, 4–6: experts swapped');
  await expect(section).toContainText('layer 3: set to 0.25 and 0.75');
  await section.getByRole('button', { name: 'As if with a picture' }).click();
  await section.getByRole('button', { name: 'Ask again' }).click();
  await expect(section.locator('mark.after')).toHaveText('whispered');
  await expect(section.locator('mark.before')).toHaveText('said');
  await expect(section).toContainText('1 of 10 words went, 1 of 10 are new.');
  await section.getByRole('radio', { name: 'vision tower' }).check();
  await section.getByRole('button', { name: 'Expert 1 alone' }).click();
  await expect(section).toContainText('vision tower, every layer: set to 1.00 and 0.00');
  await section.getByRole('button', { name: 'All as trained' }).click();
  await expect(section).toContainText('Now: as trained.');
});

test('(d) pinned runs: compared, kept over a reload, deleted', async ({ page, openPage }) => {
  await openPage();
  await openRouter(page);
  await pick(page, 'Picture for the router view', 'blue-disc');
  await askHere(page, 'What is it?');
  await button(page, 'Pin this run').click();
  await expect(button(page, 'Pinned')).toBeDisabled();
  await button(page, 'Silence the adapters').click();
  await button(page, 'Ask again').click();
  await button(page, 'Pin the changed run').click();
  const compared = part(page, 'Run 1 and run 2 compared');
  await expect(compared.locator('mark.after')).toHaveText('whispered');
  await expect(compared.locator('.readout li').nth(1)).toContainText('weights 0.000 and 0.000; they add 0.00');
  await expect(compared.getByRole('slider', { name: /^Patch of picture/ })).toHaveCount(2);

  await page.reload();
  const pins = part(page, 'Pinned runs');
  await expect(pins.getByRole('listitem', { name: /^Run 1: What is it/ })).toBeVisible();
  await expect(pins.getByRole('img', { name: 'blue-disc.png' })).toHaveCount(2);
  await pins.getByRole('checkbox', { name: 'compare' }).nth(0).check();
  await pins.getByRole('checkbox', { name: 'compare' }).nth(1).check();
  await expect(compared).toBeVisible();
  await pins.getByRole('button', { name: 'Delete run 1' }).click();
  await pins.getByRole('button', { name: 'Delete run 1' }).click();
  await expect(pins).toContainText('Nothing is pinned yet');
  await page.reload();
  await expect(pins).toContainText('Nothing is pinned yet');
});

test('(e) figures as PNG and SVG, numbers as CSV and JSON', async ({ page, openPage }) => {
  await openPage();
  await openRouter(page);
  await pick(page, 'Picture for the router view', 'blue-disc');
  await askHere(page, 'What is it?');
  const save = async (section: Locator, kind: string) => {
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      section.getByRole('button', { name: kind, exact: true }).first().click(),
    ]);
    return download;
  };
  const llm = part(page, 'Routers of the language model');
  const vit = part(page, 'Routers of the vision tower');

  const svg = await text(await save(llm, 'SVG'));
  expect(svg).toContain('xmlns="http://www.w3.org/2000/svg"');
  expect(svg).toContain('With a picture');
  expect(svg).toContain('Scripted starter: Routers of the language model');
  // Stands alone: no class, no variable of the page's stylesheet.
  expect(svg).not.toMatch(/class=|var\(/);
  expect(svg).toMatch(/fill="rgb\(47, 116, 198\)"/);
  for (const section of [llm, vit]) {
    const png = await readFile(await (await save(section, 'PNG')).path());
    expect(png.subarray(1, 4).toString()).toBe('PNG');
    expect(png.readUInt32BE(16)).toBeGreaterThan(600);
  }
  const painted = await text(await save(vit, 'SVG'));
  // Ground, scale and the 16 squares.
  expect(painted.match(/<rect /g)).toHaveLength(2 + 16);
  expect(painted).toContain('href="data:image/png;base64,');

  const csv = (await text(await save(llm, 'CSV'))).trimEnd().split('\r\n');
  expect(csv).toHaveLength(1 + 12);
  const { image } = fakeRouting(6);
  const [panel, , layer, first] = csv[7]!.split(',');
  expect([panel, layer, Number(first)]).toEqual(['With a picture', '1', image[0]![0]]);
  expect((await text(await save(vit, 'CSV'))).trimEnd().split('\r\n')).toHaveLength(1 + 6 * 17);
  const json = JSON.parse(await text(await save(llm, 'JSON')));
  expect(json.panels[1].readings[0].weights).toEqual(image[0]);
  expect(json.panels[0].pairs).toEqual(fakeRouting(6).text);
});

test('(e) the address holds the view and no word of the prompt; a link brings it back', async ({
  page,
  openPage,
  context,
}) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await openPage();
  await openRouter(page);
  await askHere(page, 'A secret question');
  expect(new URL(page.url()).hash).toBe('#/router');
  await button(page, 'Swap the experts').click();
  await part(page, 'Routers of the language model').getByRole('slider', { name: 'Read out layer' }).fill('4');
  await expect(page).toHaveURL(/#\/router\?.*model=starter.*layer=4.*llm-attn=1x_2x_3x_4x_5x_6x/);
  expect(page.url()).not.toContain('secret');
  await button(page, 'Copy a link to this view').click();
  await expect(view(page).getByText('The link is in the clipboard.')).toBeVisible();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link).not.toContain('secret');
  await view(page).getByRole('checkbox', { name: 'with the prompt’s words' }).check();
  await button(page, 'Copy a link to this view').click();
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toContain('prompt=A+secret+question');
  const told = await page.evaluate(() => navigator.clipboard.readText());

  await page.goto('about:blank');
  await page.goto(told);
  await expect(prompt(page)).toHaveValue('A secret question');
  await expect(part(page, 'What if?')).toContainText('Now: language model, every layer: experts swapped.');
  await expect(part(page, 'Routers of the language model').getByText('4 of 6')).toBeVisible();
});

test('begins with the chat’s newest prompt and picture, and keeps what it found behind other places', async ({
  page,
  openPage,
}) => {
  await openPage();
  await dropFile(page, 'blue.png', 'image/png', await picture('blue-disc'));
  await ask(page, 'What colour is it?');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  await openRouter(page);
  await expect(prompt(page)).toHaveValue('What colour is it?');
  await expect(view(page).getByRole('img', { name: 'The picture: blue.png' })).toBeVisible();
  await prompt(page).press('Enter');
  await expect(part(page, 'The answer')).toContainText('You said **What colour is it?**');
  await expect(button(page, 'Pin this run')).toBeVisible();
  // A picture dropped here is this view's own.
  await dropFile(page, 'red.png', 'image/png', await picture('red-disc'));
  await expect(view(page).getByRole('img', { name: 'The picture: red.png' })).toBeVisible();
  await page.getByRole('link', { name: 'Chat', exact: true }).click();
  await expect(page.getByRole('img', { name: 'Attached: red.png' })).toHaveCount(0);
  await page.getByRole('link', { name: 'Router', exact: true }).click();
  await expect(part(page, 'The answer')).toContainText('You said **What colour is it?**');
});

test('stops at once; the chat has the right of way', async ({ page, openPage }) => {
  await openPage({ tokenMs: 30 });
  await openRouter(page);
  await prompt(page).fill('count to a hundred');
  await button(page, 'Ask').click();
  await expect(view(page).locator('.router-answer')).toContainText('1 2 3');
  await button(page, 'Stop').click();
  await expect(button(page, 'Pin this run')).toBeVisible();
  await button(page, 'Ask').click();
  await expect(button(page, 'Stop')).toBeVisible();
  await page.getByRole('link', { name: 'Chat', exact: true }).click();
  await ask(page, 'Me first');
  await expect(lastAnswer(page)).toContainText('tokens/s');
  await ask(page, 'count again');
  await expect(lastAnswer(page)).toContainText('1 2 3');
  await page.getByRole('link', { name: 'Router', exact: true }).click();
  await expect(view(page)).toContainText('The chat is being answered.');
  await expect(button(page, 'Ask')).toBeDisabled();
});

test('a model without adapters says so', async ({ page, openPage }) => {
  await openPage({ adapters: false });
  await page.getByRole('link', { name: 'Router', exact: true }).click();
  await expect(view(page).getByRole('heading', { name: 'This model has no routers' })).toBeVisible();
});

test('a model without eyes has the language model’s routers alone', async ({ page, openPage }) => {
  await openPage({ canSee: false });
  await openRouter(page);
  await expect(button(page, 'Add a picture')).toHaveCount(0);
  await expect(part(page, 'Routers of the vision tower')).toHaveCount(0);
  await askHere(page, 'Only words');
  await expect(part(page, 'Routers of the language model').locator('.readout li').nth(0)).toContainText('they add');
});

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [360, 1280]) {
    test(`axe finds nothing serious, nothing overflows: ${colorScheme}, ${width} px`, async ({ page, openPage }) => {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: 800 });
      await openPage();
      await dropFile(page, 'blue.png', 'image/png', await picture('blue-disc'));
      await ask(page, 'What is it?');
      await expect(lastAnswer(page)).toContainText('tokens/s');
      await openRouter(page);
      await askHere(page, 'What is it?');
      await button(page, 'Pin this run').click();
      await button(page, 'Swap the experts').click();
      await view(page).getByText('Layer by layer').click();
      await button(page, 'Ask again').click();
      await button(page, 'Pin the changed run').click();
      await view(page).getByText('Prove it').click();
      await button(page, 'Send both').click();
      await expect(view(page).getByText('Largest difference: 0.')).toBeVisible();
      for (const summary of await view(page).getByText('The numbers as a table').all()) await summary.click();
      const { violations } = await new AxeBuilder({ page }).analyze();
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      expect(serious.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ target }) => target) }))).toEqual([]);
      const ids = await page.evaluate(() => Array.from(document.querySelectorAll('[id]'), ({ id }) => id));
      expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
      expect(await view(page).evaluate((element) => element.scrollWidth - element.clientWidth)).toBe(0);
    });
  }
}
