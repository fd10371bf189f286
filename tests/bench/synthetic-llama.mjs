/**
 * A llama GGUF of random Q4_0 weights, for speed alone: 30.7 M parameters, dim 576, 9 heads (3 for keys), 8 layers,
 * ffn 1536, vocabulary 2048, untied output. Both our engine and wllama load it.
 */
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const SHAPE = { dim: 576, heads: 9, kvHeads: 3, layers: 8, ffn: 1536, vocabulary: 2048, context: 2048 };
/** <unk>, <s>, </s> and 256 byte tokens. Their output rows are zero: wllama fails when greedy text holds lone bytes. */
export const FIRST_PLAIN_TOKEN = 259;
const ALIGNMENT = 32;
const TYPE = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 };
const GGML = { F32: 0, Q4_0: 2 };

/** Writes the file unless it is there. @param {string} path */
export function writeSyntheticLlama(path) {
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  const { header, data } = build();
  writeFileSync(`${path}.part`, Buffer.concat([header, data]));
  renameSync(`${path}.part`, path);
}

function build() {
  const tensors = tensorList();
  /** @type {Buffer[]} */
  const parts = [Buffer.from('GGUF'), u32(3), u64(tensors.length)];
  const entries = metadata();
  parts.push(u64(entries.length), ...entries);
  let offset = 0;
  for (const { name, ne, type, bytes } of tensors) {
    parts.push(text(name), u32(ne.length), ...ne.map(u64), u32(type), u64(offset));
    offset += Math.ceil(bytes.length / ALIGNMENT) * ALIGNMENT;
  }
  const unpadded = Buffer.concat(parts);
  const header = Buffer.concat([unpadded, Buffer.alloc(-unpadded.length & (ALIGNMENT - 1))]);
  const data = Buffer.concat(tensors.flatMap(({ bytes }) => [bytes, Buffer.alloc(-bytes.length & (ALIGNMENT - 1))]));
  return { header, data };
}

function tensorList() {
  const { dim, heads, kvHeads, layers, ffn, vocabulary } = SHAPE;
  const keys = (dim / heads) * kvHeads;
  const random = randomBytes(20_261_122);
  /** @param {string} name @param {number} rows @param {number} cols @param {number} scale @param {number} [zeroRows] */
  const matrix = (name, rows, cols, scale, zeroRows = 0) => {
    const bytes = random((rows * cols * 18) / 32);
    const d = half(scale);
    for (let at = 0; at < bytes.length; at += 18) bytes.writeUInt16LE(at < (zeroRows * cols * 18) / 32 ? 0 : d, at);
    return { name, ne: [cols, rows], type: GGML.Q4_0, bytes };
  };
  /** Unit gain: nibbles spread uniformly over -8 to 7. @param {string} name @param {number} rows @param {number} cols */
  const linear = (name, rows, cols) => matrix(name, rows, cols, 1 / (4.6 * Math.sqrt(cols)));
  /** @param {string} name */
  const ones = (name) => {
    const bytes = Buffer.from(new Float32Array(dim).fill(1).buffer);
    return { name, ne: [dim], type: GGML.F32, bytes };
  };
  const blocks = Array.from({ length: layers }, (_, i) => [
    ones(`blk.${i}.attn_norm.weight`),
    linear(`blk.${i}.attn_q.weight`, dim, dim),
    linear(`blk.${i}.attn_k.weight`, keys, dim),
    linear(`blk.${i}.attn_v.weight`, keys, dim),
    linear(`blk.${i}.attn_output.weight`, dim, dim),
    ones(`blk.${i}.ffn_norm.weight`),
    linear(`blk.${i}.ffn_gate.weight`, ffn, dim),
    linear(`blk.${i}.ffn_down.weight`, dim, ffn),
    linear(`blk.${i}.ffn_up.weight`, ffn, dim),
  ]);
  return [
    matrix('token_embd.weight', vocabulary, dim, 1 / 4.6),
    ...blocks.flat(),
    ones('output_norm.weight'),
    matrix('output.weight', vocabulary, dim, 1 / (4.6 * Math.sqrt(dim)), FIRST_PLAIN_TOKEN),
  ];
}

function metadata() {
  const { dim, heads, kvHeads, layers, ffn, vocabulary, context } = SHAPE;
  const pieces = vocabularyPieces(vocabulary);
  const types = pieces.map((_, i) => (i === 0 ? 2 : i < 3 ? 3 : i < FIRST_PLAIN_TOKEN ? 6 : 1));
  return [
    entry('general.architecture', TYPE.string, text('llama')),
    entry('general.name', TYPE.string, text('synthetic 30.7 M')),
    entry('general.file_type', TYPE.u32, u32(2)),
    entry('general.quantization_version', TYPE.u32, u32(2)),
    entry('llama.context_length', TYPE.u32, u32(context)),
    entry('llama.embedding_length', TYPE.u32, u32(dim)),
    entry('llama.block_count', TYPE.u32, u32(layers)),
    entry('llama.feed_forward_length', TYPE.u32, u32(ffn)),
    entry('llama.attention.head_count', TYPE.u32, u32(heads)),
    entry('llama.attention.head_count_kv', TYPE.u32, u32(kvHeads)),
    entry('llama.attention.layer_norm_rms_epsilon', TYPE.f32, f32(1e-5)),
    entry('llama.rope.dimension_count', TYPE.u32, u32(dim / heads)),
    entry('llama.rope.freq_base', TYPE.f32, f32(10_000)),
    entry('llama.vocab_size', TYPE.u32, u32(vocabulary)),
    entry('tokenizer.ggml.model', TYPE.string, text('llama')),
    entry('tokenizer.ggml.tokens', TYPE.array, array(TYPE.string, pieces.map(text))),
    entry(
      'tokenizer.ggml.scores',
      TYPE.array,
      array(
        TYPE.f32,
        pieces.map((_, i) => f32(-i)),
      ),
    ),
    entry('tokenizer.ggml.token_type', TYPE.array, array(TYPE.i32, types.map(u32))),
    entry('tokenizer.ggml.bos_token_id', TYPE.u32, u32(1)),
    entry('tokenizer.ggml.eos_token_id', TYPE.u32, u32(2)),
    entry('tokenizer.ggml.unknown_token_id', TYPE.u32, u32(0)),
    entry('tokenizer.ggml.add_bos_token', TYPE.bool, Buffer.from([1])),
  ];
}

/** Special and byte tokens, then every piece reachable by merging: letters, letters behind a space, pairs, triples. */
function vocabularyPieces(/** @type {number} */ count) {
  const letters = [...'abcdefghijklmnopqrstuvwxyz'];
  const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`);
  const space = '\u2581';
  const pairs = letters.flatMap((a) => letters.map((b) => a + b));
  const triples = pairs.flatMap((pair) => letters.map((c) => pair + c));
  const all = [
    '<unk>',
    '<s>',
    '</s>',
    ...bytes,
    space,
    ...letters,
    ...letters.map((l) => space + l),
    ...pairs,
    ...triples,
  ];
  return all.slice(0, count);
}

/** @param {number} seed */
function randomBytes(seed) {
  let state = seed >>> 0;
  return (/** @type {number} */ count) => {
    const bytes = Buffer.alloc(count);
    for (let i = 0; i < count; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      bytes[i] = state >>> 24;
    }
    return bytes;
  };
}

/** IEEE half of a positive normal number, truncated. @param {number} value */
function half(value) {
  const bits = new Uint32Array(new Float32Array([value]).buffer)[0];
  return ((((bits >>> 23) & 0xff) - 112) << 10) | ((bits >>> 13) & 0x3ff);
}

/** @param {number} value */
function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
/** @param {number} value */
function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
/** @param {number} value */
function f32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}
/** @param {string} value */
function text(value) {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}
/** @param {number} type @param {Buffer[]} values */
function array(type, values) {
  return Buffer.concat([u32(type), u64(values.length), ...values]);
}
/** @param {string} key @param {number} type @param {Buffer} value */
function entry(key, type, value) {
  return Buffer.concat([text(key), u32(type), value]);
}
