import { type ImageDecoder, preprocessImage } from '../data/image';
import type { PatchRouting, RouterRules } from './api';
import type { Model } from './model';
import { ruleKey } from './overrides';
import { studyVision } from './vision-study';

/** A picture was given to a model without eyes. */
export class BlindError extends Error {
  readonly code = 'unsupported';
  constructor() {
    super('This model reads text only. Choose one that sees, or remove the picture.');
    this.name = 'BlindError';
  }
}

export interface ReadPicture {
  /** Of what its image tokens depend on: its bytes, and rules for the routers that make them. */
  readonly hash: string;
  /**
   * Decoded and normalised, [3, S, S].
   * @throws ImageError for bytes that are no picture
   */
  pixels(): Promise<Float32Array<ArrayBuffer>>;
}

/** @throws BlindError for a model without eyes */
export async function readPicture(
  model: Model,
  image: Blob,
  decode: ImageDecoder,
  rules?: RouterRules,
): Promise<ReadPicture> {
  if (!model.vision || !model.lavin.clip) throw new BlindError();
  const bytes = new Uint8Array(await image.arrayBuffer());
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const hash = Array.from(digest, (b) => b.toString(16).padStart(2, '0')).join('');
  const key = ruleKey('vit', rules);
  const { mean, std, imageSize } = model.manifest.vision!.config;
  return {
    hash: key === '' ? hash : `${hash}+${key}`,
    pixels: async () => preprocessImage(await decode(bytes), { imageSize, mean, std }) as Float32Array<ArrayBuffer>,
  };
}

/**
 * Puts a picture's image tokens where the decoder reads them, unless they are there already.
 * @param rules for the vision tower's routers: these need a recording of their own, made and freed here
 * @throws BlindError for a model without eyes; ImageError for bytes that are no picture
 */
export async function encodeImage(
  model: Model,
  image: Blob,
  decode: ImageDecoder,
  signal?: AbortSignal,
  rules?: RouterRules,
): Promise<{ hash: string; patches: PatchRouting | undefined }> {
  const picture = await readPicture(model, image, decode, rules);
  const { hash } = picture;
  if (model.encodedImage?.hash !== hash) {
    const pixels = await picture.pixels();
    model.encodedImage = undefined;
    const patches =
      ruleKey('vit', rules) === ''
        ? await model.vision!.encode(pixels, signal)
        : (await studyVision(model, pixels, rules, { signal })).patches;
    model.encodedImage = { hash, patches };
  }
  return model.encodedImage;
}
