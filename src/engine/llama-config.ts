import type { Metadata, MetadataValue } from '../formats/gguf';
import type { TensorFile } from '../formats/tensor-file';
import type { RopeConvention, RopeScaling } from '../kernels/rope';
import type { LlamaConfig } from '../models/llama';

/** What a file tells about a LLaMA: its shape and how it rotates positions. */
export interface LlamaDescription {
  readonly config: LlamaConfig;
  readonly rope: {
    readonly convention: RopeConvention;
    readonly base: number;
    readonly dimensions: number;
    readonly scaling?: RopeScaling;
  };
}

/** The file describes a model this engine does not take, or describes none. */
export class UnsupportedModelError extends Error {
  readonly code = 'unsupported';
  constructor(message: string) {
    super(message);
    this.name = 'UnsupportedModelError';
  }
}

/**
 * Reads `llama.*` metadata of a GGUF (architecture `llama`, whose q and k keep Meta's interleaved pairs).
 * @throws UnsupportedModelError naming the key that is missing, wrong or not supported
 */
export function llamaFromGguf(metadata: Metadata, file: TensorFile): LlamaDescription {
  const architecture = metadata.get('general.architecture');
  if (architecture !== 'llama') {
    throw new UnsupportedModelError(
      `${file.name} is a "${String(architecture)}" model; only architecture "llama" (LLaMA 1 to 3, Vicuna, TinyLlama, SmolLM2) runs here.`,
    );
  }
  const positive = (key: string, fallback?: number): number => {
    const value = metadata.get(`llama.${key}`) ?? fallback;
    if (typeof value !== 'number' || !(value > 0)) {
      throw new UnsupportedModelError(
        `${file.name}: metadata llama.${key} is ${describe(value)}, not a positive number.`,
      );
    }
    return value;
  };
  const dim = positive('embedding_length');
  const heads = positive('attention.head_count');
  const headDim = positive('attention.key_length', dim / heads);
  const kind = metadata.get('llama.rope.scaling.type') ?? 'none';
  if (kind !== 'none' && kind !== 'linear') {
    throw new UnsupportedModelError(
      `${file.name}: RoPE scaling "${String(kind)}" is not supported; "linear" and Llama-3's are.`,
    );
  }
  const experts = metadata.get('llama.expert_count') ?? 0;
  if (experts !== 0)
    throw new UnsupportedModelError(
      `${file.name} is a mixture of ${String(experts)} experts; only dense LLaMAs run here.`,
    );
  const embedding = file.tensors.get('token_embd.weight');
  const config: LlamaConfig = {
    dim,
    layers: positive('block_count'),
    heads,
    kvHeads: positive('attention.head_count_kv', heads),
    headDim,
    ffnDim: positive('feed_forward_length'),
    vocabulary: embedding?.shape[0] ?? positive('vocab_size'),
    normEpsilon: positive('attention.layer_norm_rms_epsilon'),
    contextLength: positive('context_length'),
  };
  checkConfig(file.name, config);
  return {
    config,
    rope: {
      convention: 'interleaved',
      base: positive('rope.freq_base', 10_000),
      dimensions: positive('rope.dimension_count', headDim),
      ...(kind === 'linear' && { scaling: { kind: 'linear' as const, factor: positive('rope.scaling.factor') } }),
    },
  };
}

/**
 * Reads a Hugging Face `config.json` (`LlamaForCausalLM`, whose q and k are permuted for half-split rotation).
 * @throws UnsupportedModelError naming the key that is missing, wrong or not supported
 */
export function llamaFromHuggingFace(json: Readonly<Record<string, unknown>>, name: string): LlamaDescription {
  if (json.model_type !== 'llama') {
    throw new UnsupportedModelError(`${name} describes a "${String(json.model_type)}" model; only "llama" runs here.`);
  }
  const positive = (from: Readonly<Record<string, unknown>>, key: string, fallback?: number): number => {
    const value = from[key] ?? fallback;
    if (typeof value !== 'number' || !(value > 0)) {
      throw new UnsupportedModelError(`${name}: ${key} is ${describe(value)}, not a positive number.`);
    }
    return value;
  };
  for (const flag of ['attention_bias', 'mlp_bias']) {
    if (json[flag]) throw new UnsupportedModelError(`${name}: ${flag} is set; LLaMAs with biases do not run here.`);
  }
  const dim = positive(json, 'hidden_size');
  const heads = positive(json, 'num_attention_heads');
  const headDim = positive(json, 'head_dim', dim / heads);
  const config: LlamaConfig = {
    dim,
    layers: positive(json, 'num_hidden_layers'),
    heads,
    kvHeads: positive(json, 'num_key_value_heads', heads),
    headDim,
    ffnDim: positive(json, 'intermediate_size'),
    vocabulary: positive(json, 'vocab_size'),
    normEpsilon: positive(json, 'rms_norm_eps'),
    contextLength: positive(json, 'max_position_embeddings', 2048),
  };
  checkConfig(name, config);
  const rope = { convention: 'half' as const, base: positive(json, 'rope_theta', 10_000), dimensions: headDim };
  const scaling = json.rope_scaling as Readonly<Record<string, unknown>> | null | undefined;
  const kind = scaling?.rope_type ?? scaling?.type ?? 'default';
  if (!scaling || kind === 'default') return { config, rope };
  if (kind === 'linear')
    return { config, rope: { ...rope, scaling: { kind: 'linear', factor: positive(scaling, 'factor') } } };
  if (kind === 'llama3') {
    return {
      config,
      rope: {
        ...rope,
        scaling: {
          kind: 'llama3',
          factor: positive(scaling, 'factor'),
          lowFrequencyFactor: positive(scaling, 'low_freq_factor'),
          highFrequencyFactor: positive(scaling, 'high_freq_factor'),
          originalContext: positive(scaling, 'original_max_position_embeddings'),
        },
      },
    };
  }
  throw new UnsupportedModelError(
    `${name}: RoPE scaling "${String(kind)}" is not supported; "linear" and "llama3" are.`,
  );
}

function checkConfig(name: string, config: LlamaConfig): void {
  for (const key of ['dim', 'layers', 'heads', 'kvHeads', 'headDim', 'ffnDim', 'vocabulary'] as const) {
    if (!Number.isInteger(config[key]))
      throw new UnsupportedModelError(`${name}: ${key} is ${config[key]}, not a whole number.`);
  }
  if (config.heads % config.kvHeads !== 0) {
    throw new UnsupportedModelError(`${name}: ${config.heads} heads do not share ${config.kvHeads} key heads evenly.`);
  }
}

function describe(value: MetadataValue | unknown): string {
  return value === undefined
    ? 'missing'
    : JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? String(v) : v)).slice(0, 60);
}
