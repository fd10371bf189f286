/**
 * Tokenizers from GGUF metadata: SentencePiece-style vocabularies with scores (`llama`) and byte-level BPE (`gpt2`).
 * Ids equal llama.cpp's, which tests hold. Hand-written, although `@huggingface/tokenizers` merges BPE too: GGUF's
 * score vocabularies carry no merges, llama.cpp's word patterns and special-token rules differ from any
 * `tokenizer.json`, and pairs kept as numbers take a quarter of the library's memory.
 */
import { fromByteCharacters, toByteCharacters } from './byte-alphabet';
import { FormatError } from './error';
import type { Metadata } from './gguf';
import { type Merge, mergeSymbols } from './merge';
import { MetadataReader } from './metadata';
import { preTokenizer, splitWords } from './pre-tokenizers';
import {
  checkId,
  decodePieces,
  END_TEXTS,
  type EncodeOptions,
  type PieceTable,
  streamPieces,
  type Tokenizer,
} from './tokenizer';

/** `tokenizer.ggml.token_type` */
const UNDEFINED = 0;
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const BYTE = 6;

interface Vocabulary {
  readonly file: string;
  readonly tokens: readonly string[];
  readonly ids: ReadonlyMap<string, number>;
  readonly types: Uint8Array;
}

/** One way of cutting plain text (no special tokens in it) into ids. */
type EncodeText = (text: string, out: number[]) => void;

/**
 * The tokenizer that a GGUF file's metadata describes.
 * @param file for messages
 * @throws FormatError naming the metadata key at fault; `unsupported` for other tokenizer models and pre-tokenizers
 */
export function tokenizerFromGguf(metadata: Metadata, file = 'GGUF'): Tokenizer {
  const get = new MetadataReader(metadata, file);
  const model = get.string('tokenizer.ggml.model') ?? get.missing('tokenizer.ggml.model');
  if (model !== 'llama' && model !== 'gpt2') {
    throw new FormatError('unsupported', file, 'tokenizer.ggml.model', `tokenizer "${model}" is not supported.`);
  }
  const vocabulary = readVocabulary(get);
  const { tokens, ids, types } = vocabulary;

  const eos = new Set<number>();
  for (const name of ['eos', 'eot', 'eom']) {
    const value = specialId(get, name, tokens);
    if (value !== undefined) eos.add(value);
  }
  // llama.cpp's default for SentencePiece vocabularies. (Its default for BPE, 11, is GPT-2's habit and no one else's.)
  if (model === 'llama' && !metadata.has('tokenizer.ggml.eos_token_id') && tokens.length > 2) eos.add(2);
  for (const text of END_TEXTS) {
    const found = ids.get(text);
    if (found === undefined) continue;
    eos.add(found);
    types[found] = CONTROL;
  }
  const bos = specialId(get, 'bos', tokens) ?? (model === 'llama' && tokens.length > 1 ? 1 : undefined);

  let addBos: boolean;
  let addSpace = false;
  let encodeText: EncodeText;
  if (model === 'llama') {
    addSpace = get.boolean('tokenizer.ggml.add_space_prefix') ?? true;
    addBos = true;
    encodeText = scoreEncoder(get, vocabulary, specialId(get, 'unknown', tokens) ?? 0, addSpace);
  } else {
    const name = get.string('tokenizer.ggml.pre') ?? 'default';
    const pre = preTokenizer(name);
    if (!pre) {
      throw new FormatError('unsupported', file, 'tokenizer.ggml.pre', `pre-tokenizer "${name}" is not supported.`);
    }
    addBos = pre.addBos;
    encodeText = mergeEncoder(get, vocabulary, pre);
  }
  addBos = (get.boolean('tokenizer.ggml.add_bos_token') ?? addBos) && bos !== undefined;

  const split = specialSplitter(vocabulary);
  const table = pieceTable(vocabulary, model === 'llama', addSpace);
  return {
    vocabSize: tokens.length,
    bos,
    eos: [...eos],
    addBos,
    chatTemplate: get.string('tokenizer.chat_template'),
    encode(text: string, options: EncodeOptions = {}) {
      const out: number[] = [];
      if (options.addBos && bos !== undefined) out.push(bos);
      for (const part of split(text, options.parseSpecial ?? false)) {
        if (typeof part === 'number') out.push(part);
        else encodeText(part, out);
      }
      return out;
    },
    decode: (sequence, options) => decodePieces(table, sequence, options),
    streamDecoder: (options) => streamPieces(table, options),
    token(tokenId) {
      checkId(tokens.length, tokenId);
      return tokens[tokenId];
    },
  };
}

/** No closure in the function above: the tokenizer's own would keep the file's whole metadata alive with it. */
function specialId(get: MetadataReader, name: string, tokens: readonly string[]): number | undefined {
  return get.id(`tokenizer.ggml.${name}_token_id`, tokens.length);
}

function readVocabulary(get: MetadataReader): Vocabulary {
  const key = 'tokenizer.ggml.tokens';
  const raw = get.strings(key) ?? get.missing(key);
  const typesKey = 'tokenizer.ggml.token_type';
  const rawTypes = get.numbers(typesKey);
  if (rawTypes && rawTypes.length !== raw.length) {
    throw new FormatError('corrupt', get.file, typesKey, `${rawTypes.length} entries for ${raw.length} tokens.`);
  }
  // As llama.cpp does: an empty text would match everywhere.
  const tokens = raw.map((text, i) => (text === '' ? `[EMPTY_${i}]` : text));
  const ids = new Map<string, number>();
  const types = new Uint8Array(tokens.length).fill(NORMAL);
  for (let i = 0; i < tokens.length; i++) {
    if (ids.has(tokens[i])) {
      throw new FormatError('corrupt', get.file, `${key}[${i}]`, `"${tokens[i]}" is token ${ids.get(tokens[i])} too.`);
    }
    ids.set(tokens[i], i);
    if (rawTypes) {
      if (!(rawTypes[i] >= UNDEFINED && rawTypes[i] <= BYTE)) {
        throw new FormatError('corrupt', get.file, `${typesKey}[${i}]`, `type ${rawTypes[i]} is not known.`);
      }
      types[i] = rawTypes[i];
    }
  }
  return { file: get.file, tokens, ids, types };
}

/** SentencePiece BPE by scores, with byte fallback: llama.cpp's `llm_tokenizer_spm`. */
function scoreEncoder(
  get: MetadataReader,
  { file, tokens, ids }: Vocabulary,
  unknown: number,
  addSpace: boolean,
): EncodeText {
  const key = 'tokenizer.ggml.scores';
  const scores = get.numbers(key) ?? get.missing(key);
  if (scores.length !== tokens.length) {
    throw new FormatError('corrupt', file, key, `${scores.length} entries for ${tokens.length} tokens.`);
  }
  const byteIds = Array.from({ length: 256 }, (_, byte) => {
    const name = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
    return ids.get(name) ?? (byte < 0x80 ? ids.get(String.fromCharCode(byte)) : undefined) ?? unknown;
  });
  const merge = (left: string, right: string): Merge<string> | undefined => {
    const merged = left + right;
    const id = ids.get(merged);
    return id === undefined ? undefined : { key: -scores[id], merged };
  };
  const utf8 = new TextEncoder();
  return (text, out) => {
    // Text stands at the start or after a special token: llama.cpp puts the space in both places.
    const escaped = (addSpace ? ` ${text}` : text).replaceAll(' ', '\u2581');
    for (const piece of mergeSymbols(Array.from(escaped), merge)) {
      const id = ids.get(piece);
      if (id !== undefined) out.push(id);
      else for (const byte of utf8.encode(piece)) out.push(byteIds[byte]);
    }
  };
}

/** Words are few and repeat; their ids are kept up to this many. */
const MAX_CACHED_WORDS = 20_000;
/** Pairs of ids as one number: vocabularies stay below this. */
const PAIR = 2 ** 26;

/** Byte-level BPE by ranked merges: llama.cpp's `llm_tokenizer_bpe`. */
function mergeEncoder(
  get: MetadataReader,
  { file, ids }: Vocabulary,
  { patterns, ignoreMerges }: { readonly patterns: readonly RegExp[]; readonly ignoreMerges: boolean },
): EncodeText {
  const key = 'tokenizer.ggml.merges';
  const merges = get.strings(key) ?? get.missing(key);
  const ranks = new Map<number, number>();
  const merged = new Int32Array(merges.length);
  for (let i = 0; i < merges.length; i++) {
    // The first character may itself be a space; the pieces never hold one after it.
    const space = merges[i].indexOf(' ', 1);
    const left = ids.get(merges[i].slice(0, space));
    const right = ids.get(merges[i].slice(space + 1));
    const both = ids.get(merges[i].slice(0, space) + merges[i].slice(space + 1));
    if (space < 0 || left === undefined || right === undefined || both === undefined) {
      throw new FormatError('corrupt', file, `${key}[${i}]`, `"${merges[i]}" does not join two tokens into one.`);
    }
    merged[i] = both;
    const pair = left * PAIR + right;
    if (!ranks.has(pair)) ranks.set(pair, i);
  }
  const merge = (left: number, right: number): Merge<number> | undefined => {
    const rank = left < 0 || right < 0 ? undefined : ranks.get(left * PAIR + right);
    return rank === undefined ? undefined : { key: rank, merged: merged[rank] };
  };
  const encodeWord = (word: string): readonly number[] => {
    const characters = toByteCharacters(word);
    const whole = ignoreMerges ? ids.get(characters) : undefined;
    if (whole !== undefined) return [whole];
    const symbols = Array.from(characters, (character) => ids.get(character) ?? -1);
    // A byte that the vocabulary lacks is dropped, as llama.cpp does.
    return mergeSymbols(symbols, merge).filter((id) => id >= 0);
  };
  const cache = new Map<string, readonly number[]>();
  return (text, out) => {
    for (const word of splitWords(text, patterns)) {
      let found = cache.get(word);
      if (!found) {
        found = encodeWord(word);
        if (cache.size >= MAX_CACHED_WORDS) cache.clear();
        if (word.length <= 64) cache.set(word, found);
      }
      for (const id of found) out.push(id);
    }
  };
}

/**
 * Cuts text at special tokens, longest first, as llama.cpp's `tokenizer_st_partition` does: user-defined tokens always,
 * control and unknown ones only when asked.
 */
function specialSplitter({ tokens, types }: Vocabulary): (text: string, parseSpecial: boolean) => (string | number)[] {
  const utf8 = new TextEncoder();
  const special: { id: number; text: string; bytes: number; control: boolean }[] = [];
  tokens.forEach((text, id) => {
    const control = types[id] === CONTROL || types[id] === UNKNOWN;
    if (control || types[id] === USER_DEFINED) special.push({ id, text, bytes: utf8.encode(text).length, control });
  });
  special.sort((a, b) => b.bytes - a.bytes);
  return (text, parseSpecial) => {
    let parts: (string | number)[] = text === '' ? [] : [text];
    for (const { id, text: wanted, control } of special) {
      if ((control && !parseSpecial) || !text.includes(wanted)) continue;
      parts = parts.flatMap((part) => (typeof part === 'number' ? [part] : splitAt(part, wanted, id)));
    }
    return parts;
  };
}

function splitAt(text: string, wanted: string, id: number): (string | number)[] {
  const parts: (string | number)[] = [];
  text.split(wanted).forEach((between, i) => {
    if (i > 0) parts.push(id);
    if (between !== '') parts.push(between);
  });
  return parts;
}

const NOTHING = new Uint8Array(0);

/** llama.cpp's `token_to_piece`. */
function pieceTable({ tokens, types }: Vocabulary, scored: boolean, addSpace: boolean): PieceTable {
  const utf8 = new TextEncoder();
  return {
    vocabSize: tokens.length,
    stripLeadingSpace: addSpace,
    bytes(id, special) {
      const text = tokens[id];
      switch (types[id]) {
        case NORMAL:
          return scored ? utf8.encode(text.replaceAll('\u2581', ' ')) : fromByteCharacters(text);
        case UNKNOWN:
        case CONTROL:
          return special ? utf8.encode(text) : NOTHING;
        case USER_DEFINED:
          return utf8.encode(text);
        case BYTE: {
          const hex = /^<0x([0-9A-F]{2})>$/.exec(text);
          return hex ? Uint8Array.of(Number.parseInt(hex[1], 16)) : utf8.encode(text);
        }
        default:
          return NOTHING;
      }
    },
  };
}
