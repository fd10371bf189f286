import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Gpu } from '../../src/gpu/device';
import { expertNorms, NORM_WORDS, reweigh, sumRows } from '../../src/kernels/router-study';
import { STEP_WORDS } from '../../src/kernels/step';
import { closeTestGpus, openTestGpu } from '../gpu';
import { ReferenceAdapter } from './adapter-reference';
import { blank, download, noise, runOnce, upload } from './attention-support';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu({ defaultLimits: true });
});
afterAll(closeTestGpus);

const length = (values: readonly number[]) => Math.hypot(...values);

describe('expert_norms', () => {
  it.each([
    { cols: 1, hidden: 8, groups: 1, rows: 1, rowThreads: 8 },
    { cols: 24, hidden: 12, groups: 3, rows: 5, rowThreads: 64 },
    { cols: 100, hidden: 8, groups: 2, rows: 6, rowThreads: 256 },
    { cols: 576, hidden: 64, groups: 1, rows: 2, rowThreads: 256 },
  ])(
    '$rows rows of $cols channels, $hidden hidden units in $groups groups',
    async ({ cols, hidden, groups, rows, rowThreads }) => {
      const scale = 0.7;
      const reference = new ReferenceAdapter(cols, hidden, groups, scale, 2, cols);
      const z = noise(rows * cols, cols + 3);
      const perSample = Math.ceil(rows / 2);
      const pairs = Array.from({ length: rows + 2 }, (_, i) => [0.3 + i, 1.5 - i] as const);
      for (const [sampleStride, rowStride] of [
        [1, 0],
        [0, 1],
        [perSample, 1],
      ] as const) {
        const y = blank(gpu, 'y', [rows, NORM_WORDS]);
        await runOnce(
          gpu,
          (rec) =>
            expertNorms(rec, {
              label: 'norms',
              z: upload(gpu, 'z', [rows, cols], z),
              adapter: reference.tensors(upload(gpu, 'adapter', [reference.packed().length], reference.packed())),
              mixing: {
                kind: 'mixed',
                weights: upload(gpu, 'w', [pairs.length, 2], Float32Array.from(pairs.flat())),
                sampleStride,
                rowStride,
              },
              rowsPerSample: perSample,
              y,
            }),
          { rowThreads },
        );
        const got = await download(gpu, y);
        for (let row = 0; row < rows; row++) {
          const sample = Math.floor(row / perSample);
          const [w0, w1] = pairs[sample * sampleStride + (row - sample * perSample) * rowStride];
          const own = Array.from(z.subarray(row * cols, (row + 1) * cols));
          const h = reference.down(own);
          const u = reference.up(reference.b, reference.b0, h).map((v) => scale * w0 * v);
          const v = reference.up(reference.d, reference.d0, h).map((value) => scale * w1 * value);
          const wanted = [length(u), length(v), length(u.map((value, c) => value + v[c])), length(own)];
          const peak = Math.max(...wanted);
          wanted.forEach((value, k) => expect(Math.abs(got[row * 4 + k] - value) / peak).toBeLessThan(5e-6));
        }
      }
    },
  );
});

describe('reweigh', () => {
  it('leaves, swaps, silences and sets pairs, each by its row of the rules', async () => {
    const pairs = noise(2 * 70, 5);
    const w = upload(gpu, 'w', [70, 2], pairs);
    const rules = upload(
      gpu,
      'rules',
      [4, 6],
      Float32Array.from([1, 0, 0, 1, 0, 0, /**/ 0, 1, 1, 0, 0, 0, /**/ 0, 0, 0, 0, 0, 0, /**/ 0, 0, 0, 0, 0.25, 0.5]),
    );
    const changes: ((a: number, b: number) => [number, number])[] = [
      (a, b) => [a, b],
      (a, b) => [b, a],
      () => [0, 0],
      () => [0.25, 0.5],
    ];
    for (const [rule, change] of changes.entries()) {
      const y = blank(gpu, 'y', [70, 2]);
      await runOnce(gpu, (rec) => reweigh(rec, { label: 'reweigh', w, rules, rule, y }));
      const wanted = Array.from({ length: 70 }, (_, i) => change(pairs[2 * i], pairs[2 * i + 1])).flat();
      // Bit for bit; -0 and 0 are one.
      expect(Array.from(await download(gpu, y), (v) => v + 0)).toEqual(wanted.map((v) => v + 0));
    }
  });
});

describe('sum_rows', () => {
  it.each([
    { rows: 6, live: 4, first: 1 },
    { rows: 6, live: 9, first: 0 },
    { rows: 3, live: 1, first: 1 },
  ])('adds rows $first to $live of $rows to one row, and leaves the others', async ({ rows, live, first }) => {
    const x = noise(rows * 4, rows);
    const y = upload(gpu, 'y', [3, 4], new Float32Array(12).fill(2));
    const words = new Uint32Array(STEP_WORDS);
    words[0] = live;
    await runOnce(gpu, (rec) =>
      sumRows(rec, {
        label: 'sum',
        x: upload(gpu, 'x', [rows, 4], x),
        step: upload(gpu, 'step', [STEP_WORDS], words),
        first,
        y,
        to: 1,
      }),
    );
    const got = await download(gpu, y);
    const wanted = new Array(12).fill(2);
    for (let row = first; row < Math.min(rows, live); row++) {
      for (let c = 0; c < 4; c++) wanted[4 + c] += x[row * 4 + c];
    }
    wanted.forEach((value, i) => expect(got[i]).toBeCloseTo(value, 5));
  });
});
