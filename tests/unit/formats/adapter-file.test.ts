import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  type AdapterDetails,
  type BaseIdentity,
  DETAILS_KEY,
  describeBase,
  describeMismatch,
  detailsText,
  openAdapterFile,
  writeAdapterFile,
} from '../../../src/formats/adapter-file';
import { type AdapterShape, adapterShape, adapterTensors } from '../../../src/formats/adapter-shape';
import { MemorySource } from '../../../src/formats/bytes';
import { FormatError } from '../../../src/formats/error';
import { fingerprint } from '../../../src/formats/fingerprint';
import { openSafetensors, type TensorToWrite, writeSafetensors } from '../../../src/formats/safetensors';
import { writeTorchCheckpoint } from '../../../src/formats/torch-writer';
import { type AdapterSetConfig, adapterSegments } from '../../../src/models/adapters';
import { goldensFolder, loadGoldenJson, readGolden } from '../../goldens/golden';
import { adapterFixture, SMALL_SHAPE } from './adapter-fixture';

const base: BaseIdentity = {
  llama: { name: 'Tiny', dim: 12, layers: 2, fingerprint: 'sample-sha256:aa' },
  vision: { name: 'tower', width: 8, layers: 3, fingerprint: 'sample-sha256:bb' },
};
const details: AdapterDetails = {
  name: 'shapes',
  config: {
    hidden: 4,
    groups: 2,
    scale: 1,
    temperature: 10,
    llama: 'attn',
    visual: 'router',
    clipRouting: 'per_sample',
  } satisfies AdapterSetConfig,
  base: { source: 'trained', ...base },
  recipe: { learningRate: 1e-3, steps: 300 },
  metrics: { loss: 0.25 },
  created: '2026-11-22T20:00:00Z',
  notes: 'Drawn shapes.',
  licence: 'CC0',
};
const open = (bytes: Uint8Array, name = 'adapters.safetensors') => openAdapterFile(new MemorySource(bytes, name));
const withDetails = (text: string) => writeSafetensors(adapterFixture(), { [DETAILS_KEY]: text });

describe('written and read again', () => {
  it('as safetensors: tensors, shape and details; equal bytes for equal input', async () => {
    const bytes = writeAdapterFile(adapterFixture(), details);
    expect(writeAdapterFile(new Map([...adapterFixture()].reverse()), details)).toEqual(bytes);
    const file = await open(bytes);
    expect(file.shape).toEqual(SMALL_SHAPE);
    expect(file.details).toEqual(details);
    expect(file.config).toEqual(details.config);
    for (const [name, { data }] of adapterFixture()) {
      expect(new Float32Array((await file.tensors.read(name)).buffer)).toEqual(data);
    }
  });

  it('as .pth, with the details where there are some', async () => {
    const metadata = { [DETAILS_KEY]: detailsText(details) };
    const known = await open(writeTorchCheckpoint(adapterFixture(), { metadata }), 'adapters.pth');
    expect([known.shape, known.details]).toEqual([SMALL_SHAPE, details]);
    const bare = await open(writeTorchCheckpoint(adapterFixture()), 'adapters.pth');
    expect(bare.details).toBeUndefined();
    expect(describeBase(bare)).toBe('base: unknown, unverified');
    expect(bare.config).toEqual({ hidden: 4, groups: 2, llama: 'attn', visual: 'router' });
  });

  it("LaVIN's own checkpoints: scale and temperature from the arguments", async () => {
    const { config, args } = loadGoldenJson('checkpoints');
    for (const name of ['checkpoint-0.pth', 'checkpoint-1-fp16-legacy.pth']) {
      const file = await open(new Uint8Array(readGolden(goldensFolder, `checkpoints/${name}`)), name);
      expect(file.shape).toEqual({
        hidden: config.adapter_dim,
        groups: config.groups,
        llama: { dim: config.llama.dim, layers: config.llama.n_layers, kind: 'attn' },
        vision: {
          width: config.vit.width,
          layers: config.vit.n_layers,
          kind: 'router',
          projectorHidden: config.hidden_proj,
        },
      });
      expect(file.config).toMatchObject({ scale: args.adapter_scale, temperature: args.temperature });
      expect(describeBase(file)).toBe('base: unknown, unverified');
    }
  });

  it('the starter: a file without details', async () => {
    const path = fileURLToPath(new URL('../../models/prototype/adapters.safetensors', import.meta.url));
    const file = await open(new Uint8Array(readFileSync(path)));
    expect(file.shape.llama).toEqual({ dim: 192, layers: 6, kind: 'attn' });
    expect(file.details).toBeUndefined();
  });
});

describe('the shape of a set', () => {
  const shapes: [string, AdapterShape][] = [
    ['both towers', SMALL_SHAPE],
    ['text only', { hidden: 8, groups: 2, llama: { dim: 16, layers: 3, kind: 'attn' } }],
    [
      'block and router_block',
      {
        ...SMALL_SHAPE,
        llama: { dim: 12, layers: 1, kind: 'block' },
        vision: { ...SMALL_SHAPE.vision!, kind: 'router_block' },
      },
    ],
    ['normal', { ...SMALL_SHAPE, groups: 1, vision: { ...SMALL_SHAPE.vision!, kind: 'normal' } }],
  ];
  it.each(shapes)('%s: told by the tensors, and the same tensors as the model wants', (_, shape) => {
    const tensors = new Map([...adapterFixture(shape)].map(([name, t]) => [name, { name, ...t, offset: 0, bytes: 0 }]));
    expect(adapterShape({ name: 'f', tensors })).toEqual(shape);
    const config = {
      ...details.config,
      hidden: shape.hidden,
      groups: shape.groups,
      llama: shape.llama.kind,
      visual: shape.vision?.kind ?? 'router',
    };
    const target = { dim: shape.llama.dim, layers: shape.llama.layers, vision: shape.vision };
    const segments = adapterSegments(config, target, shape.vision?.projectorHidden ?? 0);
    expect([...adapterTensors(shape)]).toEqual(segments.map((segment) => [segment.name, segment.shape]));
  });

  it("LaVIN-7B's has 3,781,296 numbers, 13B's 5,390,080", () => {
    const count = (dim: number, layers: number) =>
      [
        ...adapterTensors({
          hidden: 8,
          groups: 2,
          llama: { dim, layers, kind: 'attn' },
          vision: { width: 1024, layers: 24, kind: 'router', projectorHidden: 128 },
        }).values(),
      ]
        .map((shape) => shape.reduce((a, b) => a * b, 1))
        .reduce((a, b) => a + b, 0);
    expect([count(4096, 32), count(5120, 40)]).toEqual([3_781_296, 5_390_080]);
  });

  const changed = (change: (tensors: Map<string, TensorToWrite>) => void) => {
    const tensors = adapterFixture();
    change(tensors);
    return writeSafetensors(tensors);
  };
  const reshaped = (name: string, shape: number[]) =>
    changed((t) => t.set(name, { format: 'F32', shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }));
  it.each<[string, string, () => Uint8Array]>([
    [
      'missing',
      'tensor "layers.1.adapter_attn.conv_D.bias"',
      () => changed((t) => t.delete('layers.1.adapter_attn.conv_D.bias')),
    ],
    ['missing', 'tensor "layers.0.adapter_attn.conv_A.weight"', () => writeSafetensors(new Map())],
    [
      'missing',
      'tensor "adapter_modality_embedding.weight"',
      () => changed((t) => t.delete('adapter_modality_embedding.weight')),
    ],
    [
      'missing',
      'tensor "layers.2.adapter_attn.conv_A.weight"',
      () => reshaped('layers.3.adapter_attn.conv_A.weight', [4, 12, 1]),
    ],
    [
      'corrupt',
      'tensor "layers.1.adapter_attn.conv_A.weight"',
      () => reshaped('layers.1.adapter_attn.conv_A.weight', [4, 13, 1]),
    ],
    ['corrupt', 'tensor "adapter_proj.conv_B.weight"', () => reshaped('adapter_proj.conv_B.weight', [12, 6])],
    [
      'corrupt',
      'tensor "layers.0.adapter_attn.conv_A.weight"',
      () => reshaped('layers.0.adapter_attn.conv_A.weight', [4, 12]),
    ],
    [
      'corrupt',
      'layers.0.adapter_attn.conv_B.weight',
      () => reshaped('layers.0.adapter_attn.conv_B.weight', [12, 3, 1]),
    ],
    ['corrupt', 'tensors', () => reshaped('layers.4000000000.adapter_attn.conv_A.weight', [4, 12, 1])],
    [
      'unsupported',
      'tensor "extra"',
      () => changed((t) => t.set('extra', { format: 'I32', shape: [1], data: Int32Array.of(1) })),
    ],
  ])('%s: %s', async (code, field, bytes) => {
    await expect(open(bytes())).rejects.toMatchObject({ name: 'FormatError', code, field });
  });
});

describe('details that lie', () => {
  const change = (edit: object) => JSON.stringify({ ...JSON.parse(detailsText(details)), ...edit });
  const config = (edit: object) => change({ config: { ...details.config, ...edit } });
  it.each<[string, string, string]>([
    ['corrupt', DETAILS_KEY, '{'],
    ['corrupt', DETAILS_KEY, '[]'],
    ['unsupported', `${DETAILS_KEY} version`, change({ version: 'lavin-adapters-9' })],
    ['corrupt', `${DETAILS_KEY} config`, change({ config: null })],
    ['corrupt', `${DETAILS_KEY} config.temperature`, config({ temperature: 0 })],
    ['corrupt', `${DETAILS_KEY} config.temperature`, config({ temperature: '10' })],
    ['corrupt', `${DETAILS_KEY} config.hidden`, config({ hidden: 4.5 })],
    ['corrupt', `${DETAILS_KEY} config.hidden`, config({ hidden: 8 })],
    ['corrupt', `${DETAILS_KEY} config.visual`, config({ visual: 'normal' })],
    ['corrupt', `${DETAILS_KEY} config.llama`, config({ llama: 'other' })],
    ['corrupt', `${DETAILS_KEY} base`, change({ base: 'LLaMA' })],
    ['corrupt', `${DETAILS_KEY} base.source`, change({ base: { ...base, source: 'guessed' } })],
    [
      'corrupt',
      `${DETAILS_KEY} base.llama.dim`,
      change({ base: { source: 'stated', llama: { name: 'x', layers: 2 } } }),
    ],
    ['corrupt', `${DETAILS_KEY} created`, change({ created: 'yesterday' })],
    ['corrupt', `${DETAILS_KEY} notes`, change({ notes: 1 })],
    ['corrupt', `${DETAILS_KEY} recipe`, change({ recipe: [] })],
    ['limit', DETAILS_KEY, change({ notes: 'x'.repeat(1_000_001) })],
  ])('%s: %s', async (code, field, text) => {
    await expect(open(withDetails(text))).rejects.toMatchObject({ name: 'FormatError', code, field });
  });

  it('are not written either', () => {
    expect(() => writeAdapterFile(adapterFixture(), { ...details, config: { ...details.config, hidden: 8 } })).toThrow(
      FormatError,
    );
    expect(() => writeAdapterFile(adapterFixture(), { ...details, created: 'soon' })).toThrow(/no date/);
    const half = new Map([...adapterFixture()].slice(3));
    expect(() => writeAdapterFile(half, details)).toThrow(FormatError);
  });
});

describe('another base', () => {
  const file = { shape: SMALL_SHAPE, details, config: details.config };
  const texts = (...args: Parameters<typeof describeMismatch>) => describeMismatch(...args).map(({ text }) => text);

  it('the same base has nothing against it', () => {
    expect(describeMismatch(file, base, details.config)).toEqual([]);
    expect(describeBase(file)).toBe('base: Tiny and tower');
    const stated = { details: { ...details, base: { source: 'stated', ...base } as const } };
    expect(describeBase(stated)).toBe('base: Tiny and tower, as somebody stated; unverified');
  });

  it('every difference in shape is named with both numbers', () => {
    const other = { llama: { name: 'Big', dim: 16, layers: 4 }, vision: { name: 'tower', width: 9, layers: 5 } };
    expect(texts(file, other)).toEqual([
      'The adapters are made for a LLaMA of width 12; here it is 16.',
      'The adapters are made for a LLaMA with this number of layers: 2; here it is 4.',
      'The adapters are made for a vision tower of width 8; here it is 9.',
      'The adapters are made for a vision tower with this number of layers: 3; here it is 5.',
    ]);
    expect(texts(file, { llama: base.llama })).toEqual([
      'The adapters are made for pictures; Tiny here has no vision tower.',
    ]);
    const { vision: _, ...text } = SMALL_SHAPE;
    expect(texts({ ...file, shape: text }, base)[0]).toMatch(/for text only/);
  });

  it('the same shape with another fingerprint, and another config', () => {
    const other = { ...base, llama: { ...base.llama, name: 'Other', fingerprint: 'sample-sha256:cc' } };
    expect(describeMismatch(file, other)).toEqual([
      { kind: 'base', text: 'The adapters belong to the language model "Tiny" (aa); here it is "Other" (cc).' },
    ]);
    expect(texts(file, base, { ...details.config, temperature: 5, hidden: 8 })).toEqual([
      'The adapters are made for a bottleneck (hidden) of 4; here it is 8.',
      'The adapters are made for the router temperature 10; here it is 5.',
    ]);
  });

  it('a file that names no base is not refused for it', () => {
    expect(describeMismatch({ shape: SMALL_SHAPE, details: undefined, config: {} }, base, details.config)).toEqual([]);
  });
});

describe('a fingerprint', () => {
  const of = async (tensors: Map<string, TensorToWrite>, metadata?: Record<string, string>) =>
    fingerprint(await openSafetensors(new MemorySource(writeSafetensors(tensors, metadata))));
  it('is of names, shapes and values, not of the file around them', async () => {
    const first = await of(adapterFixture());
    expect(first).toMatch(/^sample-sha256:[0-9a-f]{64}$/);
    expect(await of(adapterFixture(), { by: 'somebody' })).toBe(first);
    const renamed = new Map([...adapterFixture()].map(([name, tensor]) => [`${name}x`, tensor]));
    const altered = adapterFixture();
    const [name, tensor] = [...altered].sort(([a], [b]) => (a < b ? -1 : 1))[0];
    altered.set(name, { ...tensor, data: new Float32Array(tensor.data.length) });
    expect(new Set([first, await of(renamed), await of(altered)]).size).toBe(3);
  });
});
