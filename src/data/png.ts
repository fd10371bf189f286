/**
 * A PNG reader for browser and Node alike. A canvas cannot serve: it keeps premultiplied colours, so the colour under
 * transparent pixels, which the reference sees, is lost. Inflating is the platform's `DecompressionStream`; memory is
 * bounded by the size in the header, whatever the file inflates to. Ancillary chunks (gamma, profiles) are ignored, as
 * Pillow does; 16-bit samples keep their high byte.
 * Source: https://www.w3.org/TR/png-3/
 */
import { checkPixels, type DecodedImage, ImageError } from './image-header';

interface Layout {
  readonly width: number;
  readonly height: number;
  /** Bits per sample: 1, 2, 4, 8, 16. */
  readonly depth: number;
  /** Samples per pixel. */
  readonly channels: number;
  readonly colourType: number;
}

const channelsOf: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const depthsOf: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};
/** x and y of the first pixel, then steps, of the seven Adam7 passes. */
const adam7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/**
 * @returns RGBA, straight alpha, not turned by EXIF.
 * @throws ImageError `format` for a damaged or truncated file, `limit` for too many pixels.
 */
export async function decodePng(bytes: Uint8Array<ArrayBuffer>): Promise<DecodedImage> {
  const { layout, interlaced, palette, transparency, data } = readChunks(bytes);
  const { width, height } = layout;
  const passes = interlaced ? adam7 : ([[0, 0, 1, 1]] as const);
  const sizes = passes.map(([x, y, stepX, stepY]) => ({
    columns: Math.max(0, Math.ceil((width - x) / stepX)),
    rows: Math.max(0, Math.ceil((height - y) / stepY)),
  }));
  const rowBytes = (columns: number) => Math.ceil((columns * layout.channels * layout.depth) / 8);
  const expected = sizes.reduce((sum, { columns, rows }) => sum + (columns ? rows * (1 + rowBytes(columns)) : 0), 0);
  const filtered = await inflate(data, expected);

  const out = new Uint8ClampedArray(width * height * 4);
  const pixelBytes = Math.max(1, (layout.channels * layout.depth) >> 3);
  let at = 0;
  passes.forEach(([x0, y0, stepX, stepY], pass) => {
    const { columns, rows } = sizes[pass]!;
    if (columns === 0) return;
    const length = rowBytes(columns);
    let previous: Uint8Array = new Uint8Array(length);
    for (let row = 0; row < rows; row++, at += length + 1) {
      const line = filtered.subarray(at + 1, at + 1 + length);
      unfilter(filtered[at]!, line, previous, pixelBytes);
      expandRow(line, columns, layout, palette, transparency, out, ((y0 + row * stepY) * width + x0) * 4, stepX * 4);
      previous = line;
    }
  });
  return { width, height, data: out };
}

function readChunks(bytes: Uint8Array<ArrayBuffer>) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 33) throw damaged('it ends in its header');
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  checkPixels(width, height);
  const [depth, colourType, compression, filter, interlace] = bytes.subarray(24, 29);
  if (!depthsOf[colourType!]?.includes(depth!) || compression !== 0 || filter !== 0 || interlace! > 1) {
    throw damaged('its header is not one of a PNG');
  }
  let palette: Uint8Array | undefined;
  let transparency: Uint8Array | undefined;
  const data: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (type === 'IEND') break;
    if (type === 'PLTE') palette = body;
    else if (type === 'tRNS') transparency = body;
    else if (type === 'IDAT') data.push(body);
    at += 12 + length;
  }
  if (data.length === 0) throw damaged('it has no pixel data');
  if (colourType === 3 && !palette) throw damaged('its palette is missing');
  const layout: Layout = { width, height, depth: depth!, channels: channelsOf[colourType!]!, colourType: colourType! };
  return { layout, interlaced: interlace === 1, palette, transparency, data };
}

/** Inflates until `expected` bytes are there; what follows is never produced. */
async function inflate(parts: readonly Uint8Array<ArrayBuffer>[], expected: number): Promise<Uint8Array> {
  const out = new Uint8Array(expected);
  const reader = new Blob([...parts]).stream().pipeThrough(new DecompressionStream('deflate')).getReader();
  let filled = 0;
  try {
    while (filled < expected) {
      const { done, value } = await reader.read();
      if (done) break;
      out.set(value.subarray(0, expected - filled), filled);
      filled += value.length;
    }
  } catch (error) {
    throw damaged('its pixel data cannot be unpacked', error);
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  if (filled < expected) throw damaged('it ends too early');
  return out;
}

/** Undoes a row's filter in place; `previous` is the row above, unfiltered. */
function unfilter(kind: number, line: Uint8Array, previous: Uint8Array, pixelBytes: number): void {
  if (kind > 4) throw damaged('a row has an unknown filter');
  if (kind === 0) return;
  for (let i = 0; i < line.length; i++) {
    const left = i >= pixelBytes ? line[i - pixelBytes]! : 0;
    const up = previous[i]!;
    if (kind === 1) line[i]! += left;
    else if (kind === 2) line[i]! += up;
    else if (kind === 3) line[i]! += (left + up) >> 1;
    else {
      const corner = i >= pixelBytes ? previous[i - pixelBytes]! : 0;
      const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
      line[i]! += a <= b && a <= c ? left : b <= c ? up : corner;
    }
  }
}

/** Writes one unfiltered row of any colour type as RGBA, `step` bytes from pixel to pixel. */
function expandRow(
  line: Uint8Array,
  columns: number,
  { depth, channels, colourType }: Layout,
  palette: Uint8Array | undefined,
  transparency: Uint8Array | undefined,
  out: Uint8ClampedArray,
  start: number,
  step: number,
): void {
  const mask = (1 << depth) - 1;
  const raw = (index: number) =>
    depth === 8
      ? line[index]!
      : depth === 16
        ? (line[2 * index]! << 8) | line[2 * index + 1]!
        : (line[(index * depth) >> 3]! >> (8 - depth - ((index * depth) & 7))) & mask;
  const toByte = (value: number) => (depth === 8 ? value : depth === 16 ? value >> 8 : (value * 255) / mask);
  const key = (channel: number) => (transparency![2 * channel]! << 8) | transparency![2 * channel + 1]!;
  for (let x = 0, at = start; x < columns; x++, at += step) {
    const first = x * channels;
    let alpha = 255;
    if (colourType === 3) {
      const index = raw(first);
      if (3 * index + 2 >= palette!.length) throw damaged('a pixel lies outside its palette');
      for (let c = 0; c < 3; c++) out[at + c] = palette![3 * index + c]!;
      alpha = transparency?.[index] ?? 255;
    } else {
      const grey = channels < 3;
      for (let c = 0; c < 3; c++) out[at + c] = toByte(raw(grey ? first : first + c));
      if (colourType >= 4) alpha = toByte(raw(first + channels - 1));
      else if (transparency && transparency.length >= 2 * channels) {
        let matches = true;
        for (let c = 0; c < channels; c++) matches &&= raw(first + c) === key(c);
        if (matches) alpha = 0;
      }
    }
    out[at + 3] = alpha;
  }
}

function damaged(what: string, cause?: unknown): ImageError {
  return new ImageError('format', `The PNG is damaged: ${what}. Try another copy.`, { cause });
}
