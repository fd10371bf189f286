/** The optimiser's kernels against torch.optim.AdamW's formula in f64: moves, clips, skips. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Gpu } from '../../src/gpu/device';
import { adamW, OPTIMISER_STATE } from '../../src/kernels/optimiser';
import { expectClose } from '../goldens/golden';
import { closeTestGpus, openTestGpu } from '../gpu';
import { download, noise, runOnce, upload } from './attention-support';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu({ defaultLimits: true });
});
afterAll(closeTestGpus);

describe('AdamW', () => {
  const words = 2100;
  const options = { rate: 0.01, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1 };

  async function stepOn(grad: Float32Array, clip: number, loss = 0.5, before = 0) {
    const [values, mean, square] = [noise(words, 1), noise(words, 2), noise(words, 3).map(Math.abs)];
    const flat = (label: string, data: Float32Array) => upload(gpu, label, [words], data);
    const tensors = {
      values: flat('values', values),
      grad: flat('grad', grad),
      mean: flat('mean', mean),
      square: flat('square', square),
      // Every third word decays.
      decays: upload(
        gpu,
        'decays',
        [Math.ceil(words / 32)],
        Uint32Array.from({ length: Math.ceil(words / 32) }, (_, w) => {
          let bits = 0;
          for (let i = 0; i < 32; i++) if ((w * 32 + i) % 3 === 0) bits |= 1 << i;
          return bits;
        }),
      ),
      state: upload(gpu, 'state', [8], Float32Array.of(loss, 0.9, 0.95, 0, before, before, 1, 0)),
      stepData: upload(
        gpu,
        'data',
        [8],
        Float32Array.of(options.rate, options.beta1, options.beta2, options.epsilon, options.decay, clip, 6, 0),
      ),
      ring: upload(gpu, 'ring', [4, 8], new Float32Array(32)),
    };
    await runOnce(gpu, (rec) => adamW(rec, tensors));
    return {
      start: { values, mean, square },
      values: await download(gpu, tensors.values),
      mean: await download(gpu, tensors.mean),
      square: await download(gpu, tensors.square),
      grad: await download(gpu, tensors.grad),
      state: await download(gpu, tensors.state),
      report: (await download(gpu, tensors.ring)).subarray(2 * 8, 3 * 8),
    };
  }

  it.each([
    ['unclipped', 0],
    ['clipped', 2],
    ['with room to the clip', 1e4],
  ])('moves as torch.optim.AdamW does, %s', async (_, clip) => {
    const grad = noise(words, 4);
    // After two skipped steps, which it ends.
    const got = await stepOn(grad, clip, 0.5, 2);
    const norm = Math.sqrt(grad.reduce((sum, g) => sum + g * g, 0));
    const factor = clip > 0 ? Math.min(1, clip / (norm + 1e-6)) : 1;
    const { rate, beta1, beta2, epsilon, decay } = options;
    const want = Float64Array.from(got.start.values, (value, i) => {
      const g = grad[i] * factor;
      const m = beta1 * got.start.mean[i] + (1 - beta1) * g;
      const v = beta2 * got.start.square[i] + (1 - beta2) * g * g;
      const kept = i % 3 === 0 ? value * (1 - rate * decay) : value;
      const denominator = Math.sqrt(v) / Math.sqrt(1 - 0.95 * beta2) + epsilon;
      return kept - (rate / (1 - 0.9 * beta1)) * (m / denominator);
    });
    expectClose('values', got.values, want, 1e-5);
    expect(got.grad.every((g) => g === 0)).toBe(true);
    expect([got.report[0], ...got.report.subarray(2, 6)]).toEqual([0.5, 0, 2, 0, 2]);
    expect(Math.abs(got.report[1] / norm - 1)).toBeLessThan(1e-5);
    expect(got.state[OPTIMISER_STATE.loss]).toBe(0);
  });

  it.each([
    ['a NaN', Number.NaN, 0.5],
    ['an infinity', Number.POSITIVE_INFINITY, 0.5],
    ['a loss that is no number', 1, Number.NaN],
  ])('%s skips the step: counted, nothing moves, gradients cleared', async (_, bad, loss) => {
    const grad = noise(words, 4);
    grad[2050] = bad;
    const got = await stepOn(grad, 1, loss, 2);
    expect(got.values).toEqual(got.start.values);
    expect(got.mean).toEqual(got.start.mean);
    expect(got.square).toEqual(got.start.square);
    expect(got.grad.every((g) => g === 0)).toBe(true);
    // Skipped, three in all, three in a row, one step taken as before.
    expect([...got.report.subarray(2, 6)]).toEqual([1, 3, 3, 1]);
  });
});
