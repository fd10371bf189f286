import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@playwright/test';
import { createServer, type ViteDevServer } from 'vite';

const folder = new URL('../unit/data/images/', import.meta.url);
const expected = JSON.parse(readFileSync(new URL('expected.json', folder), 'utf8')) as Record<
  string,
  { width: number; height: number; sha256: string; blockCentres?: number[][][] }
>;

/** The picture decoder by itself, from its source: the built page does not show what it decodes. */
let server: ViteDevServer;
test.beforeAll(async () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  server = await createServer({
    root,
    configFile: false,
    logLevel: 'error',
    server: { port: 0, hmr: false, watch: null },
  });
  await server.listen();
});
test.afterAll(() => server.close());

test('the browser decodes every test picture as Pillow does', async ({ page }) => {
  const origin = server.resolvedUrls!.local[0]!;
  await page.route(`${origin}blank`, (route) =>
    route.fulfill({ contentType: 'text/html', body: '<title>blank</title>' }),
  );
  await page.goto(`${origin}blank`);
  for (const [name, want] of Object.entries(expected)) {
    const got = await page.evaluate(
      async ([file, base64]) => {
        const decoder = '/src/data/decode-browser.ts';
        const { decodeInBrowser } = (await import(/* @vite-ignore */ decoder)) as {
          decodeInBrowser: (bytes: Uint8Array) => Promise<{ width: number; height: number; data: Uint8ClampedArray }>;
        };
        const { width, height, data } = await decodeInBrowser(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
        const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array(data)));
        const sha256 = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
        return { file, width, height, sha256, pixels: [...data] };
      },
      [name, readFileSync(new URL(name, folder)).toString('base64')] as const,
    );
    expect([got.width, got.height], name).toEqual([want.width, want.height]);
    if (!want.blockCentres) expect(got.sha256, name).toBe(want.sha256);
    want.blockCentres?.flat().forEach((centre, i) => {
      const columns = want.blockCentres![0]!.length;
      const at = 4 * ((8 + 16 * Math.floor(i / columns)) * got.width + 8 + 16 * (i % columns));
      for (let c = 0; c < 3; c++) {
        expect(Math.abs(got.pixels[at + c]! - centre[c]!), `${name}, block ${i}`).toBeLessThanOrEqual(2);
      }
    });
  }
});
