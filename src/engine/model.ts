import type { Tokenizer } from '../formats/tokenizer';
import { Decoder } from '../generate/decoder';
import { PrefixCache } from '../generate/prefix-cache';
import { TokenRing } from '../generate/readback';
import { Arena } from '../gpu/arena';
import type { KernelChoices } from '../gpu/choices';
import type { Gpu } from '../gpu/device';
import { Replayer } from '../gpu/replay';
import type { KvFormat } from '../kernels/kv-cache';
import { createRopeTable, type RopeScaling } from '../kernels/rope';
import { type AdapterSetConfig, loadAdapters } from '../models/adapters';
import { loadClip } from '../models/clip-load';
import type { Lavin } from '../models/lavin';
import { loadLlama } from '../models/llama-load';
import type { LoadProgress } from './api';
import { FileTensorLoader } from './file-loader';
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
  const opened = [files.llama.file, files.vision, files.adapters].filter((f) => f !== undefined);
  const totalBytes = opened.reduce((sum, f) => sum + bytesOf(f), 0);
  let before = 0;
  const loaderFor = (file: (typeof opened)[number]) => {
    const base = before;
    before += bytesOf(file);
    const loader = new FileTensorLoader(gpu, file, signal, (bytes) =>
      onProgress?.({ phase: 'download', file: file.name, loadedBytes: base + bytes, totalBytes }),
    );
    free.push(loader.release);
    return loader;
  };

  const { description } = files.llama;
  const { config, rope } = description;
  const capacity = Math.min(context ?? manifest.context ?? DEFAULT_CONTEXT, config.contextLength);
  const llamaLoader = loaderFor(files.llama.file);
  const scaling: RopeScaling | undefined = llamaLoader.has('rope_freqs.weight')
    ? { kind: 'factors', factors: await llamaLoader.values('rope_freqs.weight') }
    : rope.scaling;
  const table = createRopeTable(gpu, {
    headDim: config.headDim,
    ropeDim: rope.dimensions,
    base: rope.base,
    scaling,
    convention: rope.convention,
    // A LaVIN's slots stand one higher than its cache indices, and the step after the last is prepared but never used.
    positions: capacity + 2,
  });
  free.push(() => table.destroy());
  const llama = await loadLlama(llamaLoader, config, table);
  let lavin: Lavin = { llama };
  if (files.vision && files.adapters && manifest.vision && manifest.adapters) {
    const clip = await loadClip(loaderFor(files.vision), manifest.vision.config);
    const target = {
      dim: config.dim,
      layers: config.layers,
      vision: { width: clip.config.width, layers: clip.config.layers },
    };
    const set: AdapterSetConfig = manifest.adapters.config;
    const adapters = await loadAdapters(gpu, loaderFor(files.adapters), set, target);
    free.push(() => gpu.destroyBuffer(adapters.buffer));
    lavin = { llama, clip, adapters };
  }
  signal?.throwIfAborted();

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
    opened.reduce((sum, f) => sum + parametersOf(f), 0),
    { replayer, choices, mlpFromInput },
  );
}

type Opened = ModelFiles['llama']['file'];

function bytesOf(file: Opened): number {
  return [...file.tensors.values()].reduce((sum, t) => sum + t.bytes, 0);
}

function parametersOf(file: Opened): number {
  return [...file.tensors.values()].reduce((sum, t) => sum + t.shape.reduce((a, b) => a * b, 1), 0);
}
