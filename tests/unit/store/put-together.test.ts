/** A LaVIN of parts that are kept: what its manifest says, what is refused, and that the engine opens it. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Manifest } from '../../../src/engine/manifest';
import { openManifest } from '../../../src/engine/model-files';
import { writeAdapterFile } from '../../../src/formats/adapter-file';
import type { AdapterShape } from '../../../src/formats/adapter-shape';
import { MemorySource } from '../../../src/formats/bytes';
import { writeSafetensors } from '../../../src/formats/safetensors';
import { writeTorchCheckpoint } from '../../../src/formats/torch-writer';
import { Library } from '../../../src/store/library';
import type { Ingredients } from '../../../src/store/put-together';
import type { StoredModel } from '../../../src/store/rows';
import { smallTower } from '../../clip-checkpoint';
import { ggufOf, randomLlama, SMALL } from '../../engine/random-llama';
import { adapterFixture } from '../formats/adapter-fixture';
import { type MemoryDevice, MemoryFile, memoryDevice } from './memory-ports';

const LAYERS = 12;
const SHAPE: AdapterShape = {
  hidden: 4,
  groups: 2,
  llama: { dim: SMALL.dim, layers: SMALL.layers, kind: 'attn' },
  vision: { width: 64, layers: LAYERS, kind: 'router', projectorHidden: 5 },
};
const GGUF = ggufOf(randomLlama({ ...SMALL, format: 'Q8_0' }));
const TOWER = writeSafetensors(smallTower({ layers: LAYERS }));
let device: MemoryDevice;
let library: Library;

function keep(id: string, name: string, bytes: Uint8Array, row: Partial<StoredModel>): void {
  device.disk.set(`${id}/${name}`, new MemoryFile(bytes));
  device.rows.set(id, {
    id,
    title: id,
    card: '',
    licence: `${id}'s licence`,
    origin: { kind: 'url', url: 'https://hub.test' },
    kind: 'gguf',
    files: [{ name, bytes: bytes.length, sha256: 'x' }],
    state: 'ready',
    added: 0,
    ...row,
  });
}

beforeEach(() => {
  device = memoryDevice();
  library = new Library(device.ports);
  keep('base', 'base.gguf', GGUF, {});
  const shape = { imageSize: 8, patchSize: 4, width: 64, layers: LAYERS, heads: 1 };
  keep('tower', 'vision.safetensors', TOWER, { kind: 'tower', shape });
});

function checkpoint(shape = SHAPE): File {
  return new File([writeTorchCheckpoint(adapterFixture(shape)) as Uint8Array<ArrayBuffer>], 'checkpoint-19.pth');
}
const ingredients = (changes: Partial<Ingredients> = {}): Ingredients => ({
  title: 'My LaVIN',
  llama: { id: 'base' },
  tower: 'tower',
  adapters: checkpoint(),
  account: { scale: 1, temperature: 10 },
  ...changes,
});
const read = (id: string, name: string) => new TextDecoder().decode(device.disk.get(`${id}/${name}`)!.bytes);

describe('put together', () => {
  it('names its parts where they lie, in LaVIN’s own format, and the engine opens it', async () => {
    const id = await library.putTogether(ingredients());
    const manifest = JSON.parse(read(id, 'manifest.json')) as Manifest;
    expect(manifest).toMatchObject({
      title: 'My LaVIN',
      llama: { file: 'opfs:/models/base/base.gguf', bytes: GGUF.length },
      vision: {
        file: 'opfs:/models/tower/vision.safetensors',
        config: {
          imageSize: 8,
          width: 64,
          layers: 12,
          heads: 1,
          featureEvery: 2,
          mean: [0.485, 0.456, 0.406],
          std: [0.229, 0.224, 0.225],
        },
      },
      adapters: { config: { hidden: 4, groups: 2, scale: 1, temperature: 10, llama: 'attn', visual: 'router' } },
      prompt: { kind: 'plain', imagePrefix: 'Image: ', textPrefix: 'Image: N/A' },
    });
    expect(manifest.licence).toContain("base's licence");
    const files = await openManifest(
      {
        gpu: undefined,
        decodeImage: () => Promise.reject(new Error('not asked for')),
        openFile: async (location) => {
          const [, folder, name] = /^opfs:\/models\/([^/]+)\/([^/]+)$/.exec(location)!;
          return new MemorySource(device.disk.get(`${folder}/${name}`)!.bytes, name);
        },
        resolve: (base, file) => new URL(file, base).href,
      },
      `opfs:/models/${id}/manifest.json`,
    );
    const { llama, vision } = await files.base;
    expect(files.adapters?.details?.base, 'as the engine itself recognises them').toEqual({
      source: 'stated',
      llama: { ...llama, name: 'base' },
      vision: { ...vision, name: 'tower' },
    });
    const row = (await library.list()).find((each) => each.id === id)!;
    expect(row).toMatchObject({
      state: 'ready',
      kind: 'manifest',
      parts: { ids: ['base', 'tower'], bytes: GGUF.length + TOWER.length },
    });
    expect(await library.verify(id, () => {})).toBe(true);
  });

  it('keeps its parts from being deleted, and lets go of them', async () => {
    const id = await library.putTogether(ingredients());
    for (const part of ['base', 'tower']) {
      await expect(library.remove(part)).rejects.toMatchObject({
        code: 'in-use',
        message: expect.stringContaining('“My LaVIN” would not open'),
      });
    }
    expect(device.disk.has('base/base.gguf')).toBe(true);
    await library.remove(id);
    await library.remove('tower');
    await library.remove('base');
    expect(device.disk.size).toBe(0);
  });

  it('is broken while a part is', async () => {
    const id = await library.putTogether(ingredients());
    device.disk.get('tower/vision.safetensors')!.truncate(5);
    const states = new Map((await library.list()).map((row) => [row.id, row.state]));
    expect(states).toEqual(
      new Map([
        ['base', 'ready'],
        ['tower', 'broken'],
        [id, 'broken'],
      ]),
    );
  });

  it.each([
    ['a wider LLaMA', { ...SHAPE, llama: { ...SHAPE.llama, dim: 512 } }, 'a LLaMA of width 512; here it is 256'],
    ['a deeper tower', { ...SHAPE, vision: { ...SHAPE.vision!, layers: 24 } }, 'number of layers: 24; here it is 12'],
    ['text alone', { ...SHAPE, vision: undefined }, 'text only; the model here has a vision tower'],
  ])('refuses adapters for %s, naming the difference, and keeps nothing', async (_, shape, words) => {
    await expect(library.putTogether(ingredients({ adapters: checkpoint(shape) }))).rejects.toMatchObject({
      code: 'listing',
      message: expect.stringContaining(words),
    });
    expect(await library.list()).toHaveLength(2);
  });

  it('refuses adapters that were trained on another model of the same shape', async () => {
    const config = {
      hidden: 4,
      groups: 2,
      scale: 1,
      temperature: 5,
      llama: 'attn',
      visual: 'router',
      clipRouting: 'per_sample',
    } as const;
    const base = {
      source: 'trained',
      llama: { name: 'Other', dim: SMALL.dim, layers: SMALL.layers, fingerprint: 'sample-sha256:ffff' },
    } as const;
    const bytes = writeAdapterFile(adapterFixture(SHAPE), { config, base });
    const adapters = new File([bytes as Uint8Array<ArrayBuffer>], 'other.safetensors');
    await expect(library.putTogether(ingredients({ adapters }))).rejects.toThrow(
      /belong to the language model "Other" \(ffff\)/,
    );
  });

  it('asks for what the file does not tell, and for parts that are whole', async () => {
    await expect(library.putTogether(ingredients({ account: {} }))).rejects.toThrow(
      /does not tell its scale or router temperature/,
    );
    await expect(library.putTogether(ingredients({ llama: { id: 'tower' } }))).rejects.toThrow(/must be a GGUF/);
    device.rows.set('base', { ...device.rows.get('base')!, state: 'partial' });
    await expect(library.putTogether(ingredients())).rejects.toMatchObject({
      code: 'missing',
      message: expect.stringContaining('not whole'),
    });
    expect(await library.list()).toHaveLength(2);
  });

  it('takes prompt format and pixel statistics of the LaVIN whose language model it is given', async () => {
    const prompt = { kind: 'plain', imagePrefix: 'See: ', textPrefix: '', user: '{text}', assistant: '', stop: [] };
    const pixels = { mean: [0.1, 0.2, 0.3], std: [1, 2, 3] };
    const text = JSON.stringify({ title: 'Whole', llama: { file: 'base.gguf' }, vision: { config: pixels }, prompt });
    keep('whole', 'base.gguf', GGUF, {
      kind: 'manifest',
      files: [
        { name: 'manifest.json', text },
        { name: 'base.gguf', bytes: GGUF.length },
      ],
    });
    const id = await library.putTogether(ingredients({ llama: { id: 'whole' } }));
    expect(JSON.parse(read(id, 'manifest.json'))).toMatchObject({
      prompt,
      vision: { config: pixels },
      llama: { file: 'opfs:/models/whole/base.gguf' },
    });
  });

  it('that a killed tab left half made is cleared away', async () => {
    const id = await library.putTogether(ingredients());
    device.rows.set(id, { ...device.rows.get(id)!, state: 'partial' });
    await library.tidy();
    expect((await library.list()).map((row) => row.id)).toEqual(['base', 'tower']);
  });
});
