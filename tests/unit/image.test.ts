import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decodeInNode } from '../../src/cli/decode-node';
import { preprocessImage, resizeToSquare } from '../../src/data/image';
import { applyOrientation, ImageError, type Orientation, readImageHeader } from '../../src/data/image-header';
import { expectClose, goldensFolder, loadGolden, readGolden } from '../goldens/golden';

const files = new URL('./data/images/', import.meta.url);
const expected = JSON.parse(readFileSync(new URL('expected.json', files), 'utf8')) as Record<
  string,
  { width: number; height: number; sha256: string; blockCentres?: number[][][] }
>;
const read = (name: string) => Uint8Array.from(readFileSync(new URL(name, files)));
const sha256 = (bytes: Uint8Array | Uint8ClampedArray) => createHash('sha256').update(bytes).digest('hex');

async function failure(bytes: Uint8Array<ArrayBuffer>): Promise<ImageError> {
  const error: unknown = await decodeInNode(bytes).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ImageError)) throw new Error(`expected an ImageError, got ${error}`);
  return error;
}

describe('preprocessing equals Pillow', () => {
  const cases = readdirSync(`${goldensFolder}/images`).filter((file) => file.endsWith('.png'));
  it('has cases', () => expect(cases.length).toBeGreaterThanOrEqual(6));
  it.each(cases)('%s', async (file) => {
    const golden = loadGolden(`images/${file.slice(0, -4)}`);
    const image = await decodeInNode(Uint8Array.from(readGolden(goldensFolder, `images/${file}`)));
    const { size, mean, std, resized_rgb_sha256 } = golden.meta;
    const rgb = resizeToSquare(image, size);
    const rows = [...golden.i32('row_index')].flatMap((row) => [...rgb.subarray(row * size * 3, (row + 1) * size * 3)]);
    expectClose(`${file} rows`, rows, golden.u8('resized_rows_u8'), 0);
    expect(sha256(rgb)).toBe(resized_rgb_sha256);

    const planes = preprocessImage(image, { imageSize: size, mean, std });
    const grid = [...golden.i32('grid_index')];
    const sampled = [0, 1, 2].flatMap((c) => grid.flatMap((y) => grid.map((x) => planes[(c * size + y) * size + x]!)));
    expectClose(`${file} normalised`, sampled, golden.f32('normalized_grid'), 0);
  });
});

describe('decoding in Node', () => {
  const pngs = Object.keys(expected).filter((name) => name.endsWith('.png'));
  it('has every colour type, depth, interlacing and orientation', () => expect(pngs.length).toBe(18));
  it.each(pngs)('%s equals Pillow', async (name) => {
    const { width, height, data } = await decodeInNode(read(name));
    expect({ width, height, sha256: sha256(data) }).toEqual(expected[name]);
  });

  it.each(['orientation-6.jpg', 'progressive.jpg'])('%s is within two levels of Pillow', async (name) => {
    const { width, height, data } = await decodeInNode(read(name));
    const want = expected[name]!;
    expect([width, height]).toEqual([want.width, want.height]);
    const centres = want.blockCentres!.flatMap((row, j) =>
      row.flatMap((_, i) => [...data.subarray(4 * ((8 + 16 * j) * width + 8 + 16 * i)).subarray(0, 3)]),
    );
    expectClose(name, centres, want.blockCentres!.flat(2), 2);
  });

  it('turns each orientation back to the same picture', () => {
    const image = { width: 3, height: 2, data: Uint8ClampedArray.from({ length: 24 }, (_, i) => i) };
    const back: Record<Orientation, Orientation> = { 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6 };
    for (const [there, again] of Object.entries(back)) {
      expect(applyOrientation(applyOrientation(image, Number(there) as Orientation), again)).toEqual(image);
    }
  });
});

describe('files that lie', () => {
  it('refuses a bomb by its header, before decoding', async () => {
    const png = read('rgba.png');
    new DataView(png.buffer).setUint32(16, 20_000);
    new DataView(png.buffer).setUint32(20, 20_000);
    expect(await failure(png)).toMatchObject({ code: 'limit', message: expect.stringContaining('20000 x 20000') });

    const jpeg = read('orientation-6.jpg');
    const frame = jpeg.findIndex((byte, i) => byte === 0xff && jpeg[i + 1] === 0xc0);
    new DataView(jpeg.buffer).setUint32(frame + 5, 0xfff0fff0);
    expect(await failure(jpeg)).toMatchObject({ code: 'limit' });
  });

  it('makes no more pixels than the header says, whatever the file inflates to', async () => {
    const png = read('rgba.png');
    new DataView(png.buffer).setUint32(20, 2);
    const { height, data } = await decodeInNode(png);
    expect([height, data.length]).toEqual([2, 13 * 2 * 4]);
  });

  it('refuses a picture without pixels', async () => {
    const png = read('rgba.png');
    new DataView(png.buffer).setUint32(16, 0);
    expect(await failure(png)).toMatchObject({ code: 'format' });
  });

  it.each(['rgba.png', 'palette4.png', 'rgb16-interlaced.png'])('%s cut anywhere fails as damaged', async (name) => {
    const whole = read(name);
    // The last 16 bytes are the data's checksum and the end marker, which no pixel needs.
    for (let length = 8; length < whole.length - 24; length += 7) {
      expect(await failure(whole.slice(0, length)), `${length} bytes`).toMatchObject({ code: 'format' });
    }
  });

  it('a JPEG cut anywhere is refused or decoded, never a crash of another kind', async () => {
    const whole = read('orientation-6.jpg');
    for (let length = 3; length < whole.length; length += 41) {
      const cut = whole.slice(0, length);
      await decodeInNode(cut).catch((error: unknown) => expect(error).toBeInstanceOf(ImageError));
    }
    expect(await failure(whole.slice(0, 40))).toMatchObject({ code: 'format' });
  });

  it('names what it can read', async () => {
    expect(await failure(new TextEncoder().encode('not a picture'))).toMatchObject({ code: 'unsupported' });
  });

  it('reads sizes of kinds that only the browser decodes', () => {
    const gif = new Uint8Array([...new TextEncoder().encode('GIF89a'), 0x2c, 1, 7, 0]);
    expect(readImageHeader(gif)).toMatchObject({ kind: 'gif', width: 300, height: 7 });
    const webp = new Uint8Array(30);
    webp.set(new TextEncoder().encode('RIFF....WEBPVP8X'));
    webp.set([43, 1, 0, 6, 0, 0], 24);
    expect(readImageHeader(webp)).toMatchObject({ kind: 'webp', width: 300, height: 7 });
  });
});
