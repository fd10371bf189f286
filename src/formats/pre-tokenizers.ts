/**
 * How byte-level BPE vocabularies cut text into words before merging, by GGUF's `tokenizer.ggml.pre`. The patterns and
 * the flags that go with them are llama.cpp's (`llama-vocab.cpp`); each pattern cuts the pieces that the one before it
 * left, and what no pattern matches stays a piece. `\s` is written out as Unicode's White_Space: JavaScript's own takes
 * U+FEFF for a space and U+0085 for none.
 */
export interface PreTokenizer {
  readonly patterns: readonly RegExp[];
  /** A word that is a token is taken whole, without merging. */
  readonly ignoreMerges: boolean;
  /** BOS is added when the metadata does not say. */
  readonly addBos: boolean;
}

const GPT2 =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})/gu;
const llama3 = (digits: string) =>
  new RegExp(
    "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" +
      `${digits}| ?[^\\p{White_Space}\\p{L}\\p{N}]+[\\r\\n]*|\\p{White_Space}*[\\r\\n]+|` +
      '\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+',
    'gu',
  );

const pre = (patterns: readonly RegExp[], flags: Partial<Omit<PreTokenizer, 'patterns'>> = {}): PreTokenizer => ({
  patterns,
  ignoreMerges: false,
  addBos: false,
  ...flags,
});

const DEFAULT = pre([/[\p{P}$+<=>^~|]+/gu, GPT2, /\p{N}+/gu, /[0-9][0-9][0-9]/gu]);
const PLAIN_GPT2 = pre([GPT2]);
const DIGIT_BY_DIGIT = pre([/\p{N}/gu, GPT2]);
const LLAMA3 = pre([llama3('\\p{N}{1,3}')], { ignoreMerges: true, addBos: true });
const QWEN2 = pre([llama3('\\p{N}')]);
const FALCON = pre([/[\p{P}$+<=>^~|`]+/gu, GPT2, /[0-9][0-9][0-9]/gu]);

const PRE_TOKENIZERS: Readonly<Record<string, PreTokenizer>> = {
  default: DEFAULT,
  'gpt-2': PLAIN_GPT2,
  'phi-2': PLAIN_GPT2,
  mpt: PLAIN_GPT2,
  olmo: PLAIN_GPT2,
  jais: PLAIN_GPT2,
  smollm: DIGIT_BY_DIGIT,
  starcoder: DIGIT_BY_DIGIT,
  refact: DIGIT_BY_DIGIT,
  'command-r': DIGIT_BY_DIGIT,
  codeshell: DIGIT_BY_DIGIT,
  llama3: LLAMA3,
  'llama-v3': LLAMA3,
  'llama-bpe': LLAMA3,
  dbrx: pre(LLAMA3.patterns),
  'smaug-bpe': pre(LLAMA3.patterns),
  qwen2: QWEN2,
  stablelm2: QWEN2,
  'deepseek-r1-qwen': QWEN2,
  megrez: QWEN2,
  falcon: FALCON,
};

/** The pre-tokenizer of that name, or undefined for one that is not known here. */
export function preTokenizer(name: string): PreTokenizer | undefined {
  return Object.hasOwn(PRE_TOKENIZERS, name) ? PRE_TOKENIZERS[name] : undefined;
}

/** Cuts text into words. */
export function splitWords(text: string, patterns: readonly RegExp[]): string[] {
  let pieces = [text];
  for (const pattern of patterns) {
    const next: string[] = [];
    for (const piece of pieces) {
      let end = 0;
      for (const match of piece.matchAll(pattern)) {
        if (match.index > end) next.push(piece.slice(end, match.index));
        next.push(match[0]);
        end = match.index + match[0].length;
      }
      if (end < piece.length) next.push(piece.slice(end));
    }
    pieces = next;
  }
  return pieces;
}
