import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Gpu } from '../../src/gpu/device';
import { linear } from '../../src/kernels/linear';
import { type Weight, weightFromArray } from '../../src/kernels/weights';
import { closeTestGpus, openNarrowTestGpu } from '../gpu';
import { blank, noise, runOnce } from './attention-support';
import { describeLinear, F32, INT8 } from './linear-cases';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openNarrowTestGpu({ defaultLimits: true });
});
afterAll(closeTestGpus);

/** Those that ask no lane for what another has: linear-lanes.test.ts has the others. */
describeLinear(
  [
    ['thread', { matvec: 'thread', matmul: 'register' }, F32],
    ['workgroup', { matvec: 'workgroup', matmul: 'workgroup' }, F32],
    ['thread, int8', { matvec: 'thread', matmul: 'register', int8Activations: true }, INT8],
  ],
  () => gpu,
);

it('cuts a long launch by rows', async () => {
  const [m, n, k] = [600, 1024, 1024];
  const weight: Weight = weightFromArray(gpu, 'w', noise(n * k, 1), n, k);
  let launches = 0;
  await runOnce(gpu, (rec) => {
    linear(rec, { label: 'long', x: blank(gpu, 'x', [m, k]), weight, y: blank(gpu, 'y', [m, n]) });
    launches = rec.length;
  });
  expect(launches).toBeGreaterThan(1);
});

it('refuses shapes that do not fit', async () => {
  const weight = weightFromArray(gpu, 'w', noise(64, 1), 2, 32);
  const x = blank(gpu, 'x', [3, 32]);
  await expect(
    runOnce(gpu, (rec) => linear(rec, { label: 'l', x: blank(gpu, 'x', [3, 31]), weight, y: x })),
  ).rejects.toThrow('l: x has 31 columns, the weight 32');
  await expect(
    runOnce(gpu, (rec) => linear(rec, { label: 'l', x, weight, y: blank(gpu, 'y', [2, 2]) })),
  ).rejects.toThrow('rows');
  await expect(
    runOnce(gpu, (rec) => linear(rec, { label: 'l', x, weight, y: blank(gpu, 'y', [3, 1]) })),
  ).rejects.toThrow('columns');
});
