import type { ByteSource } from '../formats/bytes';

/** A record of a text file: its text, or why it has none. `line` counts from 1 and is the one it begins on. */
export type TextRecord =
  | { readonly line: number; readonly text: string; readonly problem?: undefined }
  | { readonly line: number; readonly text?: undefined; readonly problem: string };

/** Where records end. */
export interface RecordRule {
  /** Takes the next byte; whether it ends the record (and is not part of it). */
  ends(byte: number): boolean;
  /** Forgets what it has seen: a new record begins, or this one was given up. */
  reset(): void;
  /** Why the file must not end here, if so. */
  unfinished?(): string | undefined;
}

export interface ReadOptions {
  readonly signal?: AbortSignal;
  /** Called with the bytes read so far. */
  readonly onBytes?: (bytes: number) => void;
}

const NEWLINE = 0x0a;
const PIECE_BYTES = 1024 * 1024;
/** Longer records are reported and left out. */
export const MAX_RECORD_BYTES = 4 * 1024 * 1024;

/** Lines that end in a newline, with or without a carriage return. */
const lineRule: RecordRule = { ends: (byte) => byte === NEWLINE, reset: () => {} };

/**
 * A UTF-8 text file record by record, in memory of one piece and one record.
 * @throws FormatError, NetworkError, or the signal's reason
 */
export async function* readRecords(
  source: ByteSource,
  rule: RecordRule = lineRule,
  { signal, onBytes }: ReadOptions = {},
): AsyncGenerator<TextRecord> {
  const record = new GrowingBytes(MAX_RECORD_BYTES);
  let line = 1;
  let begins = 1;
  let first = true;
  const finish = (): TextRecord => {
    const done = record.take(first);
    first = false;
    const at = begins;
    begins = line;
    if (done === 'too long') {
      const limit = MAX_RECORD_BYTES / 2 ** 20;
      return { line: at, problem: `the row is longer than ${limit} MB; a quotation mark may be open` };
    }
    return done === undefined
      ? { line: at, problem: 'the row is not UTF-8 text; save the file as UTF-8' }
      : { line: at, text: done };
  };
  rule.reset();
  let read = 0;
  for await (const piece of source.stream(0, source.size, PIECE_BYTES, signal)) {
    let from = 0;
    for (let at = 0; at < piece.length; at++) {
      const byte = piece[at];
      if (byte === NEWLINE) line++;
      if (!rule.ends(byte)) continue;
      record.add(piece.subarray(from, at));
      from = at + 1;
      yield finish();
      rule.reset();
    }
    const fitted = !record.tooLong;
    record.add(piece.subarray(from));
    // Given up: the next newline ends it, whatever was open.
    if (fitted && record.tooLong) rule.reset();
    read += piece.length;
    onBytes?.(read);
  }
  const problem = rule.unfinished?.();
  if (problem) yield { line: begins, problem };
  else if (!record.empty) yield finish();
}

/** Bytes of one record, up to a limit, in a buffer that is used again. */
export class GrowingBytes {
  private bytes = new Uint8Array(64 * 1024);
  private length = 0;
  private over = false;
  private readonly utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(private readonly limit: number) {}

  get empty(): boolean {
    return this.length === 0 && !this.over;
  }

  get tooLong(): boolean {
    return this.over;
  }

  add(more: Uint8Array): void {
    if (this.over || this.length + more.length > this.limit) {
      this.over = true;
      return;
    }
    if (this.length + more.length > this.bytes.length) {
      const grown = new Uint8Array(Math.min(this.limit, Math.max(2 * this.bytes.length, this.length + more.length)));
      grown.set(this.bytes.subarray(0, this.length));
      this.bytes = grown;
    }
    this.bytes.set(more, this.length);
    this.length += more.length;
  }

  /**
   * The text so far, without a carriage return at its end; undefined if it is not UTF-8. Begins anew.
   * @param first a byte order mark at the beginning is left out
   */
  take(first = false): string | 'too long' | undefined {
    const { over, length } = this;
    this.length = 0;
    this.over = false;
    if (over) return 'too long';
    const mark = first && this.bytes[0] === 0xef && this.bytes[1] === 0xbb && this.bytes[2] === 0xbf && length >= 3;
    const end = length > 0 && this.bytes[length - 1] === 0x0d ? length - 1 : length;
    try {
      return this.utf8.decode(this.bytes.subarray(mark ? 3 : 0, end));
    } catch {
      return undefined;
    }
  }
}
