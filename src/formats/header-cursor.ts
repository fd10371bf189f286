import type { ByteSource } from './bytes';
import { FormatError } from './error';

/** First read of a header; most fit. Later reads double up to {@link MAX_WINDOW_BYTES}. */
const FIRST_WINDOW_BYTES = 256 * 1024;
const MAX_WINDOW_BYTES = 4 * 1024 * 1024;

/**
 * Reads a little-endian header front to back through a window that is fetched by ranges as it goes, so that several MB
 * of metadata before gigabytes of weights cost only themselves. Lengths are compared with the file before use.
 */
export class HeaderCursor {
  readonly file: string;
  private window = new Uint8Array(0);
  private dataView = new DataView(this.window.buffer);
  /** File offset of the window's first byte. */
  private start = 0;
  /** Next byte, in the window. */
  private at = 0;
  private nextWindow = FIRST_WINDOW_BYTES;
  private readonly utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(
    private readonly source: ByteSource,
    private readonly maxBytes: number,
    private readonly signal?: AbortSignal,
  ) {
    this.file = source.name;
  }

  /** File offset of the next byte. */
  get position(): number {
    return this.start + this.at;
  }

  private get remaining(): number {
    return this.source.size - this.position;
  }

  /** Makes `length` bytes available to the synchronous reads. @throws FormatError `truncated` or `limit` */
  async need(length: number, field: string): Promise<void> {
    if (length <= this.window.length - this.at) return;
    if (length > this.remaining) {
      throw new FormatError(
        'truncated',
        this.file,
        field,
        `${length} bytes are needed at byte ${this.position}, ${this.remaining} are left.`,
      );
    }
    if (this.position + length > this.maxBytes) {
      throw new FormatError('limit', this.file, field, `the header exceeds ${this.maxBytes} bytes.`);
    }
    const position = this.position;
    const count = Math.min(Math.max(length, this.nextWindow), this.remaining);
    this.nextWindow = Math.min(this.nextWindow * 2, MAX_WINDOW_BYTES);
    this.window = (await this.source.read(position, count, this.signal)) as Uint8Array<ArrayBuffer>;
    this.dataView = new DataView(this.window.buffer, this.window.byteOffset, this.window.byteLength);
    this.start = position;
    this.at = 0;
  }

  /** The next `length` bytes, a view that {@link need} invalidates. */
  bytes(length: number): Uint8Array {
    this.at += length;
    return this.window.subarray(this.at - length, this.at);
  }

  view(length: number): DataView {
    this.at += length;
    return new DataView(this.window.buffer, this.window.byteOffset + this.at - length, length);
  }

  u32(): number {
    this.at += 4;
    return this.dataView.getUint32(this.at - 4, true);
  }

  /** @throws FormatError `corrupt` above 2^53 - 1 */
  u64(field: string): number {
    const value = this.dataView.getBigUint64(this.at, true);
    this.at += 8;
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new FormatError('corrupt', this.file, field, `${value} is not a possible size.`);
    }
    return Number(value);
  }

  /** A u64 that counts items of at least `itemBytes` each, which must fit what is left of the file. */
  count(field: string, itemBytes: number): number {
    const count = this.u64(field);
    if (count * itemBytes > this.remaining) {
      throw new FormatError(
        'truncated',
        this.file,
        field,
        `${count} items cannot fit in the ${this.remaining} bytes that are left.`,
      );
    }
    return count;
  }

  /** A u64 length and that many bytes of UTF-8. */
  async string(field: string, maxBytes: number): Promise<string> {
    await this.need(8, `${field} length`);
    const length = this.u64(`${field} length`);
    // A length beyond the file is a cut or lying file; one within it but absurd is a limit.
    if (length > this.remaining) {
      throw new FormatError(
        'truncated',
        this.file,
        `${field} length`,
        `${length} bytes of text, ${this.remaining} are left.`,
      );
    }
    if (length > maxBytes) {
      throw new FormatError(
        'limit',
        this.file,
        `${field} length`,
        `${length} bytes of text; at most ${maxBytes} are taken.`,
      );
    }
    await this.need(length, field);
    const text = this.decode(this.bytes(length));
    if (text === undefined) throw new FormatError('corrupt', this.file, field, 'the text is not UTF-8.');
    return text;
  }

  /** As {@link string} when all of it lies in the window and is in order; otherwise undefined, and nothing is consumed. */
  stringNow(maxBytes: number): string | undefined {
    const available = this.window.length - this.at - 8;
    if (available < 0) return undefined;
    const length = this.dataView.getUint32(this.at, true);
    if (this.dataView.getUint32(this.at + 4, true) !== 0 || length > available || length > maxBytes) return undefined;
    const from = this.at + 8;
    const text = this.decode(this.window.subarray(from, from + length));
    if (text !== undefined) this.at = from + length;
    return text;
  }

  private decode(bytes: Uint8Array): string | undefined {
    // Short ASCII, the bulk of a vocabulary, without the decoder's per-call cost.
    if (bytes.length <= 16 && bytes.every((byte) => byte < 0x80)) return String.fromCharCode(...bytes);
    try {
      return this.utf8.decode(bytes);
    } catch {
      return undefined;
    }
  }
}
