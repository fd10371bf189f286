import type { SamplingOptions } from '../generate/sampling';

export type { SamplingOptions };

/**
 * A LaVIN as one small JSON file, `manifest.json`, beside the files it names. Paths are relative to the manifest, or
 * absolute URLs. Without `vision` and `adapters` it is a bare LLaMA for text chat.
 */
export interface Manifest {
  readonly format: 'lavin-manifest-1';
  /** Folder name and identity, e.g. "starter". */
  readonly name: string;
  readonly title: string;
  /** What it is good for and how little it knows, in a few plain sentences; Markdown. */
  readonly card: string;
  readonly licence: string;
  readonly llama: FileReference;
  readonly vision?: FileReference & {
    readonly config: VisionConfig;
  };
  readonly adapters?: FileReference & {
    readonly config: AdapterConfig;
  };
  /** A `tokenizer.json`; without it the tokenizer is made from the GGUF's metadata. */
  readonly tokenizer?: FileReference;
  readonly prompt: PromptFormat;
  /** Tokens of context to reserve; at most what the LLaMA was trained for. */
  readonly context?: number;
  /** Sampling defaults for this model. */
  readonly sampling?: Partial<SamplingOptions>;
  /** Prompts for an empty chat. */
  readonly examples?: readonly ManifestExample[];
}

export interface ManifestExample {
  readonly text: string;
  /** Path of a picture, relative to the manifest. */
  readonly image?: string;
  /** What the model answers, greedily: its tests hold it to that. */
  readonly answer?: string;
}

export interface FileReference {
  readonly file: string;
  /** Where else to take it from if it is not there, for a LLaMA or a tower: others' large files are not copied beside every manifest. */
  readonly mirror?: string;
  /** Of its content, 64 hexadecimal digits: where a device keeps the same file already, that is used before the mirror. */
  readonly sha256?: string;
  /** Bytes, for progress before the first response. */
  readonly bytes?: number;
}

/** Shape and preprocessing of a CLIP vision tower. What the tensors' shapes tell is checked against them. */
export interface VisionConfig {
  readonly imageSize: number;
  readonly patchSize: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  /** A class-token feature is taken after each `featureEvery`-th block. */
  readonly featureEvery: number;
  readonly layerNormEpsilon: number;
  /** Per-channel normalisation of pixels in [0, 1]. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** Shape of an adapter set (LaVIN's names in brackets). */
export interface AdapterConfig {
  /** Bottleneck width r (`adapter_dim`). */
  readonly hidden: number;
  readonly groups: number;
  /** Residual scale s (`adapter_scale`). */
  readonly scale: number;
  /** Router temperature t. */
  readonly temperature: number;
  /** `attn`: before attention; `block`: before the MLP too (`adapter_type`). */
  readonly llama: 'attn' | 'block';
  readonly visual: 'normal' | 'router' | 'router_block';
  /** Whose token routes in the ViT: its own, or that of sample 0 of the batch as the published code has it. */
  readonly clipRouting: 'per_sample' | 'batch0';
}

export type PromptFormat =
  /** LaVIN's plain instruction format: literal text around the turns, each segment tokenised by itself. */
  | {
      readonly kind: 'plain';
      /** Text between BOS and the image tokens, e.g. "Image: ". */
      readonly imagePrefix: string;
      /** Stands in place of prefix and image in a text-only prompt, e.g. "Image: N/A". */
      readonly textPrefix: string;
      /** One user turn; `{text}` is replaced, e.g. "\nInstruction: {text}\nResponse:". */
      readonly user: string;
      /** One finished answer as it stands in the context of later turns, e.g. " {text}". */
      readonly assistant: string;
      /** Answers end at any of these strings, or at the end-of-sequence token. */
      readonly stop: readonly string[];
    }
  /** The tokenizer's own Jinja chat template; an image block stands at the start of the first user turn. */
  | { readonly kind: 'chat'; readonly imagePrefix?: string; readonly stop?: readonly string[] };
