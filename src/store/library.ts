import { chunksOf } from '../formats/bytes';
import { StoreError, toStoreFailure } from './error';
import { RunningHash } from './hash';
import { fileUrl, listRepo } from './hub';
import type { Locks } from './locks';
import { planManifest } from './manifest-files';
import { fetchPatiently, hostOf, type NetworkPorts } from './network';
import type { FileStore, StorageRoom } from './opfs';
import { type Ingredients, planLavin } from './put-together';
import { bytesHere, bytesInAll, type RowStore, type StoredFile, type StoredModel } from './rows';
import { planTower } from './tower';
import { type Transferred, transfer } from './transfer';

export interface LibraryPorts {
  readonly files: FileStore;
  readonly rows: RowStore;
  readonly network: NetworkPorts;
  readonly locks: Locks;
  /** Milliseconds since 1970. */
  now(): number;
  /** Something changed that {@link Library.list} tells. */
  changed(): void;
}

/** A model as it stands now. */
export interface ListedModel extends StoredModel {
  readonly bytesHere: number;
  /** Undefined while the size of a file is not known. */
  readonly bytesInAll: number | undefined;
  /** Another tab downloads, copies or deletes it. */
  readonly elsewhere: boolean;
}

export interface LibraryProgress {
  readonly id: string;
  /** `wait`: a fault passes, the next try comes after `waitMs`. */
  readonly phase: 'download' | 'wait' | 'verify' | 'copy';
  /** Of all files together. */
  readonly bytes: number;
  readonly total: number | undefined;
  readonly reason?: string;
  readonly waitMs?: number;
}
export type OnProgress = (progress: LibraryProgress) => void;

export interface About {
  readonly title: string;
  readonly card: string;
  readonly licence: string;
  readonly entry?: string;
}

export type Outcome = 'ready' | 'paused';

/** The reason of a signal that pauses. */
const PAUSED = new StoreError('aborted', 'Paused.');
const CANCELLED = new StoreError('aborted', 'Cancelled.');
const COPY_BYTES = 4 * 1024 * 1024;

/** The models on this device: rows that tell of them and files that hold them. One row is worked on by one tab at a time. */
export class Library {
  private readonly running = new Map<string, { controller: AbortController; done: Promise<unknown> }>();

  constructor(private readonly ports: LibraryPorts) {}

  async list(): Promise<ListedModel[]> {
    const [rows, locked] = await Promise.all([this.ports.rows.all(), this.ports.locks.held()]);
    rows.sort((a, b) => a.added - b.added);
    const whole = new Set<string>();
    await Promise.all(rows.map(async (row) => (await this.isWhole(row)) && whole.add(row.id)));
    const sound = ({ id, state, parts }: StoredModel) =>
      state === 'ready' && whole.has(id) && (parts?.ids ?? []).every((part) => whole.has(part));
    return rows.map((row) => ({
      ...row,
      state: row.state === 'ready' && !sound(row) ? 'broken' : row.state,
      bytesHere: bytesHere(row),
      bytesInAll: bytesInAll(row),
      elsewhere: locked.has(row.id) && !this.running.has(row.id),
    }));
  }

  /** Clears what a killed tab left: folders that no row tells of, copies that cannot be gone on with. */
  async tidy(): Promise<void> {
    const locked = await this.ports.locks.held();
    for (const row of await this.ports.rows.all()) {
      const ownWork = row.origin.kind === 'file' || row.origin.kind === 'together';
      if (ownWork && row.state === 'partial' && !locked.has(row.id)) await this.remove(row.id);
    }
    const known = new Set((await this.ports.rows.all()).map(({ id }) => id));
    for (const folder of await this.ports.files.folders()) {
      if (!known.has(folder) && !locked.has(folder)) await this.ports.files.remove(folder);
    }
  }

  /** Puts a file of a hub's listing on the list; {@link download} fetches it. @returns its id */
  async addFromHub(hub: string, repo: string, path: string, about: About, signal?: AbortSignal): Promise<string> {
    const known = (await this.ports.rows.all()).find(
      ({ origin }) => origin.kind === 'hub' && origin.hub === hub && origin.repo === repo && origin.path === path,
    );
    if (known) return known.id;
    const file = await this.listed(hub, repo, path, signal);
    return this.add({ ...about, origin: { kind: 'hub', hub, repo, path }, kind: 'gguf', files: [file] });
  }

  /** Puts a repository's vision tower on the list; {@link download} fetches that part of its file. @returns its id */
  async addTower(hub: string, repo: string, about: About, signal?: AbortSignal): Promise<string> {
    const known = (await this.ports.rows.all()).find(
      ({ origin, kind }) => kind === 'tower' && origin.kind === 'hub' && origin.hub === hub && origin.repo === repo,
    );
    if (known) return known.id;
    const { file, shape, path } = await this.towerFile(hub, repo, signal);
    return this.add({ ...about, origin: { kind: 'hub', hub, repo, path }, kind: 'tower', shape, files: [file] });
  }

  /** Keeps a LaVIN made of parts that are here. Nothing is left of one that fails. @returns its id */
  async putTogether(ingredients: Ingredients): Promise<string> {
    const { row, files } = await planLavin(ingredients, { ...this.ports, need: (id) => this.need(id) });
    const names = [...files].map(([name, { length }]) => ({ name, bytes: length }));
    const id = await this.add({ ...row, kind: 'manifest', files: names });
    try {
      await this.work(id, async () => {
        await this.checkRoom(names.reduce((sum, { bytes }) => sum + bytes, 0));
        const written = await Promise.all([...files].map(([name, bytes]) => this.write(id, name, bytes)));
        await this.change(id, (now) => ({ ...now, state: 'ready', files: written }));
      });
    } catch (error) {
      await this.remove(id);
      throw error;
    }
    return id;
  }

  /** Puts a GGUF, or a manifest with all that it names, on the list. @returns its id */
  async addFromUrl(url: string, signal?: AbortSignal): Promise<string> {
    const known = (await this.ports.rows.all()).find(({ origin }) => origin.kind === 'url' && origin.url === url);
    if (known) return known.id;
    const { network } = this.ports;
    if (!/\.json$/i.test(new URL(url).pathname)) {
      const name = nameOf(url);
      return this.add({
        title: name,
        card: `From ${hostOf(url)}. What it can do depends on how it was trained.`,
        licence: 'not stated',
        origin: { kind: 'url', url },
        kind: 'gguf',
        files: [{ name: /\.gguf$/i.test(name) ? name : `${name}.gguf`, url }],
      });
    }
    const response = await fetchPatiently(url, {}, network, signal);
    if (!response.ok) {
      throw new StoreError(
        'not-found',
        `${hostOf(url)} does not give this manifest (${response.status}). Check the address.`,
      );
    }
    const json: unknown = await response.json().catch(() => undefined);
    const plan = await planManifest(url, json, network, signal);
    return this.add({ ...plan, origin: { kind: 'url', url }, kind: 'manifest' });
  }

  /** Copies a GGUF that a person chose. A copy that is stopped or fails leaves nothing. */
  async addFile(file: File, onProgress: OnProgress): Promise<string> {
    const head = new TextDecoder('latin1').decode(await file.slice(0, 4).arrayBuffer());
    if (head !== 'GGUF') {
      throw new StoreError(
        'not-a-file',
        `${file.name} does not begin as a GGUF file does. Choose a GGUF, or convert this one to GGUF.`,
      );
    }
    const id = await this.add({
      title: file.name.replace(/\.gguf$/i, ''),
      card: 'A file of yours. What it can do depends on how it was trained.',
      licence: 'not stated',
      origin: { kind: 'file', name: file.name },
      kind: 'gguf',
      files: [{ name: safeName(file.name), bytes: file.size }],
    });
    try {
      await this.work(id, async (signal) => {
        await this.checkRoom(file.size);
        const copied = await this.copy(id, file, signal, onProgress);
        await this.change(id, (row) => ({ ...row, state: 'ready', files: [copied] }));
      });
    } catch (error) {
      await this.remove(id);
      throw error;
    }
    return id;
  }

  /** Downloads what is missing of a model, going on where it was. Resolves `paused` when {@link pause} ends it. */
  async download(id: string, onProgress: OnProgress): Promise<Outcome> {
    if (this.running.has(id))
      throw new StoreError('elsewhere', 'This model is being worked on already. Wait for it, or pause it.');
    try {
      await this.work(id, (signal) => this.downloadFiles(id, onProgress, signal));
      return 'ready';
    } catch (error) {
      if (error === PAUSED || error === CANCELLED) return 'paused';
      throw error;
    }
  }

  pause(id: string): void {
    this.running.get(id)?.controller.abort(PAUSED);
  }

  /** Hashes everything again and compares. @returns whether the content is what it was when it came */
  async verify(id: string, onProgress: OnProgress): Promise<boolean> {
    return this.work(id, async (signal) => {
      const row = await this.need(id);
      const total = bytesInAll(row);
      let before = 0;
      let sound = true;
      for (const { name, sha256 } of row.files) {
        const blob = await this.ports.files.find(id, name);
        const hash = await RunningHash.create();
        if (blob) {
          for await (const chunk of chunksOf(blob.stream() as ReadableStream<Uint8Array>, signal)) {
            hash.update(chunk);
            before += chunk.length;
            onProgress({ id, phase: 'verify', bytes: before, total });
          }
        }
        sound &&= hash.digest() === sha256;
      }
      if (!sound) await this.change(id, (now) => ({ ...now, state: 'broken' }));
      return sound;
    });
  }

  /** Ends what runs on it, then removes its files and its row. @throws StoreError `in-use` naming what is made of it */
  async remove(id: string): Promise<void> {
    const users = (await this.ports.rows.all()).filter(({ parts }) => parts?.ids.includes(id));
    if (users.length > 0) {
      const names = users.map(({ title }) => `“${title}”`).join(' and ');
      throw new StoreError('in-use', `${names} would not open without it. Delete ${names} first.`);
    }
    const running = this.running.get(id);
    running?.controller.abort(CANCELLED);
    await running?.done.catch(() => {});
    await this.work(id, async () => {
      await this.ports.files.remove(id);
      await this.ports.rows.remove(id);
    });
  }

  room(): Promise<StorageRoom> {
    return this.ports.files.room();
  }

  private async downloadFiles(id: string, onProgress: OnProgress, signal: AbortSignal): Promise<void> {
    await this.refresh(id, signal);
    let row = await this.need(id);
    await this.checkRoom((bytesInAll(row) ?? 0) - bytesHere(row));
    for (let index = 0; index < row.files.length; index++) {
      const file = row.files[index] as StoredFile;
      if (file.sha256) continue;
      const others = bytesHere(row) - (file.point?.bytes ?? 0);
      const total = (of: number | undefined) => {
        const rest = row.files.map((each, i) => (i === index ? (of ?? each.bytes) : each.bytes));
        return rest.reduce<number | undefined>(
          (sum, n) => (sum === undefined || n === undefined ? undefined : sum + n),
          0,
        );
      };
      const done = await this.fetchFile(id, index, file, signal, (phase, bytes, of, waiting) =>
        onProgress({ id, phase, bytes: others + bytes, total: total(of), ...waiting }),
      );
      row = await this.change(id, (now) => withFile(now, index, done));
    }
    await this.change(id, (now) => ({ ...now, state: 'ready' }));
  }

  private async fetchFile(
    id: string,
    index: number,
    file: StoredFile,
    signal: AbortSignal,
    tell: (
      phase: 'download' | 'wait',
      bytes: number,
      total: number | undefined,
      waiting?: { reason: string; waitMs: number },
    ) => void,
  ): Promise<StoredFile> {
    const { name, url, text, part, expected, etag, point } = file;
    if (text !== undefined) return { text, ...(await this.write(id, name, new TextEncoder().encode(text))) };
    const target = await this.ports.files.open(id, name);
    let unsaved: StoredFile | undefined;
    try {
      if (url === undefined) {
        throw new StoreError(
          'missing',
          `${name} is not on this device any more. Delete the entry and add the file again.`,
        );
      }
      let here = 0;
      let whole = file.bytes;
      const task = { url, name, bytes: file.bytes, sha256: expected, etag, point, part };
      let done: Transferred;
      try {
        done = await transfer(
          task,
          target,
          this.ports.network,
          {
            onProgress: (bytes, total) => {
              here = bytes;
              whole = total;
              tell('download', bytes, total);
            },
            onWait: ({ message }, waitMs) => tell('wait', here, whole, { reason: message, waitMs }),
            onPoint: async (point, etag, total) => {
              const sofar = { ...file, bytes: file.bytes ?? total, point, etag };
              unsaved = sofar;
              await this.change(id, (now) => withFile(now, index, sofar));
              unsaved = undefined;
            },
          },
          signal,
        );
      } catch (error) {
        // The listing that the row was made from no longer holds: look again before the next try.
        const { code } = toStoreFailure(error);
        if (['changed', 'damaged', 'truncated', 'not-found'].includes(code)) {
          await this.change(id, (now) => withFile(now, index, { ...(now.files[index] as StoredFile), stale: true }));
        }
        throw error;
      }
      return { name, url, part, expected, ...done };
    } finally {
      target.close();
      // On a full disk the row has no room, either, until the file is closed: browsers reserve more for an open one than it holds.
      const late = unsaved;
      if (late) await this.change(id, (now) => withFile(now, index, { ...now.files[index], ...late })).catch(() => {});
    }
  }

  /** Takes back what is no longer true of a row: files that the browser took, listings that were found wrong. */
  private async refresh(id: string, signal: AbortSignal): Promise<void> {
    const row = await this.need(id);
    const files: StoredFile[] = [];
    for (const file of row.files) {
      const { name, url, text, part, bytes, expected } = file;
      if (file.stale && row.origin.kind === 'hub') {
        const { hub, repo, path } = row.origin;
        files.push(
          row.kind === 'tower'
            ? (await this.towerFile(hub, repo, signal)).file
            : await this.listed(hub, repo, path, signal),
        );
      } else if (file.stale) files.push({ name, url });
      else if (row.state === 'broken' || (file.sha256 && !(await this.isThere(id, file)))) {
        files.push({ name, url, text, part, bytes, expected });
      } else files.push(file);
    }
    await this.change(id, (now) => ({ ...now, files, state: 'partial' }));
  }

  private async listed(hub: string, repo: string, path: string, signal?: AbortSignal): Promise<StoredFile> {
    const listing = await listRepo(hub, repo, this.ports.network, signal);
    const file = listing.files.find((each) => each.path === path);
    if (!file) throw new StoreError('not-found', `${repo} no longer lists ${path}. Choose another file of it.`);
    return { name: safeName(path), url: fileUrl(listing, path), bytes: file.bytes, expected: file.sha256 };
  }

  private async towerFile(hub: string, repo: string, signal?: AbortSignal) {
    const { url, etag, part, report } = await planTower(hub, repo, this.ports.network, signal);
    const file: StoredFile = {
      name: 'vision.safetensors',
      url,
      etag,
      part,
      bytes: part.head.length + report.towerBytes,
    };
    return { file, shape: report.shape, path: report.path };
  }

  /** A file of the page's own making. */
  private async write(id: string, name: string, bytes: Uint8Array): Promise<StoredFile> {
    const target = await this.ports.files.open(id, name);
    try {
      target.truncate(0);
      target.write(bytes, 0);
      target.flush();
    } finally {
      target.close();
    }
    const hash = await RunningHash.create();
    hash.update(bytes);
    return { name, bytes: bytes.length, sha256: hash.digest() };
  }

  private async copy(id: string, file: File, signal: AbortSignal, onProgress: OnProgress): Promise<StoredFile> {
    const name = safeName(file.name);
    const target = await this.ports.files.open(id, name);
    try {
      const hash = await RunningHash.create();
      for (let at = 0; at < file.size; at += COPY_BYTES) {
        signal.throwIfAborted();
        const piece = new Uint8Array(await file.slice(at, at + COPY_BYTES).arrayBuffer());
        target.write(piece, at);
        hash.update(piece);
        onProgress({ id, phase: 'copy', bytes: at + piece.length, total: file.size });
      }
      target.flush();
      return { name, bytes: file.size, sha256: hash.digest() };
    } finally {
      target.close();
    }
  }

  /** @throws StoreError `quota` before anything is downloaded */
  private async checkRoom(needed: number): Promise<void> {
    const { used, quota } = await this.ports.files.room();
    if (quota === 0 || quota - used >= needed) return;
    const megabytes = (bytes: number) => `${Math.max(0, Math.ceil(bytes / 1e6))} MB`;
    throw new StoreError(
      'quota',
      `It needs ${megabytes(needed)} more, and the browser allows this page ${megabytes(quota - used)} more. Delete a model you no longer use, or free disk space, then try again.`,
    );
  }

  private async isWhole(row: StoredModel): Promise<boolean> {
    const there = await Promise.all(row.files.map((file) => this.isThere(row.id, file)));
    return there.every(Boolean);
  }

  private async isThere(id: string, { name, bytes }: StoredFile): Promise<boolean> {
    return (await this.ports.files.find(id, name))?.size === bytes;
  }

  private async add(parts: Omit<StoredModel, 'id' | 'state' | 'added'>): Promise<string> {
    const slug = parts.title
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '')
      .slice(0, 40);
    const id = `${slug || 'model'}-${crypto.randomUUID().slice(0, 8)}`;
    await this.ports.rows.put({ ...parts, id, state: 'partial', added: this.ports.now() });
    this.ports.changed();
    return id;
  }

  private async need(id: string): Promise<StoredModel> {
    const row = await this.ports.rows.get(id);
    if (!row) throw new StoreError('missing', 'This model was deleted, perhaps in another tab. Add it again.');
    return row;
  }

  private async change(id: string, to: (row: StoredModel) => StoredModel): Promise<StoredModel> {
    const row = to(await this.need(id));
    await this.ports.rows.put(row);
    return row;
  }

  /** Runs the one piece of work that a model may have, over all tabs. */
  private async work<T>(id: string, doIt: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const done = this.ports.locks.hold(id, () => {
      this.ports.changed();
      return doIt(controller.signal);
    });
    const entry = { controller, done };
    if (!this.running.has(id)) this.running.set(id, entry);
    try {
      return await done;
    } finally {
      if (this.running.get(id) === entry) this.running.delete(id);
      this.ports.changed();
    }
  }
}

function withFile(row: StoredModel, index: number, file: StoredFile): StoredModel {
  return { ...row, files: row.files.map((each, i) => (i === index ? file : each)) };
}

function nameOf(url: string): string {
  const { pathname, host } = new URL(url);
  return safeName(decodeURIComponent(pathname)) || host;
}

/** Last part of a path, in characters that every file system takes. */
function safeName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/[^\w.-]/g, '_');
}
