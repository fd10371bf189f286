/**
 * Node's picture decoder: PNG by our own reader, JPEG by `jpeg-js`. JPEG decoders differ by a level or two per pixel
 * (inverse cosine transform, chroma upsampling), so a JPEG's logits here may differ slightly from the page's; PNGs are
 * exact in both.
 */
import { decode as decodeJpeg } from 'jpeg-js';
import { applyOrientation, type ImageDecoder, ImageError, maxPixels, readImageHeader } from '../data/image-header';
import { decodePng } from '../data/png';

export const decodeInNode: ImageDecoder = async (bytes) => {
  const header = readImageHeader(bytes);
  if (header?.kind === 'png') return applyOrientation(await decodePng(bytes), header.orientation);
  if (header?.kind !== 'jpeg') {
    throw new ImageError(
      'unsupported',
      'The command line reads PNG and JPEG pictures. Convert this one and try again.',
    );
  }
  try {
    const options = {
      useTArray: true,
      formatAsRGBA: true,
      maxResolutionInMP: maxPixels / 1e6 + 1,
      maxMemoryUsageInMB: 2048,
    } as const;
    const { width, height, data } = decodeJpeg(bytes, options);
    const pixels = new Uint8ClampedArray(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    return applyOrientation({ width, height, data: pixels }, header.orientation);
  } catch (error) {
    throw new ImageError('format', 'The JPEG is damaged or of a kind that the command line cannot decode.', {
      cause: error,
    });
  }
};
