import { BlobSource, type ByteSource, checkPieceBytes, checkRange, chunksOf, MAX_PIECE_BYTES, regroup } from './bytes';
import { NetworkError } from './error';

export interface UrlSourceOptions {
  readonly signal?: AbortSignal;
  /** File name for messages; the URL's last segment otherwise. */
  readonly name?: string;
  /** Failed ranges are asked for again this many times before they fail for good. */
  readonly retries?: number;
  /** First pause before a retry; doubles. */
  readonly retryDelayMs?: number;
  /**
   * Bytes to ask for first: they tell size and range support, and stay cached, because readers start at the header.
   */
  readonly firstBytes?: number;
  /** Called while a server without range support makes us take the whole file at once. */
  readonly onWholeFile?: (loadedBytes: number, totalBytes: number | undefined) => void;
  readonly fetch?: typeof globalThis.fetch;
}

/** Nothing larger is taken whole from a server that ignores ranges: it would have to stay in memory. */
export const MAX_WHOLE_FILE_BYTES = 2 * 1024 ** 3;

/**
 * A file behind a URL, read by HTTP range requests. A server that ignores `Range` (answers 200) gets one plain
 * download into a Blob, which browsers may keep on disk; {@link openUrl} chooses.
 */
export class UrlSource implements ByteSource {
  /** @param first the leading bytes of the file, kept from the opening request */
  constructor(
    readonly url: string,
    readonly name: string,
    readonly size: number,
    private readonly first: Uint8Array,
    readonly etag: string | null,
    private readonly options: UrlSourceOptions,
  ) {}

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted();
    checkRange(this, offset, length);
    if (offset + length <= this.first.length) return this.first.slice(offset, offset + length);
    const bytes = new Uint8Array(length);
    let at = 0;
    for await (const chunk of this.chunks(offset, length, signal)) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }

  /** One request for the whole range; a failure resumes from the last byte that arrived. */
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
    yield* regroup(this.chunks(offset, length, signal), Math.min(pieceBytes, length), signal);
  }

  private async *chunks(offset: number, length: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    if (length === 0) return;
    const retries = this.options.retries ?? 2;
    let done = 0;
    for (let failures = 0; ; ) {
      try {
        const response = await this.request(offset + done, length - done, signal);
        for await (const chunk of chunksOf(response.body as ReadableStream<Uint8Array>, signal)) {
          if (done + chunk.length > length) {
            throw new NetworkError(
              'range',
              this.url,
              'the server sent more bytes than were asked for. Try another mirror.',
            );
          }
          done += chunk.length;
          if (chunk.length > 0) failures = 0;
          yield chunk;
        }
        if (done === length) return;
        throw new NetworkError('interrupted', this.url, `the download stopped at byte ${offset + done}. Try again.`);
      } catch (error) {
        signal?.throwIfAborted();
        if (!isTransient(error)) throw error;
        if (++failures > retries) throw asNetworkError(error, this.url);
        await pause((this.options.retryDelayMs ?? 300) * 2 ** (failures - 1), signal);
      }
    }
  }

  private async request(offset: number, length: number, signal?: AbortSignal): Promise<Response> {
    const fetchIt = this.options.fetch ?? globalThis.fetch;
    const last = offset + length - 1;
    const response = await fetchIt(this.url, { headers: { Range: `bytes=${offset}-${last}` }, signal });
    try {
      if (response.status !== 206) {
        if (response.ok) {
          throw new NetworkError(
            'range',
            this.url,
            'the server stopped answering range requests. Try again later.',
            response.status,
          );
        }
        throw httpError(this.url, response.status);
      }
      const range = contentRange(response);
      if (range && (range.first !== offset || range.last !== last)) {
        throw new NetworkError(
          'range',
          this.url,
          `the server sent bytes ${range.first}-${range.last} instead of ${offset}-${last}. Try another mirror.`,
          206,
        );
      }
      const etag = response.headers.get('etag');
      if ((range?.total !== undefined && range.total !== this.size) || (this.etag && etag && etag !== this.etag)) {
        throw new NetworkError(
          'changed',
          this.url,
          'the file changed on the server while it was read. Load it again.',
          206,
        );
      }
      return response;
    } catch (error) {
      await response.body?.cancel().catch(() => {});
      throw error;
    }
  }
}

/**
 * Opens a URL as a byte source with one request: size, range support and the first bytes come with it.
 * @throws NetworkError, or the signal's reason when aborted
 */
export async function openUrl(url: string, options: UrlSourceOptions = {}): Promise<ByteSource> {
  const { signal, retries = 2 } = options;
  for (let failures = 0; ; ) {
    try {
      return await open(url, options);
    } catch (error) {
      signal?.throwIfAborted();
      if (!isTransient(error)) throw error;
      if (++failures > retries) throw asNetworkError(error, url);
      await pause((options.retryDelayMs ?? 300) * 2 ** (failures - 1), signal);
    }
  }
}

async function open(url: string, options: UrlSourceOptions): Promise<ByteSource> {
  const { signal, firstBytes = 1024 * 1024 } = options;
  const fetchIt = options.fetch ?? globalThis.fetch;
  const name = options.name ?? fileName(url);
  const response = await fetchIt(url, { headers: { Range: `bytes=0-${firstBytes - 1}` }, signal });
  if (response.status === 416) {
    await response.body?.cancel();
    // The only range that no offset satisfies is one of an empty file.
    return new UrlSource(url, name, 0, new Uint8Array(0), null, options);
  }
  if (!response.ok) {
    await response.body?.cancel();
    throw httpError(url, response.status);
  }
  // Single-page hosts answer unknown paths with their index page and status 200.
  if (response.headers.get('content-type')?.startsWith('text/html')) {
    await response.body?.cancel();
    throw new NetworkError(
      'not-a-file',
      url,
      'the server sent a web page instead of a file. Check the address.',
      response.status,
    );
  }
  if (response.status !== 206) return wholeFile(response, url, name, options);

  const parts: Uint8Array[] = [];
  let got = 0;
  for await (const chunk of chunksOf(response.body as ReadableStream<Uint8Array>, signal)) {
    parts.push(chunk);
    got += chunk.length;
    if (got > firstBytes) {
      throw new NetworkError('range', url, 'the server sent more bytes than were asked for. Try another mirror.', 206);
    }
  }
  const range = contentRange(response);
  // Content-Range is hidden from pages of other origins unless the server exposes it; Content-Length never is.
  const size = range ? range.total : got < firstBytes ? got : await sizeByHead(url, options);
  if (size === undefined) {
    throw new NetworkError(
      'range',
      url,
      'the server does not tell the size of the file. Download it and open it from disk.',
      206,
    );
  }
  if ((range && range.first !== 0) || got !== Math.min(size, firstBytes)) {
    throw new NetworkError('interrupted', url, `the download stopped at byte ${got}. Try again.`, 206);
  }
  const first = new Uint8Array(got);
  let at = 0;
  for (const part of parts) {
    first.set(part, at);
    at += part.length;
  }
  return new UrlSource(url, name, size, first, response.headers.get('etag'), options);
}

async function sizeByHead(url: string, options: UrlSourceOptions): Promise<number | undefined> {
  const response = await (options.fetch ?? globalThis.fetch)(url, { method: 'HEAD', signal: options.signal });
  if (!response.ok) throw httpError(url, response.status);
  const length = Number(response.headers.get('content-length') ?? Number.NaN);
  return Number.isSafeInteger(length) && length >= 0 ? length : undefined;
}

async function wholeFile(
  response: Response,
  url: string,
  name: string,
  options: UrlSourceOptions,
): Promise<ByteSource> {
  const encoded = response.headers.has('content-encoding');
  const told = Number(response.headers.get('content-length') ?? Number.NaN);
  const total = !encoded && Number.isSafeInteger(told) ? told : undefined;
  const tooLarge = () =>
    new NetworkError(
      'range',
      url,
      'the server cannot send parts of this large file. Download it and open it from disk.',
      response.status,
    );
  if (total !== undefined && total > MAX_WHOLE_FILE_BYTES) {
    await response.body?.cancel();
    throw tooLarge();
  }
  const parts: Blob[] = [];
  let got = 0;
  for await (const piece of regroup(
    chunksOf(response.body as ReadableStream<Uint8Array>, options.signal),
    MAX_PIECE_BYTES,
  )) {
    parts.push(new Blob([piece as Uint8Array<ArrayBuffer>]));
    got += piece.length;
    if (got > MAX_WHOLE_FILE_BYTES) throw tooLarge();
    options.onWholeFile?.(got, total);
  }
  if (total !== undefined && got !== total) {
    throw new NetworkError(
      'interrupted',
      url,
      `the download stopped at byte ${got} of ${total}. Try again.`,
      response.status,
    );
  }
  return new BlobSource(new Blob(parts), name);
}

function contentRange(response: Response): { first: number; last: number; total: number | undefined } | undefined {
  const header = response.headers.get('content-range');
  if (!header) return undefined;
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header.trim());
  if (!match) {
    throw new NetworkError(
      'range',
      response.url,
      `the server sent an unreadable Content-Range "${header}". Try another mirror.`,
      206,
    );
  }
  const total = match[3] === '*' ? undefined : Number(match[3]);
  return { first: Number(match[1]), last: Number(match[2]), total };
}

function httpError(url: string, status: number): NetworkError {
  const problem =
    status === 404 || status === 410
      ? 'there is no such file on the server. Check the address.'
      : status === 401 || status === 403
        ? 'the server refuses access. Sign in there, or download the file and open it from disk.'
        : `the server answered ${status}. Try again later.`;
  return new NetworkError('http', url, problem, status);
}

/** Worth asking again: broken connections, cut-off bodies, overload. `fetch` reports a broken connection as TypeError. */
function isTransient(error: unknown): boolean {
  if (!(error instanceof NetworkError)) return error instanceof Error && !(error instanceof RangeError);
  if (error.code === 'http') return error.status === 408 || error.status === 429 || (error.status ?? 0) >= 500;
  return error.code === 'interrupted' || error.code === 'unreachable';
}

function asNetworkError(cause: unknown, url: string): NetworkError {
  if (cause instanceof NetworkError) return cause;
  return new NetworkError(
    'unreachable',
    url,
    'the server cannot be reached. Check the connection and try again.',
    undefined,
    { cause },
  );
}

function fileName(url: string): string {
  const path = url.split(/[?#]/, 1)[0];
  return decodeSafely(path.slice(path.lastIndexOf('/') + 1)) || url;
}

function decodeSafely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
