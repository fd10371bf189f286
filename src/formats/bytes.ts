import { FormatError } from './error';

/** Largest piece a stream hands out, and the size of every staging buffer: bounds JavaScript memory while loading. */
export const MAX_PIECE_BYTES = 16 * 1024 * 1024;

/** Random access to the bytes of one file: on disk, in memory or behind a URL. Offsets and lengths in bytes. */
export interface ByteSource {
  /** File name, for messages. */
  readonly name: string;
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset`, in memory of their own.
   * @throws FormatError `truncated` past the end of the file, NetworkError, or the signal's reason.
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
  /**
   * The range in pieces of `pieceBytes` (the last one may be shorter). A piece is valid only until the next is asked
   * for: sources reuse one buffer, so that loading a model does not leave gigabytes to the garbage collector.
   */
  stream(offset: number, length: number, pieceBytes?: number, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** Of sources that hold something open. */
  close?(): Promise<void>;
}

/** @throws FormatError `truncated` unless [offset, offset + length) lies in the file. */
export function checkRange(source: { name: string; size: number }, offset: number, length: number): void {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!valid || offset + length > source.size) {
    throw new FormatError(
      'truncated',
      source.name,
      `bytes ${offset} to ${offset + length}`,
      `the file has ${source.size} bytes.`,
    );
  }
}

/** @throws RangeError for a piece size outside 1 to {@link MAX_PIECE_BYTES}: a caller's mistake, not a file's. */
export function checkPieceBytes(pieceBytes: number): void {
  if (!Number.isInteger(pieceBytes) || pieceBytes < 1 || pieceBytes > MAX_PIECE_BYTES) {
    throw new RangeError(`pieces are 1 to ${MAX_PIECE_BYTES} bytes, not ${pieceBytes}`);
  }
}

/**
 * Regroups a byte stream of arbitrary chunks into pieces of `pieceBytes`, through one reused buffer. Yields what it
 * got; the caller checks the total.
 */
export async function* regroup(
  chunks: AsyncIterable<Uint8Array>,
  pieceBytes: number,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const piece = new Uint8Array(pieceBytes);
  let filled = 0;
  for await (const chunk of chunks) {
    for (let taken = 0; taken < chunk.length; ) {
      const count = Math.min(chunk.length - taken, pieceBytes - filled);
      piece.set(chunk.subarray(taken, taken + count), filled);
      taken += count;
      filled += count;
      if (filled === pieceBytes) {
        yield piece;
        signal?.throwIfAborted();
        filled = 0;
      }
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

/**
 * The chunks of a web stream; leaving the loop early or aborting cancels it. (Safari's ReadableStream is not itself
 * iterable.)
 */
export async function* chunksOf(body: ReadableStream<Uint8Array>, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  const onAbort = () => void reader.cancel(signal?.reason).catch(() => {});
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      signal?.throwIfAborted();
      if (done) return;
      yield value;
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await reader.cancel().catch(() => {});
  }
}

/** A `File` that the user chose, or any `Blob`. */
export class BlobSource implements ByteSource {
  readonly name: string;

  constructor(
    private readonly blob: Blob,
    name?: string,
  ) {
    this.name = name ?? (blob as Partial<File>).name ?? 'file';
  }

  get size(): number {
    return this.blob.size;
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted();
    checkRange(this, offset, length);
    const bytes = new Uint8Array(await this.unlessChanged(this.blob.slice(offset, offset + length).arrayBuffer()));
    signal?.throwIfAborted();
    return bytes;
  }

  async *stream(
    offset: number,
    length: number,
    pieceBytes = MAX_PIECE_BYTES,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    checkPieceBytes(pieceBytes);
    checkRange(this, offset, length);
    signal?.throwIfAborted();
    if (length === 0) return;
    const body = this.blob.slice(offset, offset + length).stream() as ReadableStream<Uint8Array>;
    const pieces = regroup(chunksOf(body, signal), Math.min(pieceBytes, length), signal);
    try {
      for (;;) {
        const { done, value } = await this.unlessChanged(pieces.next(), signal);
        if (done) return;
        yield value;
      }
    } finally {
      await pieces.return(undefined);
    }
  }

  /** A chosen file that is deleted or rewritten under the page fails its reads with a bare DOMException. */
  private async unlessChanged<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await work;
    } catch (cause) {
      signal?.throwIfAborted();
      throw new FormatError('missing', this.name, 'content', 'the file could not be read; it may have been changed.', {
        cause,
      });
    }
  }
}

/** Bytes that are already in memory; `read` copies, so that a caller may keep or transfer what it got. */
export class MemorySource implements ByteSource {
  constructor(
    private readonly bytes: Uint8Array,
    readonly name = 'file',
  ) {}

  get size(): number {
    return this.bytes.length;
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted();
    checkRange(this, offset, length);
    return this.bytes.slice(offset, offset + length);
  }

  async *stream(
    offset: number,
    length: number,
    pieceBytes = MAX_PIECE_BYTES,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    checkPieceBytes(pieceBytes);
    checkRange(this, offset, length);
    for (let at = 0; at < length; at += pieceBytes) {
      signal?.throwIfAborted();
      yield this.bytes.subarray(offset + at, offset + Math.min(at + pieceBytes, length));
    }
  }
}
