/**
 * What an encoded picture says about itself, read from its first bytes without decoding: enough to refuse a picture
 * that would not fit in memory, and to turn it the way its camera was held.
 */

/** A row-major picture, RGBA with straight (not premultiplied) alpha, already turned upright. */
export interface DecodedImage {
  readonly width: number;
  readonly height: number;
  /** width * height * 4 bytes. */
  readonly data: Uint8ClampedArray;
}

/** The port by which browser and Node hand over a decoder. Rejects with {@link ImageError}. */
export type ImageDecoder = (bytes: Uint8Array<ArrayBuffer>) => Promise<DecodedImage>;

/** `message` names the cause and the next action, ready to be shown. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
  constructor(
    readonly code: 'limit' | 'format' | 'unsupported',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export type ImageKind = 'png' | 'jpeg' | 'gif' | 'webp' | 'bmp';

/** EXIF's tag 0x0112: 1 upright, 2 mirrored, 3 upside down, ..., 8 turned a quarter left. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

export interface ImageHeader {
  readonly kind: ImageKind;
  /** As stored, before the orientation is applied. */
  readonly width: number;
  readonly height: number;
  readonly orientation: Orientation;
}

/** 64 megapixels are 256 MiB of RGBA: more than phones take, less than a tab may hold. */
export const maxPixels = 64 * 2 ** 20;

/**
 * Reads the size (and, of PNG and JPEG, the orientation) of a picture. Undefined for a kind it does not know.
 * @throws ImageError `format` if the header is damaged, `limit` if it has no or more than {@link maxPixels} pixels.
 */
export function readImageHeader(bytes: Uint8Array): ImageHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let header: ImageHeader | undefined;
  try {
    if (startsWith(bytes, 0, '\x89PNG\r\n\x1a\n')) header = pngHeader(bytes, view);
    else if (startsWith(bytes, 0, '\xff\xd8\xff')) header = jpegHeader(bytes, view);
    else if (startsWith(bytes, 0, 'GIF8')) header = upright('gif', view.getUint16(6, true), view.getUint16(8, true));
    else if (startsWith(bytes, 0, 'BM') && bytes.length > 26) header = bmpHeader(view);
    else if (startsWith(bytes, 0, 'RIFF') && startsWith(bytes, 8, 'WEBP')) header = webpHeader(bytes, view);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ImageError('format', 'The picture ends before its size is told; it may be cut off. Try another copy.');
  }
  if (header) checkPixels(header.width, header.height);
  return header;
}

/** @throws ImageError `limit` */
export function checkPixels(width: number, height: number): void {
  if (width < 1 || height < 1) throw new ImageError('format', 'The picture says that it has no pixels.');
  if (width * height <= maxPixels) return;
  const megapixels = Math.round((width * height) / 1e6);
  throw new ImageError(
    'limit',
    `The picture is ${width} x ${height} pixels (${megapixels} megapixels); the most is ` +
      `${Math.floor(maxPixels / 1e6)}. Make it smaller and try again.`,
  );
}

/** Turns a picture upright: EXIF orientations 2 to 8 mirror and rotate; no pixel value changes. */
export function applyOrientation(image: DecodedImage, orientation: Orientation): DecodedImage {
  if (orientation === 1) return image;
  const { width, height } = image;
  const swapped = orientation >= 5;
  const [outWidth, outHeight] = swapped ? [height, width] : [width, height];
  const source = new Uint32Array(image.data.buffer, image.data.byteOffset, width * height);
  const turned = new Uint32Array(width * height);
  // Walking right in the output moves `stepX` in the source, walking down moves `stepY`, from `origin`.
  const mirrorX = orientation === 2 || orientation === 3 || orientation === 7 || orientation === 8;
  const mirrorY = orientation === 3 || orientation === 4 || orientation === 6 || orientation === 7;
  const origin = (mirrorX ? width - 1 : 0) + (mirrorY ? height - 1 : 0) * width;
  const alongX = mirrorX ? -1 : 1;
  const alongY = mirrorY ? -width : width;
  const [stepX, stepY] = swapped ? [alongY, alongX] : [alongX, alongY];
  for (let y = 0, out = 0; y < outHeight; y++) {
    for (let x = 0, at = origin + y * stepY; x < outWidth; x++, at += stepX) turned[out++] = source[at]!;
  }
  return { width: outWidth, height: outHeight, data: new Uint8ClampedArray(turned.buffer) };
}

function upright(kind: ImageKind, width: number, height: number): ImageHeader {
  return { kind, width, height, orientation: 1 };
}

function pngHeader(bytes: Uint8Array, view: DataView): ImageHeader {
  if (!startsWith(bytes, 12, 'IHDR')) throw new ImageError('format', 'The PNG does not begin with its header.');
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  let orientation: Orientation = 1;
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    if (startsWith(bytes, at + 4, 'eXIf'))
      orientation = tiffOrientation(bytes.subarray(at + 8, at + 8 + view.getUint32(at)));
  }
  return { kind: 'png', width, height, orientation };
}

function jpegHeader(bytes: Uint8Array, view: DataView): ImageHeader {
  let orientation: Orientation = 1;
  for (let at = 2; ; ) {
    if (view.getUint8(at) !== 0xff) throw new ImageError('format', 'The JPEG is damaged before its size is told.');
    const marker = view.getUint8(at + 1);
    // Fill bytes, and markers that stand alone.
    if (marker === 0xff) at += 1;
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += 2;
    else {
      const length = view.getUint16(at + 2);
      const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
      if (isFrame) return { kind: 'jpeg', height: view.getUint16(at + 5), width: view.getUint16(at + 7), orientation };
      if (marker === 0xda || marker === 0xd9 || length < 2) {
        throw new ImageError('format', 'The JPEG does not tell its size.');
      }
      if (marker === 0xe1 && startsWith(bytes, at + 4, 'Exif\0\0')) {
        orientation = tiffOrientation(bytes.subarray(at + 10, at + 2 + length));
      }
      at += 2 + length;
    }
  }
}

function bmpHeader(view: DataView): ImageHeader {
  // A 12-byte core header has 16-bit sizes; a negative height means that rows run downwards.
  if (view.getUint32(14, true) === 12) return upright('bmp', view.getUint16(18, true), view.getUint16(20, true));
  return upright('bmp', view.getInt32(18, true), Math.abs(view.getInt32(22, true)));
}

function webpHeader(bytes: Uint8Array, view: DataView): ImageHeader | undefined {
  const uint24 = (at: number) => view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
  if (startsWith(bytes, 12, 'VP8X')) return upright('webp', uint24(24) + 1, uint24(27) + 1);
  if (startsWith(bytes, 12, 'VP8 ')) {
    return upright('webp', view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff);
  }
  if (!startsWith(bytes, 12, 'VP8L')) return undefined;
  const packed = view.getUint32(21, true);
  return upright('webp', (packed & 0x3fff) + 1, ((packed >>> 14) & 0x3fff) + 1);
}

/** The orientation in the first directory of a TIFF block; 1 where it is absent or nonsense, as viewers do. */
function tiffOrientation(tiff: Uint8Array): Orientation {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  if (tiff.length < 8) return 1;
  const little = startsWith(tiff, 0, 'II');
  const directory = view.getUint32(4, little);
  if (directory + 2 > tiff.length) return 1;
  const entries = view.getUint16(directory, little);
  for (let i = 0, at = directory + 2; i < entries && at + 12 <= tiff.length; i++, at += 12) {
    if (view.getUint16(at, little) !== 0x0112) continue;
    const value = view.getUint16(at + 8, little);
    return value >= 1 && value <= 8 ? (value as Orientation) : 1;
  }
  return 1;
}

/** Whether the bytes at `at` are the characters (code units below 256) of `text`. */
function startsWith(bytes: Uint8Array, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}
