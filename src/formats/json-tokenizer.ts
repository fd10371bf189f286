/**
 * Tokenizers from `tokenizer.json` (and `tokenizer_config.json`), encoded by `@huggingface/tokenizers`. Decoding is
 * ours: the library decodes whole sequences only, and an answer is streamed byte by byte.
 */
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { fromByteCharacters } from './byte-alphabet';
import { FormatError } from './error';
import { checkId, decodePieces, END_TEXTS, type PieceTable, streamPieces, type Tokenizer } from './tokenizer';

type Json = Record<string, unknown>;

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/**
 * @param json the parsed `tokenizer.json`
 * @param config the parsed `tokenizer_config.json`: names of BOS and EOS, whether BOS is added, chat template
 * @throws FormatError naming the field at fault; `unsupported` for models and decoders other than those of LLaMAs
 */
export function tokenizerFromJson(json: unknown, config?: unknown, file = 'tokenizer.json'): Tokenizer {
  const corrupt = (field: string, problem: string): never => {
    throw new FormatError('corrupt', file, field, problem);
  };
  if (!isObject(json)) return corrupt('root', 'it is not an object.');
  if (config !== undefined && !isObject(config)) return corrupt('tokenizer_config', 'it is not an object.');
  const model = isObject(json.model) ? json.model : corrupt('model', 'it is not an object.');
  if (model.type !== 'BPE' && !(model.type === undefined && isObject(model.vocab))) {
    throw new FormatError('unsupported', file, 'model.type', `tokenizer "${model.type}" is not supported, only BPE.`);
  }
  const added = readAdded(json.added_tokens, corrupt);
  const tokens = readTokens(model.vocab, added, corrupt);
  if (!Array.isArray(model.merges)) return corrupt('model.merges', 'it is not a list.');

  const make = (keep: (token: AddedToken) => boolean): Library => {
    try {
      return new Library(
        {
          normalizer: json.normalizer ?? null,
          pre_tokenizer: withUnicodeClasses(json.pre_tokenizer ?? null),
          model: { ...model, type: 'BPE' },
          // BOS is added by `encode`, and the library's decoder is not used.
          post_processor: null,
          decoder: null,
          added_tokens: (json.added_tokens as unknown[] | undefined)?.filter((_, i) => keep(added[i])) ?? [],
        },
        {},
      );
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new FormatError('unsupported', file, 'model', `it cannot be used (${why}).`, { cause });
    }
  };
  const library = make(() => true);
  const specials = added.filter((token) => token.special);
  // The same vocabulary without control tokens, for text that spells one and must stay text. Rare, so made when needed.
  let plain: Library | undefined;

  const idOf = (text: string | undefined) => (text === undefined ? undefined : library.token_to_id(text));
  const template = templateStart(json.post_processor);
  const bos = idOf(tokenText(config?.bos_token) ?? template);
  const eos = new Set<number>();
  const configured = idOf(tokenText(config?.eos_token));
  if (configured !== undefined) eos.add(configured);
  for (const { id, content } of added) if (END_TEXTS.has(content) || content === '</s>') eos.add(id);
  const addBos = typeof config?.add_bos_token === 'boolean' ? config.add_bos_token : template !== undefined;

  const table = pieceTable(json, tokens, added, file);
  return {
    vocabSize: tokens.length,
    bos,
    eos: [...eos],
    addBos: addBos && bos !== undefined,
    chatTemplate: chatTemplate(config?.chat_template),
    encode(text, options = {}) {
      const asText = !options.parseSpecial && specials.some(({ content }) => text.includes(content));
      if (asText) plain ??= make((token) => !token.special);
      const ids = text === '' ? [] : (asText ? (plain as Library) : library).encode(text).ids;
      return options.addBos && bos !== undefined ? [bos, ...ids] : ids;
    },
    decode: (ids, options) => decodePieces(table, ids, options),
    streamDecoder: (options) => streamPieces(table, options),
    token(id) {
      checkId(tokens.length, id);
      return tokens[id] ?? '';
    },
  };
}

function readAdded(value: unknown, corrupt: (field: string, problem: string) => never): AddedToken[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return corrupt('added_tokens', 'it is not a list.');
  return value.map((token: unknown, i) => {
    const good = isObject(token) && isTokenId(token.id) && typeof token.content === 'string' && token.content !== '';
    if (!good) return corrupt(`added_tokens[${i}]`, 'it has no id and content.');
    return { id: token.id as number, content: token.content as string, special: token.special === true };
  });
}

/** Texts by id. Ids may have holes, as vocabularies padded to a round size do. */
function readTokens(
  vocab: unknown,
  added: readonly AddedToken[],
  corrupt: (field: string, problem: string) => never,
): (string | undefined)[] {
  if (!isObject(vocab)) return corrupt('model.vocab', 'it is not an object.');
  const tokens: (string | undefined)[] = [];
  for (const [text, id] of Object.entries(vocab)) {
    if (!isTokenId(id)) return corrupt(`model.vocab "${text}"`, `${id} is not a token id.`);
    if (tokens[id] !== undefined) return corrupt(`model.vocab "${text}"`, `id ${id} belongs to "${tokens[id]}" too.`);
    tokens[id] = text;
  }
  for (const { id, content } of added) tokens[id] = content;
  return tokens;
}

const isTokenId = (id: unknown): id is number =>
  Number.isInteger(id) && (id as number) >= 0 && (id as number) < 2 ** 24;

/** GPT-2's word pattern as the reference implementation has it; `Split` patterns get Unicode's idea of `\s`. */
const GPT2_WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * Two of the library's pre-tokenizers use JavaScript's character classes where the reference implementation uses
 * Unicode's: `Digits` cuts at ASCII digits only, and `ByteLevel` takes U+FEFF for a space and U+0085 for none. Its
 * `Split` is exact, so both are rewritten to it.
 */
function withUnicodeClasses(node: unknown): unknown {
  if (!isObject(node)) return node;
  if (Array.isArray(node.pretokenizers)) return { ...node, pretokenizers: node.pretokenizers.map(withUnicodeClasses) };
  const split = (regex: string) => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false });
  if (node.type === 'Digits') return split(node.individual_digits ? '\\p{N}' : '\\p{N}+');
  // A prefix space is put in before the words are cut: only the library's own order is right then.
  if (node.type === 'ByteLevel' && node.use_regex !== false && !node.add_prefix_space) {
    return { type: 'Sequence', pretokenizers: [split(GPT2_WORDS), { ...node, use_regex: false }] };
  }
  return node;
}

/** The token that a `TemplateProcessing` puts before a single sequence. */
function templateStart(node: unknown): string | undefined {
  if (!isObject(node)) return undefined;
  if (Array.isArray(node.processors)) {
    return node.processors.map(templateStart).find((text) => text !== undefined);
  }
  const first = node.type === 'TemplateProcessing' && Array.isArray(node.single) ? node.single[0] : undefined;
  const token = isObject(first) && isObject(first.SpecialToken) ? first.SpecialToken.id : undefined;
  return typeof token === 'string' ? token : undefined;
}

/** `"<s>"` or `{content: "<s>", ...}` */
function tokenText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return isObject(value) && typeof value.content === 'string' ? value.content : undefined;
}

/** One template, or a list of named ones of which `default` counts. */
function chatTemplate(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const found = value.find((entry) => isObject(entry) && entry.name === 'default');
  return isObject(found) && typeof found.template === 'string' ? found.template : undefined;
}

const NOTHING = new Uint8Array(0);

function pieceTable(
  json: Json,
  tokens: readonly (string | undefined)[],
  added: readonly AddedToken[],
  file: string,
): PieceTable {
  const steps = isObject(json.decoder)
    ? Array.isArray(json.decoder.decoders)
      ? (json.decoder.decoders as Json[])
      : [json.decoder]
    : [];
  const has = (type: string) => steps.some((step) => isObject(step) && step.type === type);
  const byteLevel = has('ByteLevel');
  // LLaMA's: Replace (U+2581 by space), ByteFallback, Fuse, Strip; or Metaspace.
  if (!byteLevel && !has('ByteFallback') && !has('Metaspace')) {
    const type = isObject(json.decoder) ? json.decoder.type : 'none';
    throw new FormatError('unsupported', file, 'decoder', `decoder "${type}" is not supported.`);
  }
  const addedById = new Map(added.map((token) => [token.id, token]));
  const utf8 = new TextEncoder();
  return {
    vocabSize: tokens.length,
    stripLeadingSpace: !byteLevel && (has('Strip') || has('Metaspace')),
    bytes(id, special) {
      const text = tokens[id];
      if (text === undefined) return NOTHING;
      const token = addedById.get(id);
      if (token) return token.special && !special ? NOTHING : utf8.encode(text);
      if (byteLevel) return fromByteCharacters(text);
      const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(text);
      return hex ? Uint8Array.of(Number.parseInt(hex[1], 16)) : utf8.encode(text.replaceAll('\u2581', ' '));
    },
  };
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
