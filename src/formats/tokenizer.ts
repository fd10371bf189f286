export interface EncodeOptions {
  /** Put the beginning-of-sequence token first. Off unless asked for: prompts are often encoded in parts. */
  readonly addBos?: boolean;
  /** Read the text of control tokens (`<|im_start|>`) as those tokens. Off unless asked for: users type text. */
  readonly parseSpecial?: boolean;
}

export interface DecodeOptions {
  /** Print control tokens too. Off by default. */
  readonly special?: boolean;
}

/** Decodes a growing answer token by token; characters whose bytes are not all there yet are held back. */
export interface StreamDecoder {
  push(id: number): string;
  /** What was held back: an unfinished character becomes U+FFFD. */
  end(): string;
}

/** Text to token ids and back. Made by `tokenizerFromGguf` or `tokenizerFromJson`. */
export interface Tokenizer {
  encode(text: string, options?: EncodeOptions): number[];
  /**
   * The text of a whole sequence; the space that a SentencePiece vocabulary puts before the first word is taken off.
   * @throws RangeError for an id outside the vocabulary
   */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /** For a continuation: keeps a leading space. */
  streamDecoder(options?: DecodeOptions): StreamDecoder;
  /** Raw text of a token as the vocabulary writes it. @throws RangeError for an id outside the vocabulary */
  token(id: number): string;
  readonly vocabSize: number;
  readonly bos: number | undefined;
  /** Every token that ends an answer: end of sequence, of turn, of message. */
  readonly eos: readonly number[];
  /** Prompts of this model begin with `bos`. */
  readonly addBos: boolean;
  /** Jinja; see `renderChat`. */
  readonly chatTemplate: string | undefined;
}

/** How ids become bytes. */
export interface PieceTable {
  readonly vocabSize: number;
  /** Bytes a token stands for; empty for one that prints nothing. */
  bytes(id: number, special: boolean): Uint8Array;
  /** Take one leading space off a whole sequence. */
  readonly stripLeadingSpace: boolean;
}

export function decodePieces(table: PieceTable, ids: readonly number[], options: DecodeOptions = {}): string {
  const stream = streamPieces(table, options);
  let text = '';
  for (const id of ids) text += stream.push(id);
  text += stream.end();
  return table.stripLeadingSpace && text.startsWith(' ') ? text.slice(1) : text;
}

export function streamPieces(table: PieceTable, options: DecodeOptions = {}): StreamDecoder {
  // A byte order mark is a character like any other here.
  const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
  return {
    push(id) {
      checkId(table.vocabSize, id);
      return utf8.decode(table.bytes(id, options.special ?? false), { stream: true });
    },
    end: () => utf8.decode(),
  };
}

export function checkId(vocabSize: number, id: number): void {
  if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
    throw new RangeError(`token ${id} is not in the vocabulary of ${vocabSize}`);
  }
}

/**
 * Texts of tokens that end an answer in one model family or another; llama.cpp's list (`llama-vocab.cpp`, "maintain a
 * list of tokens that cause end-of-generation").
 */
export const END_TEXTS: ReadonlySet<string> = new Set([
  '<|eot_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|return|>',
  '<|call|>',
  '<end_of_turn>',
  '<|endoftext|>',
  '<|eom_id|>',
  '<EOT>',
  '_<EOT>',
  '[EOT]',
  '[EOS]',
  '<|end_of_text|>',
  '<end_of_utterance>',
]);
