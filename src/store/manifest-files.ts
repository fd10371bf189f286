import { StoreError } from './error';
import { fetchPatiently, hostOf, type NetworkPorts } from './network';
import type { StoredFile } from './rows';

/** A manifest that is to be kept: its own words, and its files under the names they get on this device. */
export interface ManifestPlan {
  readonly title: string;
  readonly card: string;
  readonly licence: string;
  readonly files: readonly StoredFile[];
}

type Json = Record<string, unknown>;
const FILE_KEYS = ['llama', 'vision', 'adapters', 'tokenizer'] as const;
/** Example pictures become part of the manifest, so that they are there without a connection. */
const MAX_PICTURE_BYTES = 1024 * 1024;

/**
 * Plans what a manifest at `url` needs: itself, rewritten to flat names, the files it names, those that their formats
 * imply (shards, `config.json`, the tokenizer's), and its example pictures inside it.
 * @throws StoreError `listing` for JSON that is no manifest
 */
export async function planManifest(
  url: string,
  json: unknown,
  ports: NetworkPorts,
  signal?: AbortSignal,
): Promise<ManifestPlan> {
  const manifest = json as Json | null;
  const llama = manifest?.llama as Json | undefined;
  if (manifest?.format !== 'lavin-manifest-1' || typeof llama?.file !== 'string') {
    throw new StoreError(
      'listing',
      `The JSON at ${hostOf(url)} is no model manifest ("format": "lavin-manifest-1" with "llama.file"). Give the address of a manifest.json or of a GGUF file.`,
    );
  }
  const plan = new Plan(ports, signal);
  const rewritten: Json = { ...manifest };
  for (const key of FILE_KEYS) {
    const reference = manifest[key] as Json | undefined;
    if (typeof reference?.file !== 'string') continue;
    rewritten[key] = { ...reference, file: await plan.add(new URL(reference.file, url).href) };
  }
  if (!/\.gguf$/i.test(new URL(llama.file, url).pathname)) {
    await plan.add(new URL('config.json', url).href);
    if (!manifest.tokenizer) await plan.add(new URL('tokenizer.json', url).href);
  }
  const tokenizer = (manifest.tokenizer as Json | undefined)?.file ?? 'tokenizer.json';
  if (plan.has('tokenizer.json')) {
    const beside = String(tokenizer).replace(/tokenizer\.json$/, 'tokenizer_config.json');
    await plan.addIfThere(new URL(beside, url).href);
  }
  rewritten.examples = await Promise.all(
    (Array.isArray(manifest.examples) ? (manifest.examples as Json[]) : []).map(async ({ image, ...example }) => {
      const picture = typeof image === 'string' ? await plan.picture(new URL(image, url).href) : undefined;
      return picture === undefined ? example : { ...example, image: picture };
    }),
  );
  const text = JSON.stringify(rewritten);
  const words = (value: unknown, otherwise: string) => (typeof value === 'string' && value !== '' ? value : otherwise);
  return {
    title: words(manifest.title, words(manifest.name, 'A model')),
    card: words(manifest.card, ''),
    licence: words(manifest.licence, 'not stated'),
    files: [{ name: 'manifest.json', text, bytes: new TextEncoder().encode(text).length }, ...plan.files],
  };
}

class Plan {
  readonly files: StoredFile[] = [];

  constructor(
    private readonly ports: NetworkPorts,
    private readonly signal: AbortSignal | undefined,
  ) {}

  has(name: string): boolean {
    return this.files.some((file) => file.name === name);
  }

  /** @returns the name it gets here */
  async add(url: string): Promise<string> {
    const known = this.files.find((file) => file.url === url);
    if (known) return known.name;
    const response = await fetchPatiently(url, { method: 'HEAD' }, this.ports, this.signal);
    if (!response.ok) {
      throw new StoreError(
        'not-found',
        `The manifest names ${url}, which the server does not give (${response.status}). Ask the manifest's owner.`,
      );
    }
    const name = this.freeName(url);
    const length = Number(response.headers.get('content-length') ?? Number.NaN);
    const known_size = Number.isSafeInteger(length) && !response.headers.has('content-encoding');
    this.files.push({ name, url, ...(known_size && { bytes: length }) });
    if (name.endsWith('.index.json')) await this.addShards(url);
    return name;
  }

  async addIfThere(url: string): Promise<void> {
    await this.add(url).catch((error) => {
      if (!(error instanceof StoreError) || error.code !== 'not-found') throw error;
    });
  }

  async picture(url: string): Promise<string | undefined> {
    const response = await fetchPatiently(url, {}, this.ports, this.signal);
    const type = response.headers.get('content-type') ?? '';
    if (!response.ok || !type.startsWith('image/')) return undefined;
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (bytes.length > MAX_PICTURE_BYTES) return undefined;
    let binary = '';
    for (const byte of bytes) binary += String.fromCharCode(byte);
    return `data:${type.split(';')[0]};base64,${btoa(binary)}`;
  }

  /** The shards keep their names: the index names them. */
  private async addShards(url: string): Promise<void> {
    const response = await fetchPatiently(url, {}, this.ports, this.signal);
    const index = (await response.json().catch(() => ({}))) as { weight_map?: Record<string, unknown> };
    for (const shard of new Set(Object.values(index.weight_map ?? {}))) {
      if (typeof shard === 'string') await this.add(new URL(shard, url).href);
    }
  }

  private freeName(url: string): string {
    const path = new URL(url).pathname;
    const plain = decodeURIComponent(path.slice(path.lastIndexOf('/') + 1)).replace(/[^\w.-]/g, '_') || 'file';
    for (let n = 1; ; n++) {
      const name = n === 1 ? plain : `${n}-${plain}`;
      if (!this.has(name) && name !== 'manifest.json') return name;
    }
  }
}
