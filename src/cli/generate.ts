import { openAsBlob } from 'node:fs';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { answer } from '../engine/answer';
import { chooseKernels } from '../engine/kernel-choices';
import { Model } from '../engine/model';
import { openBareGguf, openManifest } from '../engine/model-files';
import { encodeImage } from '../engine/picture';
import { chatPrompt, rawPrompt } from '../engine/prompt';
import { resolveSampling } from '../generate/sampling';
import { DEFAULT_CHOICES } from '../gpu/choices';
import { Gpu } from '../gpu/device';
import { featuresPerImage } from '../models/lavin';
import { FileSource } from './file-source';
import { nodePorts } from './node-ports';
import { UsageError } from './usage';

export const GENERATE_USAGE = `lavin generate --model FILE.gguf|MANIFEST.json --prompt TEXT
  [--image FILE]            a picture for the prompt (models that see)
  [--chat]                  put the prompt into the model's chat format
  [--system TEXT]           system prompt, with --chat
  [--max-tokens N]          default 128
  [--temperature T] [--top-k K] [--top-p P] [--min-p P] [--repetition-penalty R] [--seed N]
  [--force-tokens 1,2,3]    evaluate these ids instead of sampling; adds argmax and its log-probability per step
  [--position-mode trained|published]
  [--kv f16|f32] [--kernels auto|plain] [--context N] [--without f16,subgroups,packed-dot,timestamps]
  [--check-finite]          search every op's output for NaN and infinities, and name the op (slow)
  [--json]                  print one JSON object instead of the text`;

const OPTIONS = {
  model: { type: 'string' },
  prompt: { type: 'string' },
  image: { type: 'string' },
  chat: { type: 'boolean' },
  system: { type: 'string' },
  'max-tokens': { type: 'string' },
  temperature: { type: 'string' },
  'top-k': { type: 'string' },
  'top-p': { type: 'string' },
  'min-p': { type: 'string' },
  'repetition-penalty': { type: 'string' },
  seed: { type: 'string' },
  'force-tokens': { type: 'string' },
  'position-mode': { type: 'string', default: 'trained' },
  kv: { type: 'string', default: 'f16' },
  kernels: { type: 'string', default: 'auto' },
  context: { type: 'string' },
  without: { type: 'string' },
  'check-finite': { type: 'boolean' },
  json: { type: 'boolean' },
} as const satisfies ParseArgsConfig['options'];

const FEATURES = {
  f16: 'f16',
  subgroups: 'subgroupMinSize',
  'packed-dot': 'packedDot',
  timestamps: 'timestamps',
} as const;

/** `lavin generate`: one answer from a model on disk, as text or JSON. */
export async function generateCommand(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: OPTIONS });
  const number = (name: keyof typeof values): number | undefined => {
    const text = values[name];
    if (text === undefined) return undefined;
    const value = Number(text);
    if (typeof text !== 'string' || text.trim() === '' || Number.isNaN(value))
      throw new UsageError(`--${name} wants a number, not "${text}"`);
    return value;
  };
  const choice = <T extends string>(name: keyof typeof values, allowed: readonly T[]): T => {
    const value = values[name] as T;
    if (!allowed.includes(value)) throw new UsageError(`--${name} is one of ${allowed.join(', ')}, not "${value}"`);
    return value;
  };
  if (!values.model || values.prompt === undefined)
    throw new UsageError(`--model and --prompt are needed.\n\n${GENERATE_USAGE}`);
  const forced = values['force-tokens']?.split(',').map((id) => {
    if (!/^\d+$/.test(id.trim())) throw new UsageError(`--force-tokens wants token ids such as 1,2,3, not "${id}"`);
    return Number(id);
  });
  const without = (values.without?.split(',') ?? []).map((name) => {
    if (!(name in FEATURES)) throw new UsageError(`--without takes ${Object.keys(FEATURES).join(', ')}, not "${name}"`);
    return FEATURES[name as keyof typeof FEATURES];
  });
  const positionMode = choice('position-mode', ['trained', 'published'] as const);
  const kvFormat = choice('kv', ['f16', 'f32'] as const);
  const kernels = choice('kernels', ['auto', 'plain'] as const);

  const context = number('context');
  if (context !== undefined && !(Number.isInteger(context) && context > 1))
    throw new UsageError(`--context wants a whole number above 1, not "${values.context}"`);

  // Everything that can be wrong with the command line or the files, before the GPU is opened.
  const ports = nodePorts();
  const picture = values.image === undefined ? undefined : await openPicture(values.image);
  const began = performance.now();
  const files = values.model.endsWith('.json')
    ? await openManifest(ports, values.model)
    : await openBareGguf(await FileSource.open(values.model));
  const load = async () => {
    const sampling = resolveSampling(
      {
        temperature: number('temperature'),
        topK: number('top-k'),
        topP: number('top-p'),
        minP: number('min-p'),
        repetitionPenalty: number('repetition-penalty'),
        seed: number('seed'),
        maxTokens: number('max-tokens'),
      },
      { maxTokens: 128, ...files.manifest.sampling },
    );
    const { vocabulary } = files.llama.description.config;
    const unknown = forced?.find((id) => id >= vocabulary);
    if (unknown !== undefined) throw new UsageError(`--force-tokens: ${unknown} is not one of ${vocabulary} tokens`);

    const gpu = await Gpu.open(ports.gpu, { without });
    const model = await Model.load(gpu, files, {
      choices: kernels === 'plain' ? DEFAULT_CHOICES : await chooseKernels(gpu, ports.memory),
      kvFormat,
      context,
      mlpFromInput: positionMode === 'published',
      checkFinite: values['check-finite'],
    });
    return { gpu, model, sampling };
  };
  const { gpu, model, sampling } = await load().finally(() => files.close());
  const loadMs = performance.now() - began;

  const image = picture && (await encodeImage(model, picture, ports.decodeImage));
  const promptImage = image && { hash: image.hash, features: featuresPerImage(model.lavin) };
  const format = files.manifest.prompt;
  const prompt = values.chat
    ? chatPrompt(format, model.tokenizer, {
        system: values.system,
        turns: [{ role: 'user', text: values.prompt }],
        image: promptImage,
      })
    : rawPrompt(format, model.tokenizer, values.prompt, promptImage);
  const result = await answer(model, {
    prompt,
    modality: image ? 1 : 0,
    sampling,
    stop: values.chat ? format.stop : [],
    forced,
    positionMode,
    onToken: values.json ? undefined : (piece) => process.stdout.write(piece),
  });
  await model.settled();
  if (!values.json) {
    process.stdout.write('\n');
    return 0;
  }
  const routing = await model.routing?.read();
  const report = {
    text: result.text,
    stopReason: result.stopReason,
    tokens: result.records.map((r) => r.token),
    logprobs: result.records.map((r) => r.logprob),
    ...(forced && {
      argmax: result.records.map((r) => r.argmax),
      argmaxLogprobs: result.records.map((r) => r.argmaxLogprob),
    }),
    promptSlots: prompt.slots,
    routing: routing && { text: routing.attn[0], image: routing.attn[1] },
    patchRouting: image?.patches && { ...image.patches, weights: [...image.patches.weights] },
    promptTokens: result.promptTokens,
    promptTokensPerSecond: result.promptTokensPerSecond,
    tokensPerSecond: result.tokensPerSecond,
    dispatchesPerToken: model.decoder.dispatchesPerToken,
    loadMs,
    adapter: gpu.adapter,
    gpuBytes: gpu.ledger.byPurpose(),
    gpuPeakBytes: gpu.ledger.peak,
  };
  process.stdout.write(`${JSON.stringify(report)}\n`);
  return 0;
}

async function openPicture(path: string): Promise<Blob> {
  try {
    return await openAsBlob(path);
  } catch (cause) {
    throw new Error(`${path}: the picture could not be opened.`, { cause });
  }
}
