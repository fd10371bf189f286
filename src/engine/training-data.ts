import type { Ask, Example } from '../data/example';
import type { DatasetFolder } from '../data/folder';
import { type ImageDecoder, preprocessImage } from '../data/image';
import type { Tokenizer } from '../formats/tokenizer';
import { MODALITY_SLOT } from '../models/lavin';
import type { Sequence } from '../train/batch';
import type { TrainingData } from '../train/trainer';
import type { Manifest, PromptFormat } from './manifest';
import { chatPrompt, type Prompt, type PromptImage, rawPrompt } from './prompt';

/** How examples become sequences for one model. */
export interface SequenceFormat {
  readonly prompt: PromptFormat;
  readonly tokenizer: Tokenizer;
  /** Image tokens per picture. */
  readonly features: number;
  /** Longer sequences lose their end, as LaVIN cuts them. */
  readonly maxLength: number;
}

/** An example's question as it is trained on and asked: a chat's first turn, or its literal text. */
export function examplePrompt(ask: Ask, format: PromptFormat, tokenizer: Tokenizer, image?: PromptImage): Prompt {
  if (ask.kind === 'prompt') return rawPrompt(format, tokenizer, ask.text, image);
  const text = ask.input ? `${ask.text} ${ask.input}` : ask.text;
  return chatPrompt(format, tokenizer, { turns: [{ role: 'user', text }], image });
}

/**
 * One example as a training sequence: modality slot, prompt, answer, end of sequence; the loss is on the last two.
 * The prompt is made as in a chat, so that what is trained is what is asked later.
 */
export function trainingSequence(example: Example, format: SequenceFormat): { sequence: Sequence; cut: boolean } {
  const { prompt, tokenizer, features, maxLength } = format;
  const { ask } = example;
  const image = example.image === undefined ? undefined : { hash: example.image, features };
  const { slots } = examplePrompt(ask, prompt, tokenizer, image);
  const before = prompt.kind === 'plain' && ask.kind === 'instruction' ? prompt.assistant.split('{text}')[0] : '';
  const answer = [...tokenizer.encode(before + example.answer), ...tokenizer.eos.slice(0, 1)];
  const whole = [MODALITY_SLOT, ...slots, ...answer];
  const labels = [MODALITY_SLOT, ...slots].map(() => 0).concat(answer);
  return {
    sequence: {
      slots: whole.slice(0, maxLength),
      labels: labels.slice(0, maxLength),
      modality: image ? 1 : 0,
    },
    cut: whole.length > maxLength,
  };
}

export interface PreparedData extends TrainingData {
  readonly examples: readonly Example[];
  /** Sequences that the length cut. */
  readonly cut: number;
}

/** Examples tokenised; their pictures are decoded when their turn comes, the last ones kept. */
export function prepareData(
  examples: readonly Example[],
  format: SequenceFormat,
  pictures: { readonly folder: DatasetFolder; readonly decode: ImageDecoder; readonly manifest: Manifest },
): PreparedData {
  const made = examples.map((example) => trainingSequence(example, format));
  const cache = new PictureCache(pictures);
  return {
    examples,
    sequences: made.map(({ sequence }) => sequence),
    cut: made.filter(({ cut }) => cut).length,
    picture: (index) => cache.get(examples[index].image!),
  };
}

/** Bytes of pixels kept decoded. */
const CACHE_BYTES = 256 << 20;

class PictureCache {
  private readonly kept = new Map<string, Promise<Float32Array<ArrayBuffer>>>();
  private bytes = 0;

  constructor(
    private readonly from: {
      readonly folder: DatasetFolder;
      readonly decode: ImageDecoder;
      readonly manifest: Manifest;
    },
  ) {}

  get(path: string): Promise<Float32Array<ArrayBuffer>> {
    const found = this.kept.get(path);
    if (found) return found;
    const { imageSize } = this.from.manifest.vision!.config;
    const size = 3 * imageSize * imageSize * 4;
    const made = this.read(path);
    if (this.bytes + size > CACHE_BYTES) return made;
    this.bytes += size;
    this.kept.set(path, made);
    return made;
  }

  private async read(path: string): Promise<Float32Array<ArrayBuffer>> {
    const { folder, decode, manifest } = this.from;
    const { mean, std, imageSize } = manifest.vision!.config;
    const source = await folder.open(path);
    try {
      const bytes = await source.read(0, source.size);
      const image = await decode(bytes as Uint8Array<ArrayBuffer>);
      return preprocessImage(image, { imageSize, mean, std });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`${path}: the picture cannot be read (${why})`, { cause });
    } finally {
      await source.close?.();
    }
  }
}
