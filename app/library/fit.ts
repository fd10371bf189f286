/** Whether a model fits this device's GPU, in words, before it is downloaded. Estimates: no browser tells GPU memory. */
import { formatBytes } from '../format';

/** What the cache of keys and values takes follows from these. */
export interface KvShape {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** What is known of the device. */
export interface Device {
  /** Largest GPU buffer in bytes; undefined before the GPU was opened. */
  readonly maxBufferBytes: number | undefined;
  /** `navigator.deviceMemory` in GiB: rounded and capped by the browser; undefined where it does not tell. */
  readonly memoryGiB: number | undefined;
}

export interface Fit {
  readonly level: 'fits' | 'tight' | 'over';
  readonly words: string;
}

/** Tokens of context that the engine reserves unless a manifest says otherwise. */
export const CONTEXT = 2048;
/** Where the browser tells nothing: what a plain laptop can give. */
const ASSUMED_BYTES = 4e9;

/** Bytes of f16 keys and values for {@link CONTEXT} tokens. */
export function kvBytes({ layers, kvHeads, headDim }: KvShape): number {
  return layers * kvLayerBytes({ kvHeads, headDim });
}

function kvLayerBytes({ kvHeads, headDim }: Omit<KvShape, 'layers'>): number {
  return 2 * kvHeads * headDim * CONTEXT * 2;
}

/**
 * GPU memory of a model: its weights as they lie in the file, keys and values, and a twentieth for activations and
 * scratch. SmolLM2 135M in Q4_1 is told as 151 MB and was measured at 148 MB.
 */
export function gpuBytes(fileBytes: number, shape: KvShape | undefined): number {
  return fileBytes * 1.05 + (shape ? kvBytes(shape) : 0);
}

/** GPU memory that we count on. */
export function budget({ memoryGiB }: Device): number {
  return memoryGiB === undefined ? ASSUMED_BYTES : memoryGiB * 0.5e9;
}

export function fit(fileBytes: number, shape: KvShape | undefined, device: Device): Fit {
  const needed = gpuBytes(fileBytes, shape);
  const allowed = budget(device);
  const about = `about ${formatBytes(needed)} of GPU memory`;
  if (shape && device.maxBufferBytes !== undefined && kvLayerBytes(shape) > device.maxBufferBytes) {
    return {
      level: 'over',
      words: `Does not fit: this GPU’s largest buffer is ${formatBytes(device.maxBufferBytes)}.`,
    };
  }
  if (needed > allowed) {
    return { level: 'over', words: `May be too large: ${about}, and we count on ${formatBytes(allowed)}.` };
  }
  if (needed > allowed * 0.6) {
    return {
      level: 'tight',
      words: `Tight: ${about}, and we count on ${formatBytes(allowed)}. Close what else uses the GPU.`,
    };
  }
  return { level: 'fits', words: `Should fit: ${about}.` };
}

/** What the estimates rest on. */
export function assumption(device: Device): string {
  const from =
    device.memoryGiB === undefined
      ? 'This browser does not tell how much memory the device has either; we assume 4 GB for the GPU.'
      : `We count on half of the ${device.memoryGiB} GB of memory that this browser reports; browsers round the figure and cap it, so there may be more.`;
  return `Browsers do not tell how much memory a GPU has, so what fits is an estimate: the file’s size, plus keys and values for ${CONTEXT.toLocaleString('en')} tokens, plus a twentieth. ${from}`;
}
