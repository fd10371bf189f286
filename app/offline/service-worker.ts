/**
 * Keeps the page, and those models beside it that were used, so that both open without a connection. Built into `sw.js`
 * by tools/vite-service-worker.ts, for the built site only.
 *
 * Every build has a cache of its own, and a page is served wholly by one build: a new one waits until no page of the old
 * one is open, or until a person asks for it. The build before is kept beside it, for pages that are still open then.
 */
import type { OfflineMessage } from './messages';
import { sliceRange } from './range';

/** Written in by the build: relative addresses of all that the page is made of, and the hash of their content. */
declare const BUILD_FILES: readonly string[];
declare const BUILD_HASH: string;

/** The part of a service worker's own library that is used here; the page's types do not have it. */
interface ExtendableEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface FetchEvent extends ExtendableEvent {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
interface Scope {
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: 'install' | 'activate', listener: (event: ExtendableEvent) => void): void;
  addEventListener(type: 'fetch', listener: (event: FetchEvent) => void): void;
  addEventListener(type: 'message', listener: (event: ExtendableEvent & MessageEvent<OfflineMessage>) => void): void;
}
const scope = globalThis as unknown as Scope;

const SHELL_PREFIX = 'lavin-shell-';
const SHELL = `${SHELL_PREFIX}${BUILD_HASH}`;
const MODELS = 'lavin-models';
const ARRIVING = 'lavin-models-arriving';

/** One model after the other. */
let keeping = Promise.resolve();

scope.addEventListener('install', (event) => event.waitUntil(install()));
scope.addEventListener('activate', (event) => event.waitUntil(dropOldBuilds().then(() => scope.clients.claim())));
scope.addEventListener('message', (event) => {
  if (event.data.type === 'take-over') event.waitUntil(scope.skipWaiting());
  else {
    const { urls } = event.data;
    keeping = keeping.then(() => keepModel(urls)).catch(() => {});
    event.waitUntil(keeping);
  }
});
scope.addEventListener('fetch', (event) => {
  const { request } = event;
  const path = pathInScope(request.url);
  if (request.method !== 'GET' || path === undefined) return;
  if (request.mode === 'navigate') {
    if (path === '' || path === 'index.html')
      event.respondWith(shell(new URL('./', scope.registration.scope).href, request));
  } else if (path === 'models/index.json') event.respondWith(freshOrKept(request));
  else if (path.startsWith('models/')) event.respondWith(kept(request));
  else event.respondWith(shell(request.url, request));
});

async function install(): Promise<void> {
  const cache = await caches.open(SHELL);
  // Past the HTTP cache, which may hold files of another build under names that do not change.
  await cache.addAll(BUILD_FILES.map((file) => new Request(file, { cache: 'no-cache' })));
  // A first visit asked for it before this worker was there.
  await (await caches.open(MODELS)).add('./models/index.json').catch(() => {});
}

/** All but this build and the one before; `keys` lists caches in the order in which they were made. */
async function dropOldBuilds(): Promise<void> {
  const others = (await caches.keys()).filter((name) => name.startsWith(SHELL_PREFIX) && name !== SHELL);
  await Promise.all(others.slice(0, -1).map((name) => caches.delete(name)));
}

/** A file of this build; of the build before for pages that came from it; else from the network. */
async function shell(url: string, request: Request): Promise<Response> {
  const own = await caches.match(url, { cacheName: SHELL });
  return own ?? (await caches.match(url)) ?? fetch(request);
}

async function freshOrKept(request: Request): Promise<Response> {
  try {
    const response = await fetch(request);
    if (response.ok) await (await caches.open(MODELS)).put(request.url, response.clone()).catch(() => {});
    return response;
  } catch (error) {
    const known = await caches.match(request.url, { cacheName: MODELS });
    if (known) return known;
    throw error;
  }
}

/** A kept model is read from here, all of its files: {@link keepModel} looks for newer ones after it was used. */
async function kept(request: Request): Promise<Response> {
  const whole = await caches.match(request.url, { cacheName: MODELS });
  return whole ? sliceRange(whole, request.headers.get('range')) : fetch(request);
}

/**
 * One file after the other into a cache of its own: responses that wait unread hold connections, of which there are six.
 * Then all of them over at once, so that no old file stands beside a new one.
 */
async function keepModel(urls: readonly string[]): Promise<void> {
  const cache = await caches.open(MODELS);
  const arriving = await caches.open(ARRIVING);
  for (const url of urls.filter((each) => pathInScope(each) !== undefined)) {
    const response = await newer(url, cache);
    if (response?.ok) await arriving.put(url, response).catch(() => {});
  }
  for (const request of await arriving.keys()) {
    const response = await arriving.match(request);
    if (response) await cache.put(request, response);
  }
  await caches.delete(ARRIVING);
}

/** The file, unless what is kept is still the server's; undefined without a connection, too. */
async function newer(url: string, cache: Cache): Promise<Response | undefined> {
  try {
    const known = await cache.match(url);
    if (known) {
      const head = await fetch(url, { method: 'HEAD', cache: 'no-cache' });
      const same = ['etag', 'last-modified', 'content-length'].every(
        (name) => head.headers.get(name) === known.headers.get(name),
      );
      if (same || !head.ok) return undefined;
    }
    // Past the HTTP cache: it holds a file for one reader at a time, and the engine's ranges would make this wait.
    const response = await fetch(url, { cache: 'no-store' });
    // Single-page hosts answer unknown paths with their index page.
    return response.headers.get('content-type')?.startsWith('text/html') ? undefined : response;
  } catch {
    return undefined;
  }
}

/** Relative to where this page lives; undefined elsewhere. */
function pathInScope(url: string): string | undefined {
  const { origin, pathname } = new URL(url);
  const home = new URL(scope.registration.scope);
  if (origin !== home.origin || !pathname.startsWith(home.pathname)) return undefined;
  return pathname.slice(home.pathname.length);
}
