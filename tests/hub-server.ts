/** A server that imitates a model hub: its listing, its redirects, its files by ranges, and the ways in which they fail. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the server does wrong; each is undone by clearing it. */
export interface Faults {
  /** Connections break after this many bytes of a body; taken one by one, then none breaks. */
  breakAfter: number[];
  /** Statuses answered instead of the file, one by one. */
  statuses: number[];
  /** The listing answers with this. */
  listingStatus: number | undefined;
  /** Of a refused listing, as the hub names it: "GatedRepo". */
  errorCode: string | undefined;
  /** Files come with this ETag. */
  etag: string;
  /** Added to the first byte that Content-Range names. */
  shift: number;
  /** Bytes sent beyond what was asked for. */
  extra: number;
  /** Range requests get the whole file. */
  ignoresRanges: boolean;
  /** The file is served without its last bytes, consistently. */
  shortBy: number;
  /** A bit is flipped in every byte after this one. */
  corruptFrom: number | undefined;
  /** Files answer with a web page. */
  html: boolean;
  /** Bytes a second; unlimited if undefined. */
  bytesPerSecond: number | undefined;
  hideContentRange: boolean;
}

const NO_FAULTS: Faults = {
  breakAfter: [],
  statuses: [],
  listingStatus: undefined,
  errorCode: undefined,
  etag: '"v1"',
  shift: 0,
  extra: 0,
  ignoresRanges: false,
  shortBy: 0,
  corruptFrom: undefined,
  html: false,
  bytesPerSecond: undefined,
  hideContentRange: false,
};

export class HubServer {
  faults: Faults = structuredClone(NO_FAULTS);
  /** Method, path and range of every request for a file. */
  requests: string[] = [];
  private readonly repos = new Map<string, Map<string, Buffer>>();
  private server: Server | undefined;
  private port = 0;

  /** Base URL, as {@link listRepo} wants it. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  add(repo: string, path: string, content: Uint8Array): void {
    const files = this.repos.get(repo) ?? new Map<string, Buffer>();
    files.set(path, Buffer.from(content));
    this.repos.set(repo, files);
  }

  heal(): void {
    this.faults = structuredClone(NO_FAULTS);
    this.requests = [];
  }

  /** At the port it had before, if it had one. */
  async start(): Promise<void> {
    const server = createServer((request, response) => this.answer(request, response));
    this.server = server;
    await new Promise<void>((done) => {
      server.listen(this.port, '127.0.0.1', done);
    });
    this.port = (server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const { server } = this;
    if (!server) return;
    this.server = undefined;
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader('Access-Control-Allow-Headers', '*');
    const exposed = ['ETag', 'Link', 'X-Error-Code', 'X-Repo-Commit', 'Retry-After'];
    if (!this.faults.hideContentRange) exposed.push('Content-Range');
    response.setHeader('Access-Control-Expose-Headers', exposed.join(', '));
    if (request.method === 'OPTIONS') {
      response.writeHead(204).end();
      return;
    }
    const { pathname } = new URL(request.url ?? '/', this.url);
    const tree = /^\/api\/models\/([^/]+\/[^/]+)\/tree\/main$/.exec(pathname);
    if (tree) this.list(tree[1] as string, response);
    else this.send(pathname, request, response);
  }

  private list(repo: string, response: ServerResponse): void {
    const files = this.repos.get(repo);
    const status = this.faults.listingStatus ?? (files ? 200 : 404);
    if (this.faults.errorCode) response.setHeader('X-Error-Code', this.faults.errorCode);
    response.setHeader('X-Repo-Commit', 'c0ffee');
    response.writeHead(status, { 'Content-Type': 'application/json' });
    const entries = [...(files ?? [])].map(([path, content]) => ({
      type: 'file',
      path,
      size: content.length,
      oid: 'git-blob-hash',
      ...(content.length > 100 && {
        lfs: { oid: createHash('sha256').update(content).digest('hex'), size: content.length, pointerSize: 130 },
      }),
    }));
    response.end(
      JSON.stringify(status === 200 ? [{ type: 'directory', path: 'folder' }, ...entries] : { error: 'no' }),
    );
  }

  private send(pathname: string, request: IncomingMessage, response: ServerResponse): void {
    const match = /^\/([^/]+\/[^/]+)\/(?:resolve|cdn)\/[^/]+\/(.+)$/.exec(pathname);
    const content = match && this.repos.get(match[1] as string)?.get(decodeURIComponent(match[2] as string));
    if (!content) {
      response.writeHead(404).end();
      return;
    }
    // The hub sends large files on to another address.
    if (pathname.includes('/resolve/')) {
      response.writeHead(302, { Location: pathname.replace('/resolve/', '/cdn/') }).end();
      return;
    }
    const { faults } = this;
    this.requests.push(`${request.method} ${pathname} ${request.headers.range ?? ''}`.trim());
    const status = faults.statuses.shift();
    if (status !== undefined) {
      response.writeHead(status).end('an error page');
      return;
    }
    if (faults.html) {
      response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Sign in</title>');
      return;
    }
    const whole = content.subarray(0, content.length - faults.shortBy);
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    response.setHeader('ETag', faults.etag);
    response.setHeader('Content-Type', pathname.endsWith('.png') ? 'image/png' : 'application/octet-stream');
    if (!range || faults.ignoresRanges) {
      response.writeHead(200, { 'Content-Length': whole.length });
      this.body(whole, 0, request, response);
      return;
    }
    const first = Number(range[1]);
    if (first >= whole.length) {
      response.writeHead(416, { 'Content-Range': `bytes */${whole.length}` }).end();
      return;
    }
    const last = Math.min(range[2] ? Number(range[2]) : whole.length - 1, whole.length - 1);
    const part = Buffer.concat([whole.subarray(first, last + 1), Buffer.alloc(faults.extra)]);
    response.writeHead(206, {
      'Content-Length': part.length,
      'Content-Range': `bytes ${first + faults.shift}-${last}/${whole.length}`,
    });
    this.body(part, first, request, response);
  }

  private body(part: Buffer, first: number, request: IncomingMessage, response: ServerResponse): void {
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    const { corruptFrom, bytesPerSecond } = this.faults;
    const sent = corruptFrom === undefined ? part : part.map((byte, i) => (first + i >= corruptFrom ? byte ^ 1 : byte));
    const stop = this.faults.breakAfter.shift();
    if (stop !== undefined && stop < sent.length) {
      // A moment later, since a broken connection drops what waits in it.
      response.write(sent.subarray(0, stop), () => setTimeout(() => response.destroy(), 100));
    } else if (bytesPerSecond === undefined) response.end(sent);
    else trickle(sent, bytesPerSecond, response);
  }
}

function trickle(bytes: Uint8Array, bytesPerSecond: number, response: ServerResponse): void {
  const step = Math.max(1, Math.round(bytesPerSecond / 20));
  let at = 0;
  const timer = setInterval(() => {
    response.write(bytes.subarray(at, at + step));
    at += step;
    if (at < bytes.length) return;
    clearInterval(timer);
    response.end();
  }, 50);
  response.on('close', () => clearInterval(timer));
}

/** Bytes that begin as a GGUF does, the same for the same size. */
export function ggufLike(size: number): Uint8Array {
  const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 2654435761) >>> 24);
  bytes.set(new TextEncoder().encode('GGUF'));
  return bytes;
}
