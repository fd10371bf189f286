import { chunksOf } from '../formats/bytes';
import { StoreError, toStoreFailure } from './error';
import { RunningHash } from './hash';
import { hostOf, isPassing, MAX_TRIES, type NetworkPorts, pauseBefore, request, unreachable } from './network';

/** A file of the library while it is written: nobody else has it open. Offsets and lengths in bytes. */
export interface WritableFile {
  readonly size: number;
  read(at: number, length: number): Uint8Array;
  /** @throws QuotaExceededError when the device has no room for all of it */
  write(bytes: Uint8Array, at: number): void;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

/** How far a download came: `bytes` are on disk, `hash` is the state of their SHA-256. */
export interface ResumePoint {
  readonly bytes: number;
  readonly hash: Uint8Array;
}

export interface TransferTask {
  readonly url: string;
  /** File name, for messages; `.gguf` must begin as a GGUF does. */
  readonly name: string;
  /** From a listing, which the server then has to keep to. */
  readonly bytes?: number;
  readonly sha256?: string;
  /** Of an earlier part. */
  readonly etag?: string;
  readonly point?: ResumePoint;
  /** Fetches this of the file at `url` rather than all of it; `bytes` then counts what is written. */
  readonly part?: PartOfFile;
}

/** Bytes of a file elsewhere. */
export interface ByteRange {
  readonly from: number;
  readonly bytes: number;
}

/** Ranges of a file elsewhere, in the order in which they are written behind `head`. */
export interface PartOfFile {
  readonly head: Uint8Array;
  readonly ranges: readonly ByteRange[];
  /** Of the whole file, which the server has to keep to. */
  readonly fileBytes: number;
}

export interface TransferEvents {
  /** Bytes on disk, and how many there will be, where that is known. */
  onProgress?(bytes: number, total: number | undefined): void;
  /** What to remember for a resume: after every 8 MiB, and when a transfer ends in whatever way. */
  onPoint?(point: ResumePoint, etag: string | undefined, total: number | undefined): Promise<void> | void;
  /** The next try comes after `ms`. */
  onWait?(reason: StoreError, ms: number): void;
}

export interface Transferred {
  readonly bytes: number;
  readonly sha256: string;
  readonly etag: string | undefined;
}

/** Bytes asked for at once: a lie or a change shows at the next request, a redirect is paid for once in a while. */
const SEGMENT_BYTES = 64 * 1024 * 1024;
/** What a killed tab loses at most. */
const POINT_BYTES = 8 * 1024 * 1024;
/** Given back on a full disk: the row that remembers the resume point needs some room as well. */
const SPARE_BYTES = 256 * 1024;

/** A fault that passes: worth another try. */
class Passing extends Error {
  constructor(
    readonly reason: StoreError,
    readonly retryAfter: string | null = null,
  ) {
    super(reason.message);
  }
}

/**
 * Downloads one file into `file`, going on from the task's resume point, hashing what arrives. Every part must be what
 * was asked for, of the same file as the part before, and the whole must have the listing's size and SHA-256.
 * @throws StoreError, or the signal's reason; what arrived stays in `file` unless it cannot be trusted, or leaves no room for `onPoint`
 */
export async function transfer(
  task: TransferTask,
  file: WritableFile,
  ports: NetworkPorts,
  events: TransferEvents = {},
  signal?: AbortSignal,
): Promise<Transferred> {
  const run = new Transfer(task, file, ports, events, await RunningHash.create(), signal);
  return run.whole();
}

class Transfer {
  private at = 0;
  private total: number | undefined;
  private etag: string | undefined;
  private pointAt = 0;
  /** The last two: a full disk may take back what the last vouches for. */
  private points: readonly ResumePoint[] = [];
  private headSeen = false;

  constructor(
    private readonly task: TransferTask,
    private readonly file: WritableFile,
    private readonly ports: NetworkPorts,
    private readonly events: TransferEvents,
    private readonly hash: RunningHash,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.total = task.bytes;
    this.etag = task.etag;
  }

  async whole(): Promise<Transferred> {
    this.resume();
    this.tell();
    try {
      const { part } = this.task;
      if (part && this.at < part.head.length) {
        this.points = [];
        this.cut(0);
        await this.take(part.head);
      }
      while (this.total === undefined || this.at < this.total) await this.segmentPatiently();
      await this.point();
    } catch (error) {
      // The fault itself is what a person must hear of.
      await this.leave(error).catch(() => {});
      throw error;
    }
    const sha256 = this.hash.digest();
    const { task, at: bytes, etag } = this;
    if (task.sha256 !== undefined && sha256 !== task.sha256) {
      await this.discard();
      throw new StoreError(
        'damaged',
        `${task.name} arrived whole, but it is not the file that the listing names: its SHA-256 is ${sha256.slice(0, 12)}…, not ${task.sha256.slice(0, 12)}…. It was removed. Download it again; if it happens once more, the server or something on the way changes the file.`,
      );
    }
    return { bytes, sha256, etag };
  }

  /** Takes up what is on disk; what lies beyond the resume point was never vouched for. */
  private resume(): void {
    const { point } = this.task;
    if (point) this.points = [point];
    this.cut(Math.min(this.file.size, point?.bytes ?? 0));
  }

  /** Keeps the first `bytes` of the file, and hashes what no point that is known vouches for. */
  private cut(bytes: number): void {
    const point = this.points.findLast((each) => each.bytes <= bytes);
    if (point && this.hash.restore(point.hash)) this.at = point.bytes;
    else {
      this.hash.reset();
      this.at = 0;
    }
    while (this.at < bytes) {
      const piece = this.file.read(this.at, Math.min(POINT_BYTES, bytes - this.at));
      this.hash.update(piece);
      this.at += piece.length;
    }
    this.file.truncate(this.at);
    this.pointAt = this.at;
  }

  private async segmentPatiently(): Promise<void> {
    for (let failures = 1; ; failures++) {
      const before = this.at;
      try {
        await this.segment();
        return;
      } catch (error) {
        this.signal?.throwIfAborted();
        if (error instanceof StoreError) throw error;
        // Whatever fetch and body readers throw of themselves is a broken connection.
        const passing = error instanceof Passing ? error : new Passing(this.broken(error));
        if (this.at > before) failures = 1;
        // Without a connection tries are in vain: whoever asked hears of its return.
        if (failures === MAX_TRIES || !this.ports.online()) throw passing.reason;
        const ms = pauseBefore(failures, passing.retryAfter);
        this.events.onWait?.(passing.reason, ms);
        await this.ports.sleep(ms, this.signal);
      }
    }
  }

  private broken(cause: unknown): StoreError {
    if (this.at === 0 || !this.ports.online()) return unreachable(this.task.url, this.ports, cause);
    return new StoreError(
      'interrupted',
      `The connection to ${hostOf(this.task.url)} broke at ${this.at} bytes, and again at every try since. What arrived is kept: resume when the connection is better.`,
      { cause },
    );
  }

  private async segment(): Promise<void> {
    const { ahead, until: last } = this.place();
    const end = Math.min(this.at + SEGMENT_BYTES, last);
    const response = await request(
      this.ports,
      this.task.url,
      { headers: { Range: `bytes=${this.at + ahead}-${end + ahead - 1}` } },
      this.signal,
    );
    let until: number;
    try {
      until = await this.accept(response, end, ahead);
    } catch (error) {
      await response.body?.cancel().catch(() => {});
      throw error;
    }
    for await (const chunk of chunksOf(response.body as ReadableStream<Uint8Array>, this.signal)) {
      if (this.at + chunk.length > until) {
        throw this.lie(`more bytes than were asked for`);
      }
      await this.take(chunk);
    }
    if (until === Number.POSITIVE_INFINITY) this.total = this.at;
    else if (this.at < until) throw new Passing(this.broken(new Error('the response ended early')));
  }

  /** How far the place in the file elsewhere is ahead of that in ours, and where here this stops being so. */
  private place(): { ahead: number; until: number } {
    const { part } = this.task;
    if (!part) return { ahead: 0, until: this.total ?? Number.POSITIVE_INFINITY };
    let until = part.head.length;
    for (const { from, bytes } of part.ranges) {
      if (this.at < until + bytes) return { ahead: from - until, until: until + bytes };
      until += bytes;
    }
    throw new RangeError(`${this.task.name} has no byte ${this.at}: its ranges end at ${until}`);
  }

  /** Checks an answer's head. @returns the offset at which its body must end, infinity where nobody told */
  private async accept(response: Response, end: number, ahead: number): Promise<number> {
    const { status, headers } = response;
    const { name, url } = this.task;
    if (isPassing(status)) {
      throw new Passing(
        new StoreError(
          'server',
          `${hostOf(url)} answers ${status}: it is overloaded or broken. What arrived is kept: resume in a while.`,
        ),
        headers.get('retry-after'),
      );
    }
    if (status === 401 || status === 403) {
      throw new StoreError(
        'refused',
        `${hostOf(url)} refuses ${name} (${status}): it wants a sign-in or an accepted licence. Open ${url} in the browser, download it there, then use “Add a file from this device”.`,
      );
    }
    if (status === 404 || status === 410) {
      throw new StoreError(
        'not-found',
        `${hostOf(url)} has no file ${name} there (${status}). Check the address, or choose another file.`,
      );
    }
    if (status === 416) throw this.tooShort(this.at + ahead);
    if (!response.ok)
      throw new StoreError('server', `${hostOf(url)} answered ${status} for ${name}. Try another address.`);
    if (headers.get('content-type')?.startsWith('text/html')) {
      throw new StoreError(
        'not-a-file',
        `${hostOf(url)} sent a web page instead of ${name}. A network that asks for a sign-in does this, and so does a wrong address: check both, then try again.`,
      );
    }
    await this.checkSame(headers);
    if (status === 206) return this.acceptPart(headers, end, ahead);
    if (this.task.part) throw this.lie('the whole file, asked for a part of it');
    return this.acceptWhole(headers);
  }

  /** @throws StoreError `changed`, with what was downloaded of the old file thrown away */
  private async checkSame(headers: Headers): Promise<void> {
    const etag = headers.get('etag') ?? undefined;
    if (this.etag !== undefined && etag !== undefined && etag !== this.etag) {
      await this.discard();
      throw this.changed();
    }
    this.etag ??= etag;
  }

  private async acceptPart(headers: Headers, end: number, ahead: number): Promise<number> {
    const told = headers.get('content-range');
    if (told === null) {
      // Hidden from pages unless the server exposes it; the size then comes by itself, the rest is counted.
      this.total ??= await this.sizeByHead();
      return Math.min(end, this.total);
    }
    const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(told.trim());
    if (!match) throw this.lie(`an unreadable Content-Range “${told}”`);
    const [first, last] = [Number(match[1]), Number(match[2])];
    const total = match[3] === '*' ? undefined : Number(match[3]);
    const [from, to] = [this.at + ahead, end + ahead];
    if (first !== from || last >= to) throw this.lie(`bytes ${first} to ${last}, asked for ${from} to ${to - 1}`);
    await this.checkTotal(total);
    this.total ??= total ?? (await this.sizeByHead());
    return Math.min(end, this.total);
  }

  /** The server knows no ranges: everything comes again from the start. */
  private async acceptWhole(headers: Headers): Promise<number> {
    if (this.at > 0) await this.discard();
    const encoded = headers.has('content-encoding');
    const length = Number(headers.get('content-length') ?? Number.NaN);
    if (!encoded && Number.isSafeInteger(length)) {
      await this.checkTotal(length);
      this.total ??= length;
    }
    return this.total ?? Number.POSITIVE_INFINITY;
  }

  private async checkTotal(total: number | undefined): Promise<void> {
    const whole = this.task.part?.fileBytes ?? this.total;
    if (total === undefined || whole === undefined || total === whole) return;
    if (this.announced !== undefined && total < this.announced) throw this.tooShort(total);
    await this.discard();
    throw this.changed();
  }

  private async sizeByHead(): Promise<number> {
    const response = await request(this.ports, this.task.url, { method: 'HEAD' }, this.signal);
    const length = Number(response.headers.get('content-length') ?? Number.NaN);
    if (response.ok && Number.isSafeInteger(length)) return length;
    throw this.lie('parts without telling the size of the whole');
  }

  private async take(chunk: Uint8Array): Promise<void> {
    try {
      this.file.write(chunk, this.at);
    } catch (cause) {
      throw unwritten(cause);
    }
    this.hash.update(chunk);
    this.at += chunk.length;
    if (!this.headSeen && this.at >= 4) await this.checkHead();
    this.tell();
    if (this.at - this.pointAt >= POINT_BYTES) await this.point();
  }

  private async checkHead(): Promise<void> {
    this.headSeen = true;
    if (!/\.gguf$/i.test(this.task.name)) return;
    const magic = new TextDecoder('latin1').decode(this.file.read(0, 4));
    if (magic === 'GGUF') return;
    await this.discard();
    throw new StoreError(
      'not-a-file',
      `${this.task.name} does not begin as a GGUF file does, so it is none. Check the address; a link to the file itself is needed, not to a page about it.`,
    );
  }

  private tell(): void {
    this.events.onProgress?.(this.at, this.total);
  }

  private async point(): Promise<void> {
    const point = { bytes: this.at, hash: this.hash.save() };
    this.points = [...this.points.slice(-1), point];
    this.pointAt = this.at;
    try {
      this.file.flush();
      await this.events.onPoint?.(point, this.etag, this.total);
    } catch (cause) {
      throw unwritten(cause);
    }
  }

  /** A last point. On a full disk there must be room for it first, at the price of half of what arrived at most. */
  private async leave(error: unknown): Promise<void> {
    if (error instanceof StoreError && error.code === 'quota') {
      this.cut(this.at - Math.min(SPARE_BYTES, Math.ceil(this.at / 2)));
    }
    await this.point();
  }

  private async discard(): Promise<void> {
    this.points = [];
    this.cut(0);
    this.headSeen = false;
    this.etag = undefined;
    await this.point();
  }

  private changed(): StoreError {
    return new StoreError(
      'changed',
      `${this.task.name} changed on the server in mid-download. What had arrived belongs to the old file and was removed. Download it again.`,
    );
  }

  /** Bytes of the file elsewhere, by its listing. */
  private get announced(): number | undefined {
    return this.task.part?.fileBytes ?? this.task.bytes;
  }

  private tooShort(bytes: number): StoreError {
    return new StoreError(
      'truncated',
      `${this.task.name} ends on the server at byte ${bytes}${this.announced === undefined ? '' : `, where ${this.announced} bytes were announced`}. The file there is incomplete: choose another file, or tell its owner.`,
    );
  }

  private lie(what: string): StoreError {
    return new StoreError(
      'range',
      `${hostOf(this.task.url)} sent ${what}. It cannot be trusted with parts of ${this.task.name}: try another address, or download the file by the browser and use “Add a file from this device”.`,
    );
  }
}

/** What a disk or a database threw, in words for a person. */
function unwritten(cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const { code, message } = toStoreFailure(cause);
  const words = code === 'quota' ? message : `The file could not be written: ${message}. Try again.`;
  return new StoreError(code === 'quota' ? code : 'internal', words, { cause });
}
