import type { BaseIdentity } from '../formats/adapter-file';
import type { AdapterShape } from '../formats/adapter-shape';
import type { Tokenizer } from '../formats/tokenizer';
import { Decoder } from '../generate/decoder';
import { PrefixCache } from '../generate/prefix-cache';
import { TokenRing } from '../generate/readback';
import { Arena } from '../gpu/arena';
import type { KernelChoices } from '../gpu/choices';
import type { Gpu } from '../gpu/device';
import { Replayer } from '../gpu/replay';
import type { KvFormat } from '../kernels/kv-cache';
import type { Lavin } from '../models/lavin';
import type { LoadProgress } from './api';
import { loadLavin } from './lavin-load';
import type { Manifest } from './manifest';
import type { ModelFiles } from './model-files';
import { LlamaRouting } from './routing';
import { VisionEncoder } from './vision';

export interface ModelOptions {
  readonly choices: KernelChoices;
  readonly kvFormat?: KvFormat;
  /** Slots of context; at most what the LLaMA was trained for. */
  readonly context?: number;
  /** Route MLP adapters as the published inference code does. */
  readonly mlpFromInput?: boolean;
  /** Debug mode: every op's output is searched for NaN and infinities; see {@link Model.settled}. Slow. */
  readonly checkFinite?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
}

/** Slots of context reserved where neither manifest nor caller says: 7B then needs 1 GiB of f16 keys and values. */
const DEFAULT_CONTEXT = 2048;

/** A model on the GPU with every step recorded: what the engine talks to. */
export class Model {
  readonly cache = new PrefixCache();
  /** Changes whenever adapter weights or routing do: part of the prefix cache's context. */
  adapterVersion = 0;
  /** Content hash of the picture whose tokens the decoder holds. */
  encodedImage: { hash: string; patches: Awaited<ReturnType<VisionEncoder['encode']>> } | undefined;

  private constructor(
    readonly gpu: Gpu,
    readonly manifest: Manifest,
    readonly tokenizer: Tokenizer,
    readonly lavin: Lavin,
    readonly decoder: Decoder,
    readonly ring: TokenRing,
    readonly routing: LlamaRouting | undefined,
    readonly vision: VisionEncoder | undefined,
    readonly parameters: number,
    readonly base: BaseIdentity,
    /** Of the adapters that it was loaded with. */
    readonly adapterShape: AdapterShape | undefined,
    /** For recordings that are made later. */
    readonly recording: {
      readonly replayer: Replayer;
      readonly choices: KernelChoices;
      readonly mlpFromInput: boolean;
    },
    private readonly free: (() => void)[],
  ) {}

  /** Streams the weights onto the GPU and records every plan. On failure or abort nothing stays allocated. */
  static async load(gpu: Gpu, files: ModelFiles, options: ModelOptions): Promise<Model> {
    const free: (() => void)[] = [];
    try {
      return await build(gpu, files, options, free, (...parts) => new Model(gpu, ...parts, free));
    } catch (error) {
      for (const release of free.reverse()) release();
      throw error;
    }
  }

  /**
   * Waits for the debug mode's searches of the steps submitted so far; without it does nothing.
   * @throws NonFiniteError naming the op that made the first NaN or infinity
   */
  async settled(): Promise<void> {
    await this.recording.replayer.settled();
  }

  destroy(): void {
    for (const release of this.free.splice(0).reverse()) release();
  }
}

type Parts = [
  Manifest,
  Tokenizer,
  Lavin,
  Decoder,
  TokenRing,
  LlamaRouting | undefined,
  VisionEncoder | undefined,
  number,
  BaseIdentity,
  AdapterShape | undefined,
  Model['recording'],
];

async function build(
  gpu: Gpu,
  files: ModelFiles,
  { choices, kvFormat = 'f16', context, mlpFromInput = false, checkFinite, signal, onProgress }: ModelOptions,
  free: (() => void)[],
  make: (...parts: Parts) => Model,
): Promise<Model> {
  const { manifest } = files;
  const { config } = files.llama.description;
  const capacity = Math.min(context ?? manifest.context ?? DEFAULT_CONTEXT, config.contextLength);
  // A LaVIN's slots stand one higher than its cache indices, and the step after the last is prepared but never used.
  const positions = capacity + 2;
  const { lavin, totalBytes, parameters } = await loadLavin(gpu, files, { positions, signal, onProgress }, free);

  const prepared = (share: number) => {
    signal?.throwIfAborted();
    onProgress?.({ phase: 'compile', file: '', loadedBytes: totalBytes, totalBytes, prepared: share });
  };
  prepared(0);
  const arena = new Arena(gpu);
  free.push(() => arena.destroy());
  const replayer = new Replayer(gpu, { checkFinite });
  const routing = lavin.adapters && (await LlamaRouting.create(gpu, lavin, choices, arena, replayer, mlpFromInput));
  if (routing) free.push(() => routing.destroy());
  prepared(0.25);
  const decoder = await Decoder.create(gpu, lavin, routing?.merged, { capacity, kvFormat, choices }, arena, replayer);
  free.push(() => decoder.destroy());
  const ring = new TokenRing(gpu, decoder.ring);
  free.push(() => ring.dispose());
  prepared(0.35);
  await decoder.warmUp({ signal, onProgress: (share) => prepared(0.35 + 0.4 * share) });
  const vision =
    decoder.imageTokens && (await VisionEncoder.create(gpu, lavin, decoder.imageTokens, choices, arena, replayer));
  if (vision) {
    free.push(() => vision.destroy());
    await vision.warmUp({ signal, onProgress: (share) => prepared(0.75 + 0.25 * share) });
  }
  const base = await files.base;
  signal?.throwIfAborted();
  onProgress?.({ phase: 'ready', file: '', loadedBytes: totalBytes, totalBytes });
  return make(
    manifest,
    files.tokenizer,
    lavin,
    decoder,
    ring,
    routing,
    vision,
    parameters,
    base,
    files.adapters?.shape,
    {
      replayer,
      choices,
      mlpFromInput,
    },
  );
}
