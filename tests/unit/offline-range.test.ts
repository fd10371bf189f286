import { expect, it } from 'vitest';
import { sliceRange } from '../../app/offline/range';

const whole = () =>
  new Response(new Uint8Array([10, 11, 12, 13, 14]), {
    headers: { 'Content-Type': 'application/octet-stream', ETag: '"x"', 'Content-Length': '5' },
  });
const bytes = async (response: Response) => [...new Uint8Array(await response.arrayBuffer())];

it.each([
  ['bytes=1-3', 'bytes 1-3/5', [11, 12, 13]],
  ['bytes=0-0', 'bytes 0-0/5', [10]],
  ['bytes=3-', 'bytes 3-4/5', [13, 14]],
  ['bytes=2-99', 'bytes 2-4/5', [12, 13, 14]],
])('%s', async (range, told, content) => {
  const part = await sliceRange(whole(), range);
  expect(part.status).toBe(206);
  expect(part.headers.get('content-range')).toBe(told);
  expect(part.headers.get('content-length')).toBe(String(content.length));
  expect(part.headers.get('etag')).toBe('"x"');
  expect(await bytes(part)).toEqual(content);
});

it('past the end there is nothing', async () => {
  const none = await sliceRange(whole(), 'bytes=5-9');
  expect([none.status, none.headers.get('content-range')]).toEqual([416, 'bytes */5']);
});

it('without a plain range the whole comes', async () => {
  for (const range of [null, 'bytes=-2', 'bytes=0-1,3-4']) {
    const all = await sliceRange(whole(), range);
    expect([all.status, await bytes(all)]).toEqual([200, [10, 11, 12, 13, 14]]);
  }
});
