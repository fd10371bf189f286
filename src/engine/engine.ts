import { type ImageDecoder, preprocessImage } from '../data/image';
import { BlobSource } from '../formats/bytes';
import { resolveSampling } from '../generate/sampling';
import { Gpu } from '../gpu/device';
import { featuresPerImage } from '../models/lavin';
import { answer } from './answer';
import type {
  ChatEvent,
  ChatRequest,
  ChatResult,
  DeviceReport,
  EngineWorkerApi,
  LoadedModel,
  LoadProgress,
  ModelSource,
  PatchRouting,
} from './api';
import { chooseKernels } from './kernel-choices';
import { Model } from './model';
import { openBareGguf, openManifest } from './model-files';
import type { EnginePorts } from './ports';
import { chatPrompt } from './prompt';

/** A request that cannot be served now. */
class EngineError extends Error {
  constructor(
    readonly code: 'busy' | 'unsupported' | 'aborted',
    message: string,
  ) {
    super(message);
    this.name = 'EngineError';
  }
}

/**
 * The verbs the page speaks: one GPU, one model, one request at a time. After a device loss the request at hand rejects
 * with `lost`; the next one opens a new device and, for a chat, loads the same model again.
 */
export function createEngine(ports: EnginePorts): EngineWorkerApi {
  let gpu: Gpu | undefined;
  let opening: Promise<Gpu> | undefined;
  let model: Model | undefined;
  /** What to load again after a device loss. */
  let source: ModelSource | undefined;
  let loading: AbortController | undefined;
  let answering: AbortController | undefined;

  async function openGpu(): Promise<Gpu> {
    if (gpu && !gpu.loss) return gpu;
    opening ??= Gpu.open(ports.gpu).finally(() => {
      opening = undefined;
    });
    const opened = await opening;
    // Whatever stood on a lost device went with it.
    if (gpu !== opened) model = undefined;
    gpu = opened;
    return opened;
  }

  async function load(from: ModelSource, onProgress?: (progress: LoadProgress) => void): Promise<LoadedModel> {
    if (answering) throw new EngineError('busy', 'An answer is being written. Stop it before loading another model.');
    loading?.abort(new EngineError('aborted', 'Another model was chosen.'));
    const controller = new AbortController();
    loading = controller;
    source = undefined;
    try {
      const loaded = await build(from, controller.signal, onProgress);
      source = from;
      return await describe(loaded);
    } catch (error) {
      throw controller.signal.aborted ? controller.signal.reason : error;
    } finally {
      if (loading === controller) loading = undefined;
    }
  }

  async function build(
    from: ModelSource,
    signal: AbortSignal,
    onProgress?: (progress: LoadProgress) => void,
  ): Promise<Model> {
    try {
      const device = await openGpu();
      model?.destroy();
      model = undefined;
      const files =
        from.kind === 'file'
          ? await openBareGguf(new BlobSource(from.file), signal)
          : await openManifest(ports, from.url, signal);
      const loaded = await chooseKernels(device, ports.memory)
        .then((choices) => Model.load(device, files, { choices, signal, onProgress }))
        .finally(() => files.close());
      if (signal.aborted) loaded.destroy();
      signal.throwIfAborted();
      model = loaded;
      return loaded;
    } catch (error) {
      throw signal.aborted ? signal.reason : (gpu?.loss ?? error);
    }
  }

  /** The model to answer with; rebuilt on a new device if the old one was lost. */
  async function currentModel(signal: AbortSignal): Promise<Model> {
    if (source && (!model || gpu?.loss)) return build(source, signal);
    if (!model) throw new EngineError('unsupported', 'No model is loaded. Choose one first.');
    return model;
  }

  async function chat(request: ChatRequest, onEvent: (event: ChatEvent) => void): Promise<ChatResult> {
    if (answering || loading) throw new EngineError('busy', 'The engine is busy. Wait for it, or stop it first.');
    const controller = new AbortController();
    answering = controller;
    const { signal } = controller;
    try {
      const current = await currentModel(signal);
      const image = request.image && (await encodeImage(current, request.image, ports.decodeImage, signal));
      const modality = image ? 1 : 0;
      onEvent({ type: 'routing', modality: image ? 'image' : 'text', patches: image?.patches });
      const { manifest, tokenizer } = current;
      const features = featuresPerImage(current.lavin);
      const prompt = chatPrompt(manifest.prompt, tokenizer, {
        system: request.system,
        turns: request.turns,
        image: image && { hash: image.hash, features },
      });
      let tokens = 0;
      const result = await answer(current, {
        prompt,
        modality,
        sampling: resolveSampling(request.sampling, manifest.sampling),
        stop: manifest.prompt.stop,
        signal,
        onPrefill: ({ promptTokens, reusedTokens, done }) =>
          onEvent({ type: 'prefill', promptTokens, reusedTokens, done }),
        onToken: (text, record, tokensPerSecond) => {
          if (record) tokens++;
          onEvent({ type: 'token', text, ...(record && { id: record.token }), tokens, tokensPerSecond });
        },
      });
      const { records, ...figures } = result;
      return { ...figures, tokens: records.length, contextUsed: result.promptTokens + records.length };
    } catch (error) {
      if (signal.aborted && error === signal.reason) return stoppedBeforeFirstToken(request);
      throw gpu?.loss ?? error;
    } finally {
      answering = undefined;
    }
  }

  return {
    async open(): Promise<DeviceReport> {
      const { adapter, features, limits } = await openGpu();
      return {
        ...adapter,
        f16: features.f16,
        subgroups: features.subgroupMinSize > 0,
        maxBufferBytes: limits.maxBufferSize,
      };
    },
    load,
    cancelLoad: () => loading?.abort(new EngineError('aborted', 'Loading was cancelled.')),
    chat,
    stop: () => answering?.abort(new EngineError('aborted', 'The answer was stopped.')),
    async unload() {
      model?.destroy();
      model = undefined;
      source = undefined;
    },
  };
}

async function describe(model: Model): Promise<LoadedModel> {
  const { gpu, manifest, lavin, parameters, decoder } = model;
  const weights = await model.routing?.read();
  return {
    manifest,
    canSee: model.vision !== undefined,
    context: decoder.capacity,
    layers: lavin.llama.config.layers,
    parameters,
    gpuBytes: gpu.ledger.current,
    gpuBytesByPurpose: gpu.ledger.byPurpose(),
    routing: weights && { text: weights.attn[0], image: weights.attn[1] },
  };
}

/**
 * Puts a picture's image tokens where the decoder reads them, unless they are there already.
 * @throws EngineError for a model without eyes; ImageError for bytes that are no picture
 */
export async function encodeImage(
  model: Model,
  image: Blob,
  decode: ImageDecoder,
  signal?: AbortSignal,
): Promise<{ hash: string; patches: PatchRouting | undefined }> {
  if (!model.vision || !model.lavin.clip) {
    throw new EngineError('unsupported', 'This model reads text only. Choose one that sees, or remove the picture.');
  }
  const bytes = new Uint8Array(await image.arrayBuffer());
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const hash = Array.from(digest, (b) => b.toString(16).padStart(2, '0')).join('');
  if (model.encodedImage?.hash !== hash) {
    const { mean, std, imageSize } = model.manifest.vision!.config;
    const pixels = preprocessImage(await decode(bytes), { imageSize, mean, std });
    model.encodedImage = undefined;
    model.encodedImage = { hash, patches: await model.vision.encode(pixels, signal) };
  }
  return model.encodedImage;
}

function stoppedBeforeFirstToken({ turns }: ChatRequest): ChatResult {
  const last = turns.at(-1);
  return {
    text: last?.role === 'assistant' ? last.text : '',
    stopReason: 'stopped',
    promptTokens: 0,
    reusedTokens: 0,
    tokens: 0,
    promptTokensPerSecond: 0,
    tokensPerSecond: 0,
    timeToFirstTokenMs: 0,
    contextUsed: 0,
  };
}
