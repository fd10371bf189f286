import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Library, type LibraryProgress } from '../../../src/store/library';
import { storedFileOf } from '../../../src/store/rows';
import { ggufLike, HubServer } from '../../hub-server';
import { type MemoryDevice, MemoryFile, memoryDevice } from './memory-ports';

const DATA = ggufLike(300_000);
const SHA256 = createHash('sha256').update(DATA).digest('hex');
const ABOUT = { title: 'A Model', card: 'Good for tests.', licence: 'Apache-2.0', entry: 'a-model' };
const hub = new HubServer();
let device: MemoryDevice;
let library: Library;

beforeAll(async () => {
  hub.add('o/r', 'm.gguf', DATA);
  await hub.start();
});
afterAll(() => hub.stop());
beforeEach(() => {
  hub.heal();
  hub.add('o/r', 'm.gguf', DATA);
  device = memoryDevice();
  library = new Library(device.ports);
});

const add = () => library.addFromHub(hub.url, 'o/r', 'm.gguf', ABOUT);
const silent = () => {};
const only = async () => {
  const [model, ...rest] = await library.list();
  expect(rest).toEqual([]);
  return model!;
};
/** Starts a download, pauses it in its middle. */
async function pauseMidway(id: string) {
  hub.faults.bytesPerSecond = 1_000_000;
  const outcome = await library.download(id, ({ bytes }) => bytes > 100_000 && library.pause(id));
  hub.faults.bytesPerSecond = undefined;
  hub.requests = [];
  return outcome;
}

describe('a model of the hub', () => {
  it('is listed, downloaded, ready, and remembered', async () => {
    const id = await add();
    expect(await add(), 'asked for twice, kept once').toBe(id);
    expect(await only()).toMatchObject({ ...ABOUT, state: 'partial', bytesHere: 0, bytesInAll: DATA.length });
    const told: LibraryProgress[] = [];
    expect(await library.download(id, (progress) => told.push(progress))).toBe('ready');
    expect(told.at(-1)).toEqual({ id, phase: 'download', bytes: DATA.length, total: DATA.length });
    expect(await only()).toMatchObject({ state: 'ready', bytesHere: DATA.length });
    expect((await only()).files).toEqual([
      expect.objectContaining({ name: 'm.gguf', sha256: SHA256, expected: SHA256, bytes: DATA.length }),
    ]);
    expect(device.disk.get(`${id}/m.gguf`)?.bytes).toEqual(DATA);
    expect(device.disk.get(`${id}/m.gguf`)?.closed).toBe(true);
    expect(await new Library(device.ports).list(), 'after a reload').toMatchObject([{ id, state: 'ready' }]);
    expect(storedFileOf([await only()], SHA256)).toEqual({ folder: id, name: 'm.gguf' });
    expect(storedFileOf([await only()], SHA256.replace(/./, 'x'))).toBeUndefined();
  });

  it('is paused, and goes on in another visit', async () => {
    const id = await add();
    expect(await pauseMidway(id)).toBe('paused');
    const { bytesHere, state } = await only();
    expect(state).toBe('partial');
    expect(bytesHere).toBeGreaterThan(100_000);
    const again = new Library(device.ports);
    expect(await again.download(id, silent)).toBe('ready');
    expect(hub.requests).toEqual([`GET /o/r/cdn/c0ffee/m.gguf bytes=${bytesHere}-${DATA.length - 1}`]);
  });

  it('that changed is listed again before the next try', async () => {
    const id = await add();
    await pauseMidway(id);
    const other = ggufLike(280_000);
    hub.add('o/r', 'm.gguf', other);
    hub.faults.etag = '"v2"';
    await expect(library.download(id, silent)).rejects.toMatchObject({ code: 'changed' });
    expect(await library.download(id, silent)).toBe('ready');
    expect(device.disk.get(`${id}/m.gguf`)?.bytes).toEqual(other);
  });

  it('that came damaged starts from nothing', async () => {
    const id = await add();
    hub.faults.corruptFrom = 5;
    await expect(library.download(id, silent)).rejects.toMatchObject({ code: 'damaged' });
    expect((await only()).bytesHere).toBe(0);
    hub.heal();
    expect(await library.download(id, silent)).toBe('ready');
  });

  it('that does not fit is refused before a byte is asked for', async () => {
    device.quota = 200_000;
    const id = await add();
    await expect(library.download(id, silent)).rejects.toMatchObject({
      code: 'quota',
      message: expect.stringMatching(/needs 1 MB more.*Delete a model/),
    });
    expect(hub.requests).toEqual([]);
  });

  it('that fills the disk is kept so far: the row that tells so finds room once the file is closed', async () => {
    const { files, rows } = device.ports;
    const [room, reserve, rowBytes] = [200_000, 40_000, 70_000];
    const written = () => [...device.disk.values()][0];
    const refused: boolean[] = [];
    library = new Library({
      ...device.ports,
      files: {
        ...files,
        open: async (folder, name) => {
          device.disk.set(`${folder}/${name}`, new MemoryFile(undefined, room));
          return files.open(folder, name);
        },
      },
      rows: {
        ...rows,
        put: async (row) => {
          const file = written();
          if (file && file.size + (file.closed ? 0 : reserve) + rowBytes > room) {
            refused.push(file.closed);
            throw new DOMException('full', 'QuotaExceededError');
          }
          await rows.put(row);
        },
      },
    });
    const id = await add();
    await expect(library.download(id, silent)).rejects.toMatchObject({ code: 'quota' });
    expect(refused, 'the row is refused while the file is open').toEqual([false]);
    const { bytesHere, state } = await only();
    expect(state).toBe('partial');
    expect(bytesHere).toBeGreaterThan(0);
    expect(bytesHere).toBe(written()?.size);
    hub.requests = [];
    const file = written() as MemoryFile;
    device.disk.set(`${id}/m.gguf`, new MemoryFile(file.bytes));
    expect(await new Library(device.ports).download(id, silent)).toBe('ready');
    expect(hub.requests).toEqual([`GET /o/r/cdn/c0ffee/m.gguf bytes=${bytesHere}-${DATA.length - 1}`]);
    expect(device.disk.get(`${id}/m.gguf`)?.bytes).toEqual(DATA);
  });

  it('is worked on by one tab', async () => {
    const id = await add();
    const other = new Library(device.ports);
    hub.faults.bytesPerSecond = 1_000_000;
    const download = library.download(id, silent);
    await expect(library.download(id, silent)).rejects.toMatchObject({ message: expect.stringMatching(/already/) });
    await expect(other.download(id, silent)).rejects.toMatchObject({ code: 'elsewhere' });
    await expect(other.remove(id)).rejects.toMatchObject({ code: 'elsewhere', message: expect.stringMatching(/tab/) });
    expect(await other.list()).toMatchObject([{ elsewhere: true }]);
    expect(await library.list()).toMatchObject([{ elsewhere: false }]);
    expect(await download).toBe('ready');
    expect(await other.list()).toMatchObject([{ elsewhere: false, state: 'ready' }]);
  });

  it('is deleted, also in mid-download', async () => {
    const id = await add();
    hub.faults.bytesPerSecond = 1_000_000;
    let removal: Promise<void> | undefined;
    const outcome = await library.download(id, ({ bytes }) => {
      if (bytes > 100_000) removal ??= library.remove(id);
    });
    await removal;
    expect(outcome).toBe('paused');
    expect(await library.list()).toEqual([]);
    expect(device.disk.size).toBe(0);
    await expect(library.download(id, silent)).rejects.toMatchObject({ code: 'missing' });
  });

  it('that the browser cut is told as broken and downloaded again', async () => {
    const id = await add();
    await library.download(id, silent);
    device.disk.get(`${id}/m.gguf`)?.truncate(100);
    expect((await only()).state).toBe('broken');
    expect(await library.download(id, silent)).toBe('ready');
    expect((await only()).state).toBe('ready');
  });

  it('is hashed again on request, and a changed bit is found', async () => {
    const id = await add();
    await library.download(id, silent);
    expect(await library.verify(id, silent)).toBe(true);
    device.disk.get(`${id}/m.gguf`)?.write(new Uint8Array([9]), 5000);
    expect(await library.verify(id, silent)).toBe(false);
    expect((await only()).state).toBe('broken');
    expect(await library.download(id, silent)).toBe('ready');
    expect(await library.verify(id, silent)).toBe(true);
  });
});

describe('a model by its address', () => {
  it('a GGUF: its size is learnt on the way and kept with a pause', async () => {
    const id = await library.addFromUrl(`${hub.url}/o/r/resolve/main/m.gguf`);
    expect(await only()).toMatchObject({ bytesInAll: undefined, title: 'm.gguf' });
    await pauseMidway(id);
    expect(await only()).toMatchObject({ bytesInAll: DATA.length });
    expect(await library.download(id, silent)).toBe('ready');
  });

  it('a manifest: all that it names, its pictures inside it', async () => {
    const text = (value: unknown) => Buffer.from(JSON.stringify(value));
    const manifest = {
      format: 'lavin-manifest-1',
      name: 'x',
      title: 'X',
      card: 'Sees.',
      licence: 'MIT',
      llama: { file: 'm.gguf' },
      vision: { file: 'parts/vision.safetensors', config: { width: 1 } },
      adapters: { file: 'adapters.safetensors', config: {} },
      prompt: { kind: 'chat' },
      examples: [{ text: 'Look', image: 'a.png' }, { text: 'Talk' }, { text: 'Gone', image: 'gone.png' }],
    };
    hub.add('o/lavin', 'manifest.json', text(manifest));
    hub.add('o/lavin', 'm.gguf', DATA);
    hub.add('o/lavin', 'parts/vision.safetensors', new Uint8Array(5000).fill(7));
    hub.add('o/lavin', 'adapters.safetensors', new Uint8Array(3000).fill(8));
    hub.add('o/lavin', 'a.png', new Uint8Array([1, 2, 3]));
    const id = await library.addFromUrl(`${hub.url}/o/lavin/resolve/main/manifest.json`);
    expect(await only()).toMatchObject({ title: 'X', licence: 'MIT', kind: 'manifest' });
    expect(await library.download(id, silent)).toBe('ready');
    const { files, bytesInAll, bytesHere } = await only();
    expect(files.map(({ name }) => name)).toEqual([
      'manifest.json',
      'm.gguf',
      'vision.safetensors',
      'adapters.safetensors',
    ]);
    expect(bytesHere).toBe(bytesInAll);
    const kept = JSON.parse(Buffer.from(device.disk.get(`${id}/manifest.json`)!.bytes).toString()) as typeof manifest;
    expect(kept.vision).toEqual({ file: 'vision.safetensors', config: { width: 1 } });
    expect(kept.examples).toEqual([
      { text: 'Look', image: 'data:image/png;base64,AQID' },
      { text: 'Talk' },
      { text: 'Gone' },
    ]);
    expect(await library.verify(id, silent)).toBe(true);
  });

  it('a manifest of safetensors: shards, config and tokenizer come along', async () => {
    const text = (value: unknown) => Buffer.from(JSON.stringify(value));
    const manifest = {
      format: 'lavin-manifest-1',
      llama: { file: 'model.safetensors.index.json' },
      prompt: { kind: 'chat' },
    };
    hub.add('o/st', 'manifest.json', text(manifest));
    hub.add('o/st', 'model.safetensors.index.json', text({ weight_map: { a: 's1.safetensors', b: 's2.safetensors' } }));
    for (const name of ['s1.safetensors', 's2.safetensors', 'config.json', 'tokenizer.json']) {
      hub.add('o/st', name, new Uint8Array(200));
    }
    await library.addFromUrl(`${hub.url}/o/st/resolve/main/manifest.json`);
    expect((await only()).files.map(({ name }) => name)).toEqual([
      'manifest.json',
      'model.safetensors.index.json',
      's1.safetensors',
      's2.safetensors',
      'config.json',
      'tokenizer.json',
    ]);
  });

  it('JSON that is no manifest, and a manifest that names what is not there', async () => {
    const at = (name: string) => `${hub.url}/o/bad/resolve/main/${name}`;
    hub.add('o/bad', 'other.json', Buffer.from('{"a":1}'));
    await expect(library.addFromUrl(at('other.json'))).rejects.toMatchObject({ code: 'listing' });
    await expect(library.addFromUrl(at('none.json'))).rejects.toMatchObject({ code: 'not-found' });
    const manifest = { format: 'lavin-manifest-1', llama: { file: 'gone.gguf' }, prompt: { kind: 'chat' } };
    hub.add('o/bad', 'm.json', Buffer.from(JSON.stringify(manifest)));
    await expect(library.addFromUrl(at('m.json'))).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringMatching(/gone\.gguf/),
    });
    expect(await library.list()).toEqual([]);
  });
});

describe('a file of this device', () => {
  const file = (bytes: Uint8Array, name = 'my model.gguf') => new File([bytes as Uint8Array<ArrayBuffer>], name);

  it('is copied and hashed', async () => {
    const told: LibraryProgress[] = [];
    const id = await library.addFile(file(DATA), (progress) => told.push(progress));
    expect(told.at(-1)).toEqual({ id, phase: 'copy', bytes: DATA.length, total: DATA.length });
    expect(await only()).toMatchObject({ state: 'ready', title: 'my model', bytesHere: DATA.length });
    expect(device.disk.get(`${id}/my_model.gguf`)?.bytes).toEqual(DATA);
    expect(await library.verify(id, silent)).toBe(true);
  });

  it('that is no GGUF, does not fit, or is stopped leaves nothing', async () => {
    await expect(library.addFile(file(new Uint8Array(10)), silent)).rejects.toMatchObject({ code: 'not-a-file' });
    device.quota = 1000;
    await expect(library.addFile(file(DATA), silent)).rejects.toMatchObject({ code: 'quota' });
    device.quota = 1e9;
    const big = file(ggufLike(9_000_000));
    await expect(library.addFile(big, ({ id }) => library.pause(id))).rejects.toMatchObject({ code: 'aborted' });
    expect(await library.list()).toEqual([]);
    expect(device.disk.size).toBe(0);
  });
});

it('a new visit clears what a killed tab left, and nothing that another tab works on', async () => {
  const kept = await add();
  await pauseMidway(kept);
  const row = device.rows.get(kept)!;
  device.rows.set('dead-copy', { ...row, id: 'dead-copy', origin: { kind: 'file', name: 'x.gguf' } });
  device.rows.set('live-copy', { ...row, id: 'live-copy', origin: { kind: 'file', name: 'y.gguf' } });
  device.locked.add('live-copy');
  await device.ports.files.open('dead-copy', 'x.gguf');
  await device.ports.files.open('orphan', 'z.gguf');
  await new Library(device.ports).tidy();
  expect([...device.rows.keys()]).toEqual([kept, 'live-copy']);
  expect([...device.disk.keys()]).toEqual([`${kept}/m.gguf`]);
});
