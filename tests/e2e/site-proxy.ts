/** The built site at an address of a test's own: it can go away, and it can become a newer build. */
import { request as ask, createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export class SiteProxy {
  /** Answers instead of the site's, by the end of the path. */
  readonly substitutes: [RegExp, (original: string) => string][] = [];
  /** Paths that were asked for. */
  requests: string[] = [];
  private server: Server | undefined;
  private port = 0;

  constructor(private readonly site: string) {}

  get url(): string {
    return `http://localhost:${this.port}/`;
  }

  async start(): Promise<void> {
    const server = createServer((incoming, outgoing) => {
      const path = incoming.url ?? '/';
      this.requests.push(path);
      const { host: _, 'accept-encoding': __, 'if-none-match': ___, ...headers } = incoming.headers;
      delete headers['if-modified-since'];
      const onward = ask(new URL(path, this.site), { method: incoming.method, headers }, (answer) => {
        const status = answer.statusCode ?? 502;
        const change = this.substitutes.find(([pattern]) => pattern.test(path))?.[1];
        if (!change) {
          outgoing.writeHead(status, answer.headers);
          answer.pipe(outgoing);
          return;
        }
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => {
          const { 'content-length': _, etag: __, 'last-modified': ___, ...kept } = answer.headers;
          outgoing.writeHead(200, { ...kept, 'cache-control': 'no-cache' });
          outgoing.end(change(Buffer.concat(chunks).toString()));
        });
      });
      onward.on('error', () => outgoing.destroy());
      incoming.pipe(onward);
    });
    this.server = server;
    await new Promise<void>((done) => {
      server.listen(this.port, 'localhost', done);
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
}
