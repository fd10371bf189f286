/**
 * A scripted engine in the GPU worker's place: it keeps the contract of `src/workers/api.ts`, with answers, delays and
 * failures that a test chooses. What the prompt says decides what happens.
 */
import { AdapterMisfitError, adapterMisfits } from '../../src/engine/adapter-fit';
import { applyRule, overrideKey, ruleOf } from '../../src/engine/overrides';
import { openAdapterFile } from '../../src/formats/adapter-file';
import { BlobSource } from '../../src/formats/bytes';
import type {
  AdapterSource,
  ChatEvent,
  ChatRequest,
  ChatResult,
  EngineWorkerApi,
  FailureCode,
  LoadedModel,
  RouterOverrides,
  RoutingTable,
} from '../../src/workers/api';
import { fakeExplanation } from './fake-explain';

export interface FakeOptions {
  /** `open` rejects with this. */
  readonly failOpen?: FailureCode;
  /** The first `load` rejects with this. */
  readonly failFirstLoad?: FailureCode;
  /** Milliseconds that a load takes. */
  readonly loadMs?: number;
  readonly layers?: number;
  readonly grid?: number;
  readonly canSee?: boolean;
  /** False: a bare LLaMA, without routers. */
  readonly adapters?: boolean;
  /** Milliseconds between tokens. */
  readonly tokenMs?: number;
}

export const LOAD_BYTES = 9_360_000;
const CONTEXT = 512;

export const HOSTILE_ANSWER = [
  '<img src="https://tracker.example/a.png" onerror="window.hacked = true"><script>window.hacked = true</script>',
  '![beacon](https://tracker.example/b.png)',
  '[click](javascript:window.hacked=true) and [fine](https://example.org/)',
].join('\n\n');

/** Too long a line for a Markdown parser to be asked about; without a space, so that it must be broken to fit. */
export const LONG_LINE = `**${'x'.repeat(1_000_000)}`;

/** @param shift told by the adapter set: other sets, other routers */
export function fakeRouting(layers: number, shift = 0): RoutingTable {
  const pair = (weight: number): [number, number] => [weight, 1 - weight];
  const layer = (phase: number) => (_: unknown, index: number) =>
    pair(0.5 + 0.4 * Math.sin(index * 1.7 + phase + shift));
  return { text: Array.from({ length: layers }, layer(0)), image: Array.from({ length: layers }, layer(2)) };
}

/** What a LaVIN's manifest says beyond a bare LLaMA's: a tower of as many layers, its adapters routed. */
function lavinFiles(layers: number, grid: number): Pick<LoadedModel['manifest'], 'vision' | 'adapters'> {
  const mean = [0.5, 0.5, 0.5] as const;
  const towers = { width: 8, layers, heads: 2, featureEvery: 1, layerNormEpsilon: 1e-5 };
  return {
    vision: { file: 'vision', config: { imageSize: grid * 16, patchSize: 16, ...towers, mean, std: mean } },
    adapters: {
      file: 'adapters',
      config: {
        hidden: 8,
        groups: 2,
        scale: 1,
        temperature: 10,
        llama: 'attn',
        visual: 'router',
        clipRouting: 'per_sample',
      },
    },
  };
}

/** The frozen models and the adapters' shape, as an adapter set of `lavinFiles` has them. */
export function fakeBase(layers: number, sees: boolean): Pick<LoadedModel, 'base' | 'adapterShape'> {
  const llama = { name: 'Scripted LLaMA', dim: 8, layers, fingerprint: `sample-sha256:${'a'.repeat(64)}` };
  if (!sees) return { base: { llama }, adapterShape: undefined };
  const vision = { name: 'scripted-tower', width: 8, layers, fingerprint: `sample-sha256:${'b'.repeat(64)}` };
  return {
    base: { llama, vision },
    adapterShape: {
      hidden: 8,
      groups: 2,
      llama: { dim: 8, layers, kind: 'attn' },
      vision: { width: 8, layers, kind: 'router', projectorHidden: 4 },
    },
  };
}

function fail(code: FailureCode, message: string): never {
  throw Object.assign(new Error(message), { code });
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export function createFakeEngine(options: FakeOptions): EngineWorkerApi {
  const { loadMs = 60, layers = 6, grid = 4, canSee = true, tokenMs = 4 } = options;
  let cancelled = false;
  let stopped = false;
  let loads = 0;
  let model: LoadedModel | undefined;
  let adapters: AdapterSource | undefined;

  function patches({ vit }: RouterOverrides = {}) {
    const tokens = grid * grid + 1;
    const weights = Float32Array.from({ length: layers * tokens }, (_, index) => {
      const layer = Math.floor(index / tokens);
      const weight = 0.5 + 0.3 * Math.sin((index % tokens) * 0.9 + layer);
      return applyRule(ruleOf(vit, 'attn', layer), [weight, 1 - weight])[0];
    });
    return { layers, tokens, grid, weights };
  }

  return {
    async open() {
      if (options.failOpen) fail(options.failOpen, `Scripted failure: ${options.failOpen}.`);
      return {
        vendor: 'scripted',
        architecture: 'none',
        description: 'A scripted device',
        f16: false,
        subgroups: false,
        maxBufferBytes: 2 ** 28,
      };
    },
    async load(source, onProgress): Promise<LoadedModel> {
      cancelled = false;
      loads += 1;
      const steps = 40;
      for (let step = 0; step <= steps; step++) {
        if (cancelled) fail('aborted', 'The load was cancelled.');
        const loadedBytes = Math.round((LOAD_BYTES * step) / steps);
        onProgress({ phase: 'download', file: 'llama.gguf', loadedBytes, totalBytes: LOAD_BYTES });
        await sleep(loadMs / steps);
      }
      if (options.failFirstLoad && loads === 1) {
        fail(options.failFirstLoad, `Scripted failure: ${options.failFirstLoad}.`);
      }
      onProgress({ phase: 'ready', file: '', loadedBytes: LOAD_BYTES, totalBytes: LOAD_BYTES });
      const local = source.kind !== 'manifest';
      const name = source.kind === 'file' ? source.file.name : source.kind === 'gguf' ? source.url : 'starter';
      const title = source.kind === 'gguf' ? source.about?.title : local ? name : undefined;
      const sees = !local && options.adapters !== false;
      adapters = undefined;
      model = {
        manifest: {
          format: 'lavin-manifest-1',
          name,
          title: title ?? 'Scripted starter',
          card: 'A **scripted** model for tests. It knows nothing.',
          licence: 'Apache-2.0',
          llama: { file: 'llama.gguf' },
          ...(sees && lavinFiles(layers, grid)),
          prompt: { kind: 'chat' },
          examples: local
            ? []
            : [
                { text: 'What colour is the apple?', image: 'apple.png' },
                { text: 'What is this?', image: 'strawberry.png' },
                { text: 'What is the opposite of hot?' },
              ],
        },
        canSee: canSee && !local,
        context: CONTEXT,
        layers,
        parameters: 6_100_000,
        gpuBytes: 21_500_000,
        gpuBytesByPurpose: { weights: 9_100_000, 'KV cache': 2_400_000, activations: 10_000_000 },
        routing: sees ? fakeRouting(layers) : undefined,
        ...fakeBase(layers, sees),
      };
      return model;
    },
    cancelLoad() {
      cancelled = true;
    },
    async useAdapters(set) {
      if (!model) return fail('unsupported', 'No model is loaded.');
      const misfits = set ? adapterMisfits(await openAdapterFile(new BlobSource(set.file, set.name)), model) : [];
      if (set && misfits.length > 0) throw new AdapterMisfitError(set.name, misfits, 'Choose another.');
      adapters = set;
      return model.routing && fakeRouting(layers, set?.name.length);
    },
    async chat(request, onEvent): Promise<ChatResult> {
      stopped = false;
      const begun = performance.now();
      const prompt = request.turns.findLast(({ role }) => role === 'user')?.text ?? '';
      const last = request.turns.at(-1);
      /** Of an answer that is to go on. */
      const before = last?.role === 'assistant' ? last.text : '';
      const most = request.sampling?.maxTokens ?? Number.POSITIVE_INFINITY;
      const goesWrong = before === '' || prompt.includes('twice');
      const promptTokens = 12 * request.turns.length;
      if (prompt.includes('overflow') && request.turns.length > 1) {
        fail('context-full', `The prompt needs 700 tokens and the context holds ${CONTEXT}.`);
      }
      onEvent({ type: 'prefill', promptTokens, reusedTokens: 0, done: promptTokens });
      onEvent({
        type: 'routing',
        modality: request.image ? 'image' : 'text',
        patches: request.image && patches(request.overrides),
      });
      let text = before;
      let spoken = 0;
      let tokens = 0;
      let first = 0;
      let heard: unknown;
      const rate = () => (tokens / (performance.now() - begun)) * 1000;
      for (const piece of pieces(prompt, request, adapters)) {
        spoken += piece.length;
        if (spoken <= before.length) continue;
        // By the clock, so that a slow timer does not slow the stream.
        await sleep(Math.max(0, begun + tokenMs * (tokens + 1) - performance.now()));
        if (stopped || tokens >= most) break;
        if (goesWrong && prompt.includes('lose the device') && tokens === 3) fail('lost', 'The GPU was reset.');
        if (goesWrong && prompt.includes('crash') && tokens === 3) await crash(heard);
        tokens += 1;
        first ||= performance.now() - begun;
        text += piece;
        const event: ChatEvent = { type: 'token', text: piece, id: tokens, tokens, tokensPerSecond: rate() };
        heard = onEvent(event);
      }
      const stopReason = () => {
        if (stopped) return 'stopped';
        if (tokens >= most) return 'max-tokens';
        return prompt.includes('fill up') ? 'context-full' : 'end';
      };
      return {
        text,
        stopReason: stopReason(),
        promptTokens,
        reusedTokens: 0,
        tokens,
        promptTokensPerSecond: 480,
        tokensPerSecond: rate(),
        timeToFirstTokenMs: first,
        contextUsed: Math.min(CONTEXT, promptTokens + tokens),
      };
    },
    async explain(request, onProgress) {
      stopped = false;
      for (let step = 1; step <= 4; step++) {
        await sleep(tokenMs);
        if (stopped) fail('aborted', 'The answer was stopped.');
        onProgress(step / 4);
      }
      return fakeExplanation(request, fakeRouting(layers), patches(request.overrides));
    },
    stop() {
      stopped = true;
    },
    async unload() {},
  };
}

/** An error that nobody catches, as a bug in a worker would throw it, once the page has heard what was told. */
async function crash(heard: unknown): Promise<never> {
  await heard;
  setTimeout(() => {
    throw new Error('scripted crash');
  }, 0);
  return new Promise(() => {});
}

function* pieces(
  prompt: string,
  { turns, image, overrides, system, sampling }: ChatRequest,
  adapters: AdapterSource | undefined,
): Generator<string> {
  if (prompt.includes('hostile')) yield HOSTILE_ANSWER;
  else if (prompt.includes('endless line')) yield LONG_LINE;
  else if (prompt.includes('settings')) yield JSON.stringify({ system, sampling });
  else if (prompt.includes('code')) yield 'Like this:\n\n```js\nconst answer = 42;\n```\n\nThat is all.';
  else if (prompt.includes('draw')) yield `Drawn with seed ${sampling?.seed}.`;
  else if (prompt.includes('steadily')) yield* steadily();
  else if (prompt.includes('count') || prompt.includes('crash') || prompt.includes('lose')) {
    const most = Number(/count to (\d+)/.exec(prompt)?.[1] ?? 2000);
    for (let index = 1; index <= most; index++) yield index % 12 === 0 ? `${index}.\n\n` : `${index} `;
  } else {
    const said = overrideKey(overrides) === '' ? 'said' : 'whispered';
    const words = `You ${said} **${prompt}** in turn ${turns.length}, ${image ? `with a picture of ${image.size} bytes` : 'without a picture'}${adapters ? `, by ${adapters.name}` : ''}.`;
    for (const word of words.split(/(?<= )/)) yield word;
  }
}

/** Prose, lists, tables and code without end, a word at a time. */
function* steadily(): Generator<string> {
  const sections = [
    '## A heading\n\nSome **bold** words and `code` in a paragraph that goes on for a while, as models like to do.\n\n',
    '- one thing\n- another thing with a [link](https://example.org/)\n- a third\n\n',
    '| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\n',
    '```js\nfor (const word of words) {\n  say(word);\n}\n```\n\n',
  ];
  for (let round = 0; ; round++) yield* sections[round % sections.length]!.split(/(?<= )/);
}
