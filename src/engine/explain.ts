import type { ImageDecoder } from '../data/image';
import { featuresPerImage } from '../models/lavin';
import type { ChatRequest, Explanation } from './api';
import { studyLlama } from './llama-study';
import type { Model } from './model';
import { checkOverrides, OverrideError } from './overrides';
import { encodeImage, readPicture } from './picture';
import { chatPrompt, type Prompt } from './prompt';
import { hasVisionRouters, studyVision } from './vision-study';

/** The vision tower's part of a measurement, for its progress: an estimate. */
const VISION_SHARE = 0.4;

/** A conversation as the model reads it; `hash` is that of its picture's tokens. */
export function promptOf(
  { manifest, tokenizer, lavin }: Model,
  request: ChatRequest,
  hash: string | undefined,
): Prompt {
  return chatPrompt(manifest.prompt, tokenizer, {
    system: request.system,
    turns: request.turns,
    image: hash === undefined ? undefined : { hash, features: featuresPerImage(lavin) },
  });
}

/**
 * Measures every router and expert at one prompt; see {@link EngineWorkerApi.explain}.
 * @throws OverrideError for a model without adapters, or overrides that it cannot take
 */
export async function explain(
  model: Model,
  request: ChatRequest,
  decode: ImageDecoder,
  { signal, onProgress }: { signal?: AbortSignal; onProgress?: (share: number) => void } = {},
): Promise<Explanation> {
  const { overrides = {}, image } = request;
  if (!model.routing) {
    throw new OverrideError('This model has no adapters, so there are no routers to measure.');
  }
  checkOverrides(overrides, model.lavin.adapters);
  const share = image ? VISION_SHARE : 0;
  let hash: string | undefined;
  let vit: Explanation['vit'];
  if (image && hasVisionRouters(model)) {
    const picture = await readPicture(model, image, decode, overrides.vit);
    hash = picture.hash;
    const pixels = await picture.pixels();
    model.encodedImage = undefined;
    vit = await studyVision(model, pixels, overrides.vit, {
      signal,
      onProgress: (done) => onProgress?.(done * share),
    });
    model.encodedImage = { hash, patches: vit.patches };
  } else if (image) ({ hash } = await encodeImage(model, image, decode, signal));
  const { slots } = promptOf(model, request, hash);
  const llm = await studyLlama(model, {
    slots,
    modality: image ? 1 : 0,
    overrides,
    signal,
    onProgress: (done) => onProgress?.(share + done * (1 - share)),
  });
  return { modality: image ? 'image' : 'text', promptTokens: slots.length, llm, ...(vit && { vit }) };
}
