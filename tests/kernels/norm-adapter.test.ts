import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Gpu } from '../../src/gpu/device';
import {
  type AdapterTensors,
  adapterMerge,
  type Mixing,
  mergedWords,
  type Norm,
  normAdapter,
  router,
} from '../../src/kernels/norm-adapter';
import { closeTestGpus, openNarrowTestGpu } from '../gpu';
import { ReferenceAdapter } from './adapter-reference';
import { blank, download, noise, runOnce, upload } from './attention-support';

let gpu: Gpu;
beforeAll(async () => {
  // The plain twin's limits: the widest bottleneck must fit 16 KiB of workgroup memory.
  gpu = await openNarrowTestGpu({ defaultLimits: true });
});
afterAll(closeTestGpus);

type NormKind = Norm['kind'] | 'none';

function referenceNorm(kind: NormKind, x: ArrayLike<number>, gain: ArrayLike<number>, shift: ArrayLike<number>) {
  const values = Array.from(x);
  if (kind === 'none') return values;
  const mean = kind === 'layer' ? values.reduce((a, b) => a + b, 0) / values.length : 0;
  const square = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
  return values.map((v, c) => ((v - mean) / Math.sqrt(square + EPSILON)) * gain[c] + (kind === 'layer' ? shift[c] : 0));
}

const EPSILON = 1e-5;

interface Case {
  readonly norm: NormKind;
  readonly adapter: Mixing['kind'] | 'none';
  readonly rows: number;
  readonly cols: number;
  readonly hidden?: number;
  readonly groups?: number;
  readonly scale?: number;
  readonly temperature?: number;
  readonly rowThreads?: number;
  /** Of the input's numbers; 1 by default. */
  readonly size?: number;
  /** Rows of one sample. */
  readonly perSample?: number;
  /** Sample and row stride of given weights. */
  readonly strides?: readonly [number, number];
}

/** Largest difference of two arrays relative to the second's peak. */
function relativeError(got: ArrayLike<number>, wanted: readonly number[]): number {
  expect(got.length).toBe(wanted.length);
  const peak = Math.max(1e-3, ...wanted.map(Math.abs));
  const worst = Math.max(...wanted.map((value, i) => Math.abs(got[i] - value)));
  return Number.isNaN(worst) ? Number.NaN : worst / peak;
}

/** Sums of up to 576 f32 products. */
const TOLERANCE = 5e-6;

async function check(options: Case): Promise<void> {
  const { norm, adapter: mixingKind, rows, cols, hidden = 8, groups = 1, scale = 0.7, temperature = 2.5 } = options;
  const { perSample = rows, strides = [1, 0], size = 1 } = options;
  const seed = rows * 31 + cols;
  const x = noise(rows * cols, seed).map((v) => (v * 2 + 0.5) * size);
  const gain = noise(cols, seed + 1).map((v) => 1 + v * 0.2);
  const shift = noise(cols, seed + 2).map((v) => v * 0.3);
  const reference = new ReferenceAdapter(cols, hidden, groups, scale, temperature, seed);
  const z = Array.from({ length: rows }, (_, i) =>
    referenceNorm(norm, x.subarray(i * cols, (i + 1) * cols), gain, shift),
  );
  const sampleOf = (row: number) => Math.floor(row / perSample);
  const samples = Math.ceil(rows / perSample);
  const given = Array.from({ length: rows + samples + 4 }, (_, i): [number, number] => {
    const w0 = 0.1 + (0.8 * ((i * 5) % 7)) / 7;
    return [w0, 1 - w0];
  });
  const modalities = Array.from({ length: samples }, (_, b) => (b + 1) % 2);

  const packed = upload(gpu, 'adapter', [reference.packed().length], reference.packed());
  const tensors = reference.tensors(packed);
  const y = blank(gpu, 'y', [rows, cols]);
  const written = blank(gpu, 'w', [rows, 2]);
  let mixing: Mixing | undefined;
  let wanted: number[][] = z;
  if (mixingKind === 'plain') {
    mixing = { kind: 'plain' };
    wanted = z.map((row) => reference.plain(row));
  } else if (mixingKind === 'routed') {
    mixing = { kind: 'routed', weights: written };
    wanted = z.map((row) => reference.mix(row, reference.route(row)));
  } else if (mixingKind === 'mixed') {
    const weights = upload(gpu, 'given', [given.length, 2], Float32Array.from(given.flat()));
    mixing = { kind: 'mixed', weights, sampleStride: strides[0], rowStride: strides[1] };
    wanted = z.map((row, i) => {
      const at = sampleOf(i) * strides[0] + (i % perSample) * strides[1];
      return reference.mix(row, given[at]);
    });
  } else if (mixingKind === 'merged') {
    const pairs = [given[1], given[3]];
    const merged = blank(gpu, 'merged', [mergedWords(reference)]);
    // Unused pairs stand before and between, so that row and stride matter.
    const table = upload(gpu, 'table', [4, 2], Float32Array.from([[9, 9], pairs[0], [9, 9], pairs[1]].flat()));
    await runOnce(gpu, (rec) =>
      adapterMerge(rec, { label: 'merge', adapter: tensors, weights: table, weightRow: 1, weightStride: 2, merged }),
    );
    mixing = { kind: 'merged', merged, modality: upload(gpu, 'modality', [samples], Uint32Array.from(modalities)) };
    wanted = z.map((row, i) => reference.mix(row, pairs[modalities[sampleOf(i)]]));
  }
  const norms: Record<NormKind, () => Norm | undefined> = {
    none: () => undefined,
    rms: () => ({ kind: 'rms', gain: upload(gpu, 'gain', [cols], gain), epsilon: EPSILON }),
    layer: () => ({
      kind: 'layer',
      gain: upload(gpu, 'gain', [cols], gain),
      shift: upload(gpu, 'shift', [cols], shift),
      epsilon: EPSILON,
    }),
  };
  await runOnce(
    gpu,
    (rec) =>
      normAdapter(rec, {
        label: 'op',
        x: upload(gpu, 'x', [rows, cols], x),
        y,
        norm: norms[norm](),
        adapter: mixing && { ...tensors, mixing },
        rowsPerSample: perSample,
      }),
    { rowThreads: options.rowThreads ?? 8 },
  );
  expect(relativeError(await download(gpu, y), wanted.flat())).toBeLessThan(TOLERANCE);
  const weights = z.flatMap((row) => reference.route(row));
  if (mixingKind === 'routed') expect(relativeError(await download(gpu, written), weights)).toBeLessThan(TOLERANCE);
  else expect([...(await download(gpu, written))]).toEqual(new Array(rows * 2).fill(-777));
}

const NORMS: readonly NormKind[] = ['none', 'rms', 'layer'];
const ADAPTERS: readonly Case['adapter'][] = ['none', 'plain', 'mixed', 'routed', 'merged'];

describe('norm_adapter', () => {
  const combinations = NORMS.flatMap((norm) => ADAPTERS.map((adapter) => ({ norm, adapter }))).filter(
    ({ norm, adapter }) => norm !== 'none' || adapter !== 'none',
  );

  it.each(combinations)('$norm, $adapter: one and several rows of 1, 7, 24 and 576 channels', async (combination) => {
    for (const cols of [1, 7, 24, 576]) {
      for (const rows of [1, 3]) await check({ ...combination, rows, cols });
    }
  });

  it.each([
    { hidden: 12, groups: 3, cols: 24 },
    { hidden: 32, groups: 2, cols: 24 },
    { hidden: 64, groups: 1, cols: 7 },
    { hidden: 64, groups: 4, cols: 576 },
    { hidden: 1, groups: 1, cols: 24 },
  ])('any bottleneck: $hidden hidden units in $groups groups of $cols channels', async (shape) => {
    await check({ norm: 'rms', adapter: 'routed', rows: 3, ...shape });
    await check({ norm: 'none', adapter: 'merged', rows: 3, perSample: 1, ...shape });
  });

  it.each([64, 256])('%i threads to a row, fewer where a wide bottleneck fills the workgroup memory', async (n) => {
    for (const hidden of [8, 64]) {
      await check({ norm: 'layer', adapter: 'routed', rows: 3, cols: 24, hidden, rowThreads: n });
    }
    await check({ norm: 'rms', adapter: 'none', rows: 3, cols: 576, rowThreads: n });
  });

  it('scale and temperature: none, strong, sharp and soft', async () => {
    for (const [scale, temperature] of [
      [0, 1],
      [4, 10],
      [1, 0.05],
    ]) {
      await check({ norm: 'rms', adapter: 'routed', rows: 3, cols: 24, scale, temperature });
    }
  });

  it('given weights: per sample, per token shared by the batch, per row; modalities per sample', async () => {
    const shape = { norm: 'layer', adapter: 'mixed', rows: 6, cols: 7, perSample: 3 } as const;
    await check({ ...shape, strides: [1, 0] });
    await check({ ...shape, strides: [0, 1] });
    await check({ ...shape, strides: [3, 1] });
    await check({ norm: 'rms', adapter: 'merged', rows: 6, cols: 7, perSample: 3 });
    await check({ norm: 'rms', adapter: 'merged', rows: 3, cols: 7, perSample: 1 });
  });

  it.each(['rms', 'layer'] as const)('%s: numbers so small that epsilon rules, large ones, and zeros', async (norm) => {
    for (const size of [1e-3, 1e4, 0]) await check({ norm, adapter: 'routed', rows: 3, cols: 24, size });
  });

  it('survives logits far apart', async () => {
    await check({ norm: 'none', adapter: 'routed', rows: 3, cols: 24, temperature: 1e-4 });
  });

  it('refuses groups that do not divide', async () => {
    const reference = new ReferenceAdapter(9, 8, 1, 1, 1, 1);
    const packed = upload(gpu, 'adapter', [4], new Float32Array(4));
    const attempt = (over: Partial<AdapterTensors>) =>
      runOnce(gpu, (rec) => {
        const x = blank(gpu, 'x', [1, 9]);
        const y = blank(gpu, 'y', [1, 9]);
        const adapter = { ...reference.tensors(packed), ...over, mixing: { kind: 'plain' } as const };
        normAdapter(rec, { label: 'bad', x, y, adapter });
      });
    await expect(attempt({ groups: 2 })).rejects.toThrow('9 channels do not split into 2 groups');
    await expect(attempt({ groups: 3 })).rejects.toThrow('8 hidden units do not split into 3 groups');
  });
});

describe('router', () => {
  it.each([
    [1, 4],
    [3, 2],
    [4, 1],
  ])('weights of every row i * %i', async (stride, count) => {
    for (const [cols, rowThreads] of [
      [1, 8],
      [24, 8],
      [100, 64],
      [100, 256],
    ]) {
      const reference = new ReferenceAdapter(cols, 8, 1, 1, 1.5, cols);
      const z = noise(4 * cols, cols + 9);
      const weights = blank(gpu, 'w', [count, 2]);
      await runOnce(
        gpu,
        (rec) =>
          router(rec, {
            label: 'route',
            z: upload(gpu, 'z', [4, cols], z),
            adapter: reference.tensors(upload(gpu, 'adapter', [reference.packed().length], reference.packed())),
            weights,
            stride,
          }),
        { rowThreads },
      );
      const wanted = Array.from({ length: count }, (_, i) => {
        const from = i * stride * cols;
        return reference.route(z.subarray(from, from + cols));
      });
      expect(relativeError(await download(gpu, weights), wanted.flat())).toBeLessThan(TOLERANCE);
    }
  });
});

describe('adapter_merge', () => {
  it('joins both experts and their biases for each modality', async () => {
    for (const [cols, hidden, groups] of [
      [7, 8, 1],
      [24, 12, 3],
      [100, 8, 2],
    ]) {
      const reference = new ReferenceAdapter(cols, hidden, groups, 1.3, 1, cols);
      const merged = blank(gpu, 'merged', [mergedWords(reference)]);
      const pairs = [
        [0.25, 0.75],
        [0.9, 0.1],
      ] as const;
      await runOnce(gpu, (rec) =>
        adapterMerge(rec, {
          label: 'merge',
          adapter: reference.tensors(upload(gpu, 'adapter', [reference.packed().length], reference.packed())),
          weights: upload(gpu, 'table', [2, 2], Float32Array.from(pairs.flat())),
          weightRow: 0,
          weightStride: 1,
          merged,
        }),
      );
      const wanted = pairs.flatMap(([w0, w1]) => [
        ...Array.from(reference.b, (b, i) => 1.3 * (w0 * b + w1 * reference.d[i])),
        ...Array.from(reference.b0, (b, i) => 1.3 * (w0 * b + w1 * reference.d0[i])),
      ]);
      expect(relativeError(await download(gpu, merged), wanted)).toBeLessThan(1e-6);
    }
  });
});
