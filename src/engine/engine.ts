import { BlobSource } from '../formats/bytes';
import { resolveSampling } from '../generate/sampling';
import { Gpu } from '../gpu/device';
import { answer } from './answer';
import type {
  AdapterSource,
  ChatEvent,
  ChatRequest,
  ChatResult,
  DeviceReport,
  EngineWorkerApi,
  LoadedModel,
  LoadProgress,
  ModelSource,
  RoutingTable,
} from './api';
import { explain, promptOf } from './explain';
import { chooseKernels } from './kernel-choices';
import { Model } from './model';
import { type ModelFiles, openBareGguf, openManifest } from './model-files';
import { checkOverrides, overrideKey } from './overrides';
import { encodeImage } from './picture';
import type { EnginePorts } from './ports';
import { readAdapterSource, swapAdapters } from './swap-adapters';

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
  /** In the place of that model's own. */
  let adapters: AdapterSource | undefined;
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
    adapters = undefined;
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
      const files = await openFiles(from, signal);
      const loaded = await chooseKernels(device, ports.memory)
        .then((choices) => Model.load(device, files, { choices, signal, onProgress }))
        .finally(() => files.close());
      if (signal.aborted) loaded.destroy();
      signal.throwIfAborted();
      model = loaded;
      if (adapters) await swapAdapters(loaded, await readAdapterSource(adapters), signal);
      return loaded;
    } catch (error) {
      throw signal.aborted ? signal.reason : (gpu?.loss ?? error);
    }
  }

  async function openFiles(from: ModelSource, signal: AbortSignal): Promise<ModelFiles> {
    switch (from.kind) {
      case 'manifest':
        return openManifest(ports, from.url, signal);
      case 'file':
        return openBareGguf(new BlobSource(from.file), undefined, signal);
      case 'gguf':
        return openBareGguf(await ports.openFile(from.url, signal), from.about, signal);
    }
  }

  /** The model to answer with; rebuilt on a new device if the old one was lost. */
  async function currentModel(signal: AbortSignal, onProgress?: (progress: LoadProgress) => void): Promise<Model> {
    if (source && (!model || gpu?.loss)) return build(source, signal, onProgress);
    if (!model) throw new EngineError('unsupported', 'No model is loaded. Choose one first.');
    return model;
  }

  /** Runs one request at a time; `whenStopped` answers for one that {@link EngineWorkerApi.stop} ended. */
  async function exclusively<T>(
    work: (current: Model, signal: AbortSignal) => Promise<T>,
    whenStopped?: () => T,
    onLoading?: (progress: LoadProgress) => void,
  ): Promise<T> {
    if (answering || loading) throw new EngineError('busy', 'The engine is busy. Wait for it, or stop it first.');
    const controller = new AbortController();
    answering = controller;
    const { signal } = controller;
    try {
      return await work(await currentModel(signal, onLoading), signal);
    } catch (error) {
      const stopped = signal.aborted && error === signal.reason;
      if (stopped && whenStopped) return whenStopped();
      throw stopped ? error : (gpu?.loss ?? error);
    } finally {
      answering = undefined;
    }
  }

  async function chat(request: ChatRequest, onEvent: (event: ChatEvent) => void): Promise<ChatResult> {
    return exclusively(
      async (current, signal) => {
        const { manifest } = current;
        const { overrides } = request;
        if (overrides) checkOverrides(overrides, current.lavin.adapters);
        const image =
          request.image && (await encodeImage(current, request.image, ports.decodeImage, signal, overrides?.vit));
        await current.routing?.apply(overrides);
        const modality = image ? 1 : 0;
        onEvent({ type: 'routing', modality: image ? 'image' : 'text', patches: image?.patches });
        let tokens = 0;
        const result = await answer(current, {
          prompt: promptOf(current, request, image?.hash),
          modality,
          variant: overrideKey(overrides),
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
      },
      () => stoppedBeforeFirstToken(request),
      (progress) => onEvent({ type: 'loading', progress }),
    );
  }

  async function useAdapters(set: AdapterSource | undefined): Promise<RoutingTable | undefined> {
    return exclusively(async (current, signal) => {
      await swapAdapters(current, set && (await readAdapterSource(set)), signal);
      adapters = set;
      return routingOf(current);
    });
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
    explain: (request, onProgress) =>
      exclusively((current, signal) => explain(current, request, ports.decodeImage, { signal, onProgress })),
    useAdapters,
    stop: () => answering?.abort(new EngineError('aborted', 'The answer was stopped.')),
    async unload() {
      model?.destroy();
      model = undefined;
      source = undefined;
      adapters = undefined;
    },
  };
}

async function describe(model: Model): Promise<LoadedModel> {
  const { gpu, manifest, lavin, parameters, decoder, base, adapterShape } = model;
  return {
    manifest,
    canSee: model.vision !== undefined,
    context: decoder.capacity,
    layers: lavin.llama.config.layers,
    parameters,
    gpuBytes: gpu.ledger.current,
    gpuBytesByPurpose: gpu.ledger.byPurpose(),
    routing: await routingOf(model),
    base,
    adapterShape,
  };
}

async function routingOf({ routing }: Model): Promise<RoutingTable | undefined> {
  const weights = await routing?.read();
  return (
    weights && {
      text: weights.attn[0],
      image: weights.attn[1],
      ...(weights.mlp[0].length > 0 && { mlp: { text: weights.mlp[0], image: weights.mlp[1] } }),
    }
  );
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
