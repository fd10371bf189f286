/**
 * The browser's picture decoder. PNGs go through our own reader, so that colours under transparent pixels survive;
 * everything else the browser knows (JPEG, WebP, GIF, AVIF, BMP) through `createImageBitmap`, without colour management,
 * turned upright by the browser as EXIF says. Half-transparent pixels of WebP, GIF and AVIF pass through a premultiplied
 * canvas and may come back a few levels off. Runs in a worker.
 */
import { applyOrientation, checkPixels, type ImageDecoder, ImageError, readImageHeader } from './image-header';
import { decodePng } from './png';

export const decodeInBrowser: ImageDecoder = async (bytes) => {
  const header = readImageHeader(bytes);
  if (header?.kind === 'png') return applyOrientation(await decodePng(bytes), header.orientation);
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes]), {
      imageOrientation: 'from-image',
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
    });
  } catch (error) {
    throw new ImageError(
      header ? 'format' : 'unsupported',
      header
        ? 'The browser cannot decode this picture; it may be damaged. Try another copy.'
        : 'This is not a picture that the browser can read. Use a PNG, JPEG, WebP, GIF, AVIF or BMP file.',
      { cause: error },
    );
  }
  try {
    const { width, height } = bitmap;
    checkPixels(width, height);
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
    if (!context) throw new ImageError('unsupported', 'The browser gives no canvas to read the picture with.');
    context.drawImage(bitmap, 0, 0);
    return { width, height, data: context.getImageData(0, 0, width, height).data };
  } finally {
    bitmap.close();
  }
};
