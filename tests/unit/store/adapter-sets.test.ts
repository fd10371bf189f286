/** Adapter sets kept, described, exported: LaVIN's golden checkpoints and made-up sets, in a store in memory. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { adapterMisfits } from '../../../src/engine/adapter-fit';
import { type AdapterDetails, openAdapterFile, writeAdapterFile } from '../../../src/formats/adapter-file';
import { BlobSource } from '../../../src/formats/bytes';
import { TorchCheckpoint } from '../../../src/formats/open';
import { writeSafetensors } from '../../../src/formats/safetensors';
import { AdapterSets, type KeptAdapterSet } from '../../../src/store/adapter-sets';
import { toStoreFailure } from '../../../src/store/error';
import { goldensFolder } from '../../goldens/golden';
import { adapterFixture, SMALL_SHAPE } from '../formats/adapter-fixture';

const BASE = {
  llama: { name: 'A base', dim: 12, layers: 2, fingerprint: 'sample-sha256:aa' },
  vision: { name: 'a-tower', width: 8, layers: 3, fingerprint: 'sample-sha256:bb' },
} as const;
const DETAILS: AdapterDetails = {
  name: 'Colours',
  config: {
    hidden: 4,
    groups: 2,
    scale: 1,
    temperature: 10,
    llama: 'attn',
    visual: 'router',
    clipRouting: 'per_sample',
  },
  base: { source: 'trained', ...BASE },
  metrics: { accuracy: 0.75 },
  created: '2026-11-22T10:00:00.000Z',
  notes: 'first try',
  licence: 'CC0-1.0',
};

const fileOf = (name: string, bytes: Uint8Array) => new File([bytes as Uint8Array<ArrayBuffer>], name);
const golden = (name: string) => fileOf(name, new Uint8Array(readFileSync(join(goldensFolder, 'checkpoints', name))));
const colours = (details = DETAILS) => fileOf('colours.safetensors', writeAdapterFile(adapterFixture(), details));
const bare = () => fileOf('bare.safetensors', writeSafetensors(adapterFixture()));

async function contentOf(file: File | Blob) {
  const adapters = await openAdapterFile(new BlobSource(file, 'x'));
  const names = [...adapters.tensors.tensors.keys()].sort();
  return {
    adapters,
    tensors: await Promise.all(
      names.map(async (name) => [name, adapters.tensors.tensors.get(name)!.shape, await adapters.tensors.read(name)]),
    ),
  };
}

let rows: Map<string, KeptAdapterSet>;
let sets: AdapterSets;
let changes: number;
beforeEach(() => {
  rows = new Map();
  changes = 0;
  let clock = 1000;
  sets = new AdapterSets({
    rows: {
      all: async () => [...rows.values()],
      get: async (id) => rows.get(id),
      put: async (row) => void rows.set(row.id, row),
      update: async (id, change) => void rows.set(id, change(rows.get(id))),
      remove: async (id) => void rows.delete(id),
    },
    now: () => ++clock,
    changed: () => changes++,
  });
});

describe('a set that tells everything', () => {
  it('is kept with what it tells, listed without its tensors, and goes out as it came in', async () => {
    const id = await sets.add(colours());
    const [listed, ...others] = await sets.list();
    expect(others).toEqual([]);
    expect(listed).toEqual({
      id,
      name: 'Colours',
      notes: 'first try',
      shape: SMALL_SHAPE,
      details: DETAILS,
      parameters: [...adapterFixture().values()].reduce((sum, { data }) => sum + data.length, 0),
      added: 1001,
      changed: 1001,
      bytes: colours().size,
    });
    const out = await sets.export(id, 'safetensors');
    expect(out.name).toBe('Colours.safetensors');
    expect(await out.bytes()).toEqual(await colours().bytes());
    const { name, file } = await sets.file(id);
    expect([name, await file.bytes()]).toEqual(['Colours', await colours().bytes()]);
  });

  it('keeps its own base whatever somebody states', async () => {
    const id = await sets.add(colours(), { base: { llama: { ...BASE.llama, fingerprint: 'sample-sha256:zz' } } });
    expect((await sets.list()).find((each) => each.id === id)!.details.base).toEqual(DETAILS.base);
  });

  it('renamed and annotated, it says so in the file', async () => {
    const id = await sets.add(colours());
    await sets.describe(id, { name: '  Colours,\n better ', notes: 'with more data\nand time' });
    expect((await sets.list())[0]).toMatchObject({
      name: 'Colours, better',
      notes: 'with more data\nand time',
      changed: 1002,
    });
    const { adapters } = await contentOf(await sets.export(id, 'safetensors'));
    expect(adapters.details).toEqual({ ...DETAILS, name: 'Colours, better', notes: 'with more data\nand time' });
    await sets.describe(id, { notes: '' });
    expect((await sets.list())[0]).toMatchObject({ name: 'Colours, better', notes: '' });
    await expect(sets.describe(id, { name: ' ' })).rejects.toMatchObject({ code: 'listing', message: /needs a name/ });
    expect((await sets.export(id, 'pth')).name).toBe('Colours-better.pth');
  });

  it('as a .pth holds the same tensors and details', async () => {
    const id = await sets.add(colours());
    const out = await sets.export(id, 'pth');
    const { adapters, tensors } = await contentOf(out);
    expect(adapters.tensors).toBeInstanceOf(TorchCheckpoint);
    expect(adapters.details).toEqual(DETAILS);
    expect(tensors).toEqual((await contentOf(colours())).tensors);
    // And back: nothing was lost on the way.
    const again = await sets.add(out);
    expect(await (await sets.export(again, 'safetensors')).bytes()).toEqual(await colours().bytes());
  });

  it('is gone when it was deleted, and everything that is asked of it says so', async () => {
    const [first, second] = [await sets.add(colours()), await sets.add(colours({ ...DETAILS, name: 'Second' }))];
    expect((await sets.list()).map(({ name }) => name)).toEqual(['Second', 'Colours']);
    await sets.remove(first);
    expect((await sets.list()).map(({ id }) => id)).toEqual([second]);
    expect(changes).toBe(3);
    for (const asked of [sets.file(first), sets.export(first, 'pth'), sets.describe(first, { notes: 'x' })]) {
      await expect(asked).rejects.toMatchObject({ code: 'missing', message: /was deleted.*import it again/ });
    }
    expect(rows.size).toBe(1);
  });
});

describe("LaVIN's own checkpoint", () => {
  it('is looked at without being kept: no base, temperature and scale from its arguments', async () => {
    const report = await sets.look(golden('checkpoint-0.pth'));
    expect(report).toMatchObject({ name: 'checkpoint-0', base: null, config: { temperature: 10, scale: 1 } });
    expect(rows.size).toBe(0);
  });

  it('is kept with its arguments and with a base as somebody states it', async () => {
    const { shape } = await sets.look(golden('checkpoint-0.pth'));
    const { llama, vision } = shape;
    const base = {
      llama: { name: 'LLaMA', dim: llama.dim, layers: llama.layers },
      vision: { name: 'ViT', width: vision!.width, layers: vision!.layers },
    };
    const id = await sets.add(golden('checkpoint-0.pth'), { base, name: 'Golden', notes: 'from torch' });
    const [{ details, notes }] = await sets.list();
    expect(details).toMatchObject({ base: { ...base, source: 'stated' }, recipe: { epoch: 0 }, name: 'Golden' });
    expect(notes).toBe('from torch');
    const [kept, came] = [await contentOf(rows.get(id)!.file), await contentOf(golden('checkpoint-0.pth'))];
    expect(kept.tensors).toEqual(came.tensors);
    const out = await contentOf(await sets.export(id, 'pth'));
    expect((out.adapters.tensors as TorchCheckpoint).epoch).toBe(0);
  });

  it('is not taken for a base of another shape', async () => {
    await expect(sets.add(golden('checkpoint-0.pth'), { base: BASE })).rejects.toMatchObject({
      code: 'listing',
      message: expect.stringMatching(
        /^checkpoint-0\.pth is not for that base\. The adapters are made for .* here it is/,
      ),
    });
    expect(rows.size).toBe(0);
  });
});

it('a file that tells no temperature is asked about', async () => {
  expect((await sets.look(bare())).config).toEqual({ hidden: 4, groups: 2, llama: 'attn', visual: 'router' });
  for (const account of [{}, { scale: 1 }, { scale: 1, temperature: 0 }, { scale: Number.NaN, temperature: 10 }]) {
    await expect(sets.add(bare(), account)).rejects.toMatchObject({
      code: 'listing',
      message: /does not tell its scale/,
    });
  }
  await sets.add(bare(), { scale: 1, temperature: 5 });
  expect((await sets.list())[0]).toMatchObject({ name: 'bare', details: { base: null, config: { temperature: 5 } } });
});

describe('refused in the words of whoever read it, and nothing kept', () => {
  const missing = adapterFixture();
  missing.delete('layers.1.adapter_attn.conv_B.bias');
  it.each([
    ['empty.safetensors', new Uint8Array(0), /empty\.safetensors/],
    ['text.pth', new TextEncoder().encode('not adapters at all, but words'), /text\.pth/],
    [
      'cut.safetensors',
      writeAdapterFile(adapterFixture(), DETAILS).slice(0, 3000),
      /cut\.safetensors.*(incomplete|damaged)/,
    ],
    ['part.safetensors', writeSafetensors(missing), /"layers\.1\.adapter_attn\.conv_B\.bias".*no such tensor/],
    [
      'other.safetensors',
      writeSafetensors(new Map([['w', { format: 'F32', shape: [1], data: new Float32Array(1) }]])),
      /other\.safetensors.*choose another file/,
    ],
    ['evil.pth', new Uint8Array(readFileSync(join(goldensFolder, 'checkpoints/malicious-zip.pth'))), /evil\.pth/],
  ] as const)('%s', async (name, bytes, words) => {
    const error = await sets.add(fileOf(name, bytes), { scale: 1, temperature: 10 }).catch((reason) => reason);
    expect(toStoreFailure(error)).toMatchObject({ code: 'not-a-file', message: expect.stringMatching(words) });
    await expect(sets.look(fileOf(name, bytes))).rejects.toThrow(words);
    expect([rows.size, changes]).toEqual([0, 0]);
  });
});

describe('whether a set fits a model', () => {
  const set = { shape: SMALL_SHAPE, details: DETAILS, config: DETAILS.config };
  const host = { base: BASE, adapterShape: SMALL_SHAPE, manifest: { adapters: { config: DETAILS.config } } };
  const words = (...given: Parameters<typeof adapterMisfits>) => adapterMisfits(...given).map(({ text }) => text);

  it('does, also with another scale, temperature or routing over a batch', () => {
    expect(words(set, host)).toEqual([]);
    const config = { ...DETAILS.config, scale: 3, temperature: 2, clipRouting: 'batch0' } as const;
    expect(words({ ...set, config }, host)).toEqual([]);
    expect(words({ ...set, config: {} }, host)).toEqual([]);
  });

  it.each([
    [
      'another LLaMA',
      { base: { ...BASE, llama: { ...BASE.llama, fingerprint: 'sample-sha256:cc' } } },
      /belong to the language model "A base"/,
    ],
    [
      'another tower',
      { base: { ...BASE, vision: { ...BASE.vision, fingerprint: 'sample-sha256:cc' } } },
      /belong to the vision tower "a-tower"/,
    ],
    ['a wider LLaMA', { base: { ...BASE, llama: { ...BASE.llama, dim: 16 } } }, /width 12; here it is 16/],
    ['no tower', { base: { llama: BASE.llama } }, /made for pictures; A base here has no vision tower/],
    [
      'another bottleneck',
      { manifest: { adapters: { config: { ...DETAILS.config, hidden: 8 } } } },
      /bottleneck \(hidden\) of 4; here it is 8/,
    ],
    [
      'another projector',
      { adapterShape: { ...SMALL_SHAPE, vision: { ...SMALL_SHAPE.vision!, projectorHidden: 9 } } },
      /projector of 5 hidden units; here it has 9/,
    ],
    ['no adapters', { adapterShape: undefined, manifest: {} }, /loaded without adapters/],
  ])('does not: %s', (_, change, wanted) => {
    const found = words(set, { ...host, ...change });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(wanted);
  });
});
