import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { type ByteSource, checkPieceBytes, checkRange, MAX_PIECE_BYTES } from '../formats/bytes';
import { FormatError } from '../formats/error';

/** A file on disk, for the headless engine. Close it when the model is loaded. */
export class FileSource implements ByteSource {
  private constructor(
    private readonly handle: FileHandle,
    readonly name: string,
    readonly size: number,
  ) {}

  /** @throws FormatError `missing` when there is no readable regular file at `path` */
  static async open(path: string): Promise<FileSource> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, 'r');
      const stat = await handle.stat();
      if (!stat.isFile()) throw new Error('not a regular file');
      return new FileSource(handle, basename(path), stat.size);
    } catch (cause) {
      await handle?.close();
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new FormatError('missing', path, 'file', `it cannot be opened (${why}).`, { cause });
    }
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    checkRange(this, offset, length);
    const bytes = new Uint8Array(length);
    await this.fill(bytes, offset, signal);
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
    const piece = new Uint8Array(Math.min(pieceBytes, length));
    for (let at = 0; at < length; at += pieceBytes) {
      const part = piece.subarray(0, Math.min(pieceBytes, length - at));
      await this.fill(part, offset + at, signal);
      yield part;
    }
  }

  private async fill(target: Uint8Array, offset: number, signal?: AbortSignal): Promise<void> {
    for (let at = 0; at < target.length; ) {
      signal?.throwIfAborted();
      const { bytesRead } = await this.handle.read(target, at, target.length - at, offset + at);
      // The size was checked: a file that ends earlier was cut while we read it.
      if (bytesRead === 0) throw new FormatError('truncated', this.name, `byte ${offset + at}`, 'the file ends here.');
      at += bytesRead;
    }
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}
