/**
 * A picture as the vision tower wants it: resized to a square with Pillow's antialiased bicubic filter, bit for bit, and
 * normalised. The aspect ratio is not kept and alpha is dropped without blending, as in LaVIN's own preprocessing.
 * Source: Pillow's `Resample.c` (separable, horizontal pass first, rounded to 8 bits between the passes, weights with 22
 * fractional bits); `tests/oracles/mma/mma_image.py`.
 */
import type { DecodedImage } from './image-header';

export { type DecodedImage, type ImageDecoder, ImageError } from './image-header';

const fractionalBits = 32 - 8 - 2;
const half = 1 << (fractionalBits - 1);

/** The taps of one output pixel: `weights[0..count)` on the inputs from `first`. */
interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** [output, `width`] integer weights. */
  readonly weights: Int32Array;
  readonly width: number;
}

/** The cubic of Keys with a = -0.5. */
function cubic(distance: number): number {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

function bicubicTaps(inputs: number, outputs: number): Taps {
  const scale = inputs / outputs;
  const stretch = Math.max(scale, 1);
  const radius = 2 * stretch;
  const width = Math.ceil(radius) * 2 + 1;
  const first = new Int32Array(outputs);
  const count = new Int32Array(outputs);
  const weights = new Int32Array(outputs * width);
  for (let o = 0; o < outputs; o++) {
    const centre = (o + 0.5) * scale;
    const low = Math.max(Math.trunc(centre - radius + 0.5), 0);
    const high = Math.min(Math.trunc(centre + radius + 0.5), inputs);
    const exact = Array.from({ length: high - low }, (_, i) => cubic((i + low - centre + 0.5) * (1 / stretch)));
    const total = exact.reduce((sum, weight) => sum + weight, 0);
    exact.forEach((weight, i) => {
      const share = (total === 0 ? weight : weight / total) * 2 ** fractionalBits;
      weights[o * width + i] = Math.trunc(share + (share >= 0 ? 0.5 : -0.5));
    });
    first[o] = low;
    count[o] = high - low;
  }
  return { first, count, weights, width };
}

const clampByte = (sum: number) => {
  const value = sum >> fractionalBits;
  return Math.min(Math.max(value, 0), 255);
};

/** RGBA [height, width, 4] to RGB [height, outWidth, 3]. A pass that changes no size only drops alpha. */
function resizeRows({ data, width, height }: DecodedImage, outWidth: number): Uint8Array {
  const out = new Uint8Array(height * outWidth * 3);
  if (width === outWidth) {
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) out[3 * i + c] = data[4 * i + c]!;
    }
    return out;
  }
  const taps = bicubicTaps(width, outWidth);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < outWidth; x++) {
      let [r, g, b] = [half, half, half];
      let source = (y * width + taps.first[x]!) * 4;
      const firstWeight = x * taps.width;
      for (let i = firstWeight; i < firstWeight + taps.count[x]!; i++, source += 4) {
        const weight = taps.weights[i]!;
        r += weight * data[source]!;
        g += weight * data[source + 1]!;
        b += weight * data[source + 2]!;
      }
      out[at++] = clampByte(r);
      out[at++] = clampByte(g);
      out[at++] = clampByte(b);
    }
  }
  return out;
}

/** RGB [height, width, 3] to [outHeight, width, 3]. */
function resizeColumns(rgb: Uint8Array, width: number, height: number, outHeight: number): Uint8Array {
  if (height === outHeight) return rgb;
  const taps = bicubicTaps(height, outHeight);
  const stride = width * 3;
  const out = new Uint8Array(outHeight * stride);
  const sums = new Float64Array(stride);
  for (let y = 0; y < outHeight; y++) {
    sums.fill(half);
    for (let i = 0; i < taps.count[y]!; i++) {
      const weight = taps.weights[y * taps.width + i]!;
      const source = (taps.first[y]! + i) * stride;
      for (let x = 0; x < stride; x++) sums[x]! += weight * rgb[source + x]!;
    }
    for (let x = 0; x < stride; x++) out[y * stride + x] = clampByte(sums[x]!);
  }
  return out;
}

/** RGB bytes [size, size, 3], equal to Pillow's `convert('RGB').resize((size, size), BICUBIC)`. */
export function resizeToSquare(image: DecodedImage, size: number): Uint8Array {
  return resizeColumns(resizeRows(image, size), size, image.height, size);
}

export interface Preprocessing {
  /** Side of the square in pixels. */
  readonly imageSize: number;
  /** Per channel, of values in [0, 1]. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** The vision tower's input: planar [3, size, size] float32, (byte / 255 - mean) / std rounded to float32 at each step. */
export function preprocessImage(image: DecodedImage, options: Preprocessing): Float32Array<ArrayBuffer> {
  const { imageSize: size, mean, std } = options;
  const rgb = resizeToSquare(image, size);
  const out = new Float32Array(3 * size * size);
  for (let c = 0; c < 3; c++) {
    const [m, s] = [Math.fround(mean[c]!), Math.fround(std[c]!)];
    const normalised = Float32Array.from({ length: 256 }, (_, v) => Math.fround(Math.fround(v / 255) - m) / s);
    for (let i = 0; i < size * size; i++) out[c * size * size + i] = normalised[rgb[3 * i + c]!]!;
  }
  return out;
}
