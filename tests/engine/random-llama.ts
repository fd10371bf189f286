/** Small random LLaMAs as files: any shape, any weight format, GGUF's names or Hugging Face's. */
import { blockSize, dequantize, tensorBytes, type WeightFormat } from '../../src/formats/ggml';
import { type TensorToWrite, writeSafetensors } from '../../src/formats/safetensors';
import { buildGguf, entry, type GgufBuilder, type TensorSpec } from '../unit/formats/gguf-builder';

export interface LlamaShape {
  readonly format: WeightFormat;
  readonly dim: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffnDim: number;
  readonly vocabulary: number;
  readonly tied?: boolean;
  readonly ropeBase?: number;
  /** Channels of a head that turn, if not all. */
  readonly ropeDim?: number;
  /** Linear RoPE scaling. */
  readonly linearFactor?: number;
  /** `rope_freqs.weight`: what Llama-3's scaling divides each frequency by. */
  readonly ropeFactors?: Float32Array;
}

export interface RandomTensor {
  readonly format: WeightFormat;
  /** Outermost axis first. */
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
  /** What the bytes mean. */
  readonly values: Float32Array;
}

export interface RandomLlama {
  readonly shape: LlamaShape;
  /** Under GGUF's names; q and k in Meta's order (interleaved pairs). */
  readonly tensors: ReadonlyMap<string, RandomTensor>;
}

export const SMALL: Omit<LlamaShape, 'format'> = {
  dim: 256,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 64,
  ffnDim: 512,
  vocabulary: 101,
};

export function randomLlama(shape: LlamaShape, seed = 1): RandomLlama {
  const { dim, heads, kvHeads, headDim, ffnDim, vocabulary, format } = shape;
  const random = new Random(seed);
  const tensors = new Map<string, RandomTensor>();
  const matrix = (name: string, rows: number, cols: number) =>
    tensors.set(name, randomMatrix(random, format, rows, cols, 1.2 / Math.sqrt(cols)));
  const gain = (name: string) => {
    const values = Float32Array.from({ length: dim }, () => 1 + 0.2 * random.normal());
    tensors.set(name, plain([dim], values));
  };
  matrix('token_embd.weight', vocabulary, dim);
  for (let i = 0; i < shape.layers; i++) {
    gain(`blk.${i}.attn_norm.weight`);
    matrix(`blk.${i}.attn_q.weight`, heads * headDim, dim);
    matrix(`blk.${i}.attn_k.weight`, kvHeads * headDim, dim);
    matrix(`blk.${i}.attn_v.weight`, kvHeads * headDim, dim);
    matrix(`blk.${i}.attn_output.weight`, dim, heads * headDim);
    gain(`blk.${i}.ffn_norm.weight`);
    matrix(`blk.${i}.ffn_gate.weight`, ffnDim, dim);
    matrix(`blk.${i}.ffn_up.weight`, ffnDim, dim);
    matrix(`blk.${i}.ffn_down.weight`, dim, ffnDim);
  }
  gain('output_norm.weight');
  if (!shape.tied) matrix('output.weight', vocabulary, dim);
  if (shape.ropeFactors) tensors.set('rope_freqs.weight', plain([shape.ropeFactors.length], shape.ropeFactors));
  return { shape, tensors };
}

/** As a GGUF file of architecture `llama`, with a tokenizer of as many words as the vocabulary wants. */
export function ggufOf({ shape, tensors }: RandomLlama): Uint8Array {
  const specs: TensorSpec[] = [];
  let end = 0;
  for (const [name, { format, shape: axes, bytes }] of tensors) {
    specs.push({ name, ne: [...axes].reverse(), type: GGML_TYPES[format], offset: end });
    end = Math.ceil((end + bytes.length) / 32) * 32;
  }
  const header = buildGguf({ entries: metadata(shape), tensors: specs });
  const file = new Uint8Array(header.length + end);
  file.set(header);
  specs.forEach(({ name, offset }) => file.set(tensors.get(name)!.bytes, header.length + Number(offset)));
  return file;
}

/**
 * The same weights as Hugging Face's converter stores them: its names, and the rows of q and k permuted so that a
 * rotation's pairs are (i, i + headDim / 2). F32, F16 and BF16 only.
 */
export function huggingFaceTensors({ shape, tensors }: RandomLlama): Map<string, TensorToWrite> {
  const { headDim } = shape;
  const out = new Map<string, TensorToWrite>();
  for (const [name, tensor] of tensors) {
    if (name === 'rope_freqs.weight') continue;
    const [, layer, part] = /^blk\.(\d+)\.(.+)\.weight$/.exec(name) ?? [];
    const renamed = part ? `model.layers.${layer}.${HF_PARTS[part]}.weight` : HF_NAMES[name];
    const { format, bytes } = tensor;
    const halves = part === 'attn_q' || part === 'attn_k';
    out.set(renamed, {
      format: format as TensorToWrite['format'],
      shape: tensor.shape,
      data: halves ? toHalfSplit(bytes, tensor.shape[0], headDim) : bytes,
    });
  }
  return out;
}

export function huggingFaceConfig({ shape }: RandomLlama): Record<string, unknown> {
  return {
    model_type: 'llama',
    hidden_size: shape.dim,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headDim,
    intermediate_size: shape.ffnDim,
    vocab_size: shape.vocabulary,
    rms_norm_eps: EPSILON,
    rope_theta: shape.ropeBase ?? 10_000,
    max_position_embeddings: 256,
    tie_word_embeddings: shape.tied ?? false,
  };
}

/** Tensors cut over several safetensors files, and the index that joins them; by file name. */
export function sharded(tensors: ReadonlyMap<string, TensorToWrite>, shards: number): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const weightMap: Record<string, string> = {};
  for (let s = 0; s < shards; s++) {
    const name = `model-0000${s + 1}-of-0000${shards}.safetensors`;
    const part = new Map([...tensors].filter((_, i) => i % shards === s));
    for (const tensor of part.keys()) weightMap[tensor] = name;
    files.set(name, writeSafetensors(part));
  }
  const index = JSON.stringify({ metadata: { total_size: 0 }, weight_map: weightMap });
  return files.set('model.safetensors.index.json', new TextEncoder().encode(index));
}

export const EPSILON = 1e-5;

const GGML_TYPES: Readonly<Record<WeightFormat, number>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q5_0: 6,
  Q5_1: 7,
  Q8_0: 8,
  Q4_K: 12,
  Q5_K: 13,
  Q6_K: 14,
  BF16: 30,
};

const HF_NAMES: Readonly<Record<string, string>> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
};

const HF_PARTS: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

function toHalfSplit(bytes: Uint8Array, rows: number, headDim: number): Uint8Array {
  const rowBytes = bytes.length / rows;
  const out = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++) {
    const inHead = row % headDim;
    const half = headDim / 2;
    const from = row - inHead + (inHead < half ? 2 * inHead : 2 * (inHead - half) + 1);
    out.set(bytes.subarray(from * rowBytes, (from + 1) * rowBytes), row * rowBytes);
  }
  return out;
}

function metadata(shape: LlamaShape): ((builder: GgufBuilder) => void)[] {
  const text = (key: string, value: string) => entry(key, 8, (b) => b.string(value));
  const whole = (key: string, value: number) => entry(key, 4, (b) => b.u32(value));
  const real = (key: string, value: number) => entry(key, 6, (b) => b.f32(value));
  const words = Array.from({ length: shape.vocabulary }, (_, i) => ['<unk>', '<s>', '</s>'][i] ?? `\u2581w${i}`);
  return [
    text('general.architecture', 'llama'),
    whole('llama.context_length', 256),
    whole('llama.embedding_length', shape.dim),
    whole('llama.block_count', shape.layers),
    whole('llama.feed_forward_length', shape.ffnDim),
    whole('llama.attention.head_count', shape.heads),
    whole('llama.attention.head_count_kv', shape.kvHeads),
    whole('llama.attention.key_length', shape.headDim),
    real('llama.attention.layer_norm_rms_epsilon', EPSILON),
    whole('llama.rope.dimension_count', shape.ropeDim ?? shape.headDim),
    real('llama.rope.freq_base', shape.ropeBase ?? 10_000),
    ...(shape.linearFactor
      ? [text('llama.rope.scaling.type', 'linear'), real('llama.rope.scaling.factor', shape.linearFactor)]
      : []),
    text('tokenizer.ggml.model', 'llama'),
    entry('tokenizer.ggml.tokens', 9, (b) => {
      b.u32(8).u64(words.length);
      for (const word of words) b.string(word);
    }),
    entry('tokenizer.ggml.scores', 9, (b) => {
      b.u32(6).u64(words.length);
      words.forEach((_, i) => b.f32(-i));
    }),
  ];
}

function plain(shape: readonly number[], values: Float32Array): RandomTensor {
  return { format: 'F32', shape, values, bytes: new Uint8Array(values.slice().buffer) };
}

/** Byte offset of the f16 scale d; of m or dmin and its ratio to d that centres the values; spread of a value over d. */
const BLOCKS: Partial<Record<WeightFormat, { d: number; m?: number; ratio?: number; spread: number }>> = {
  Q8_0: { d: 0, spread: 74 },
  Q4_0: { d: 0, spread: 4.6 },
  Q4_1: { d: 0, m: 2, ratio: -7.5, spread: 4.6 },
  Q5_0: { d: 0, spread: 9.2 },
  Q5_1: { d: 0, m: 2, ratio: -15.5, spread: 9.2 },
  Q4_K: { d: 0, m: 2, ratio: 7.5, spread: 270 },
  Q5_K: { d: 0, m: 2, ratio: 15.5, spread: 540 },
  Q6_K: { d: 208, spread: 1370 },
};

/** Random valid blocks whose values spread by about `deviation`: every bit of every field is used. */
function randomMatrix(
  random: Random,
  format: WeightFormat,
  rows: number,
  cols: number,
  deviation: number,
): RandomTensor {
  const shape = [rows, cols];
  const bytes = new Uint8Array(tensorBytes(format, shape)!);
  const view = new DataView(bytes.buffer);
  const block = BLOCKS[format];
  if (block) {
    const size = blockSize(format)!.bytes;
    for (let i = 0; i < bytes.length; i++) bytes[i] = random.byte();
    for (let at = 0; at < bytes.length; at += size) {
      const d = (random.sign() * (0.5 + random.uniform()) * deviation) / block.spread;
      view.setUint16(at + block.d, toHalf(d), true);
      if (block.m !== undefined) view.setUint16(at + block.m, toHalf(d * block.ratio!), true);
    }
  } else {
    for (let i = 0; i < rows * cols; i++) {
      const value = deviation * random.normal();
      if (format === 'F32') view.setFloat32(i * 4, value, true);
      else if (format === 'F16') view.setUint16(i * 2, toHalf(value), true);
      else view.setUint16(i * 2, floatBits(value) >>> 16, true);
    }
  }
  return { format, shape, bytes, values: dequantize(format, bytes, rows * cols) };
}

const word = new DataView(new ArrayBuffer(4));
function floatBits(value: number): number {
  word.setFloat32(0, value);
  return word.getUint32(0);
}

/** The half below in magnitude; below the smallest normal one it is 0. */
function toHalf(value: number): number {
  const bits = floatBits(value);
  const exponent = ((bits >>> 23) & 255) - 112;
  return ((bits >>> 16) & 0x8000) | (exponent > 0 ? (exponent << 10) | ((bits >>> 13) & 0x3ff) : 0);
}

/** Mulberry32. */
class Random {
  constructor(private state: number) {}

  uniform(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  byte = () => Math.floor(this.uniform() * 256);
  sign = () => (this.uniform() < 0.5 ? -1 : 1);

  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }
}
