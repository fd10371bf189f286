/** What every variant of the linear kernels is held to, on every format: f64 products, edge shapes, fused launches. */
import { describe, expect, it } from 'vitest';
import type { KernelChoices } from '../../src/gpu/choices';
import type { Gpu } from '../../src/gpu/device';
import type { Recorder } from '../../src/gpu/plan';
import type { Tensor } from '../../src/gpu/tensor';
import { type Epilogue, gatedLinear, linear, linearMany } from '../../src/kernels/linear';
import { LAYOUTS } from '../../src/kernels/weight-layout';
import type { WeightFormat } from '../../src/kernels/weights';
import { expectClose, peak } from '../goldens/golden';
import { isFurtherDriver } from '../gpu';
import { blank, download, noise, runOnce, upload } from './attention-support';
import { product, randomMatrix, roundToInt8 } from './linear-support';

/** Products in f32: a share of the result's peak. */
export const F32 = 1e-5;
/** Half-precision tiles. */
export const F16 = 4e-3;
/** Activations rounded to int8. */
export const INT8 = 2e-2;

const formats = Object.keys(LAYOUTS) as WeightFormat[];
/** One of each kind of scaling: what unpacks them is the same code as the others'. */
const KINDS: WeightFormat[] = ['Q4_0', 'Q4_K', 'Q6_K', 'F16'];
/** After a first driver has seen every kernel on every format, another sees every kernel, and every format once. */
const formatsOf = (variant: string) => (isFurtherDriver && variant !== 'thread' ? KINDS : formats);
/** Choices that ask for certain kernels, and how far they may be off: a share of the peak. */
export type Variant = [name: string, choices: Partial<KernelChoices>, tolerance: number];

/** Collects cases into one plan, so that their kernels compile side by side, and checks them after its run. */
class Cases {
  private readonly records: ((rec: Recorder) => void)[] = [];
  private readonly checks: { name: string; y: Tensor; want: Float64Array; tolerance?: number }[] = [];

  constructor(private readonly gpu: Gpu) {}

  add(name: string, y: Tensor, want: Float64Array, record: (rec: Recorder) => void, tolerance?: number): void {
    this.records.push(record);
    this.checks.push({ name, y, want, tolerance });
  }

  async run(choices: Partial<KernelChoices>, tolerance: number): Promise<void> {
    await runOnce(
      this.gpu,
      (rec) => {
        for (const record of this.records) record(rec);
      },
      choices,
    );
    for (const { name, y, want, tolerance: own = tolerance } of this.checks)
      expectClose(name, await download(this.gpu, y), want, own * peak(want));
  }
}

/** Tests of each variant, on the GPU that `gpuOf` gives once they run. */
export function describeLinear(variants: Variant[], gpuOf: () => Gpu): void {
  describe.each(variants)('%s', (variant, choices, tolerance) => {
    describe.each(formatsOf(variant))('%s', (format) => {
      const odd = LAYOUTS[format].sourceCols === 1;
      const block = LAYOUTS[format].sourceCols;
      const widths = odd
        ? [1, 7, 32, 36, 131, 256]
        : [block, 2 * block, 3 * block, 576, 2304].filter((k) => k % block === 0);

      it('edge shapes', async () => {
        const gpu = gpuOf();
        const cases = new Cases(gpu);
        for (const [i, k] of widths.entries()) {
          for (const n of [1, 67]) {
            const { weight, values } = await randomMatrix(gpu, format, n, k, 10 * i + n);
            for (const m of k <= 256 ? [1, 2, 3, 8, 9, 33] : [1, 9]) {
              const x = noise(m * k, m + k);
              const y = blank(gpu, 'y', [m, n]);
              const name = `${format} ${m}x${n}x${k}`;
              const tensor = upload(gpu, 'x', [m, k], x);
              const record = (rec: Recorder) => linear(rec, { label: name, x: tensor, weight, y });
              // A single output has no peak to measure int8 activations by.
              const int8 = tolerance === INT8 && !odd && m <= 8;
              if (!int8 || n > 1) cases.add(name, y, product(x, values, m, n, k), record);
              if (!int8) continue;
              // What is left once they are rounded here too is rounding in f32.
              const z = blank(gpu, 'z', [m, n]);
              const rounded = product(roundToInt8(x), values, m, n, k);
              cases.add(
                `${name} rounded`,
                z,
                rounded,
                (rec) => linear(rec, { label: name, x: tensor, weight, y: z }),
                1e-4,
              );
            }
          }
        }
        await cases.run(choices, tolerance);
      });
    });

    describe.each(KINDS)('%s', (format) => {
      const block = LAYOUTS[format].sourceCols;

      it('gated and shared launches', async () => {
        const gpu = gpuOf();
        const k = 2 * block < 64 ? 68 : 2 * block;
        const cases = new Cases(gpu);
        const sizes = [130, 67, 5];
        const matrices = await Promise.all(sizes.map((n, i) => randomMatrix(gpu, format, n, k, 50 + i)));
        const twin = await randomMatrix(gpu, format, sizes[0], k, 60);
        for (const m of [1, 3, 10]) {
          const values = noise(m * k, m);
          const x = upload(gpu, 'x', [m, k], values);
          for (const count of [2, 3]) {
            const ys = sizes.slice(0, count).map((n) => blank(gpu, 'y', [m, n]));
            const outputs = ys.map((y, i) => ({ weight: matrices[i].weight, y }));
            ys.forEach((y, i) => {
              const want = product(values, matrices[i].values, m, sizes[i], k);
              cases.add(`${format} many ${count}.${i} m${m}`, y, want, (rec) => {
                if (i === 0) linearMany(rec, { label: 'many', x, outputs });
              });
            });
          }
          const y = blank(gpu, 'y', [m, sizes[0]]);
          const gate = product(values, matrices[0].values, m, sizes[0], k);
          const up = product(values, twin.values, m, sizes[0], k);
          cases.add(
            `${format} gated m${m}`,
            y,
            gate.map((g, i) => (g / (1 + Math.exp(-g))) * up[i]),
            (rec) => gatedLinear(rec, { label: 'gated', x, gate: matrices[0].weight, up: twin.weight, y }),
          );
        }
        await cases.run(choices, tolerance);
      });
    });

    it('bias, epilogues, residuals, columns of a wider y', async () => {
      const gpu = gpuOf();
      const cases = new Cases(gpu);
      const [n, k] = [70, 64];
      const { weight, values } = await randomMatrix(gpu, 'F16', n, k, 1);
      const bias = noise(n, 2);
      const biasTensor = upload(gpu, 'bias', [n], bias);
      const activations: Record<Epilogue, (v: number) => number> = {
        none: (v) => v,
        silu: (v) => v / (1 + Math.exp(-v)),
        quick_gelu: (v) => v / (1 + Math.exp(-1.702 * v)),
      };
      for (const m of [1, 20]) {
        const x = noise(m * k, m);
        const xTensor = upload(gpu, 'x', [m, k], x);
        const residual = noise(m * n, m + 1);
        const r = upload(gpu, 'r', [m, n], residual);
        const plain = product(x, values, m, n, k).map((v, i) => v + bias[i % n]);
        for (const [epilogue, combine] of [
          ['none', 'add'],
          ['silu', 'multiply'],
          ['quick_gelu', undefined],
        ] as const) {
          const want = plain.map((v, i) => {
            const a = activations[epilogue](v);
            return combine === 'add' ? a + residual[i] : combine === 'multiply' ? a * residual[i] : a;
          });
          const y = blank(gpu, 'y', [m, n]);
          const options = { x: xTensor, weight, y, bias: biasTensor, epilogue, residual: combine && r, combine };
          cases.add(`${epilogue} ${combine} m${m}`, y, want, (rec) => linear(rec, { label: 'fused', ...options }));
        }
        const wide = blank(gpu, 'wide', [m, 2 * n + 3]);
        const want = new Float64Array(m * (2 * n + 3)).fill(-777);
        const bare = product(x, values, m, n, k);
        for (let i = 0; i < m; i++) want.set(bare.subarray(i * n, (i + 1) * n), i * (2 * n + 3) + n);
        cases.add(`wide m${m}`, wide, want, (rec) =>
          linear(rec, { label: 'wide', x: xTensor, weight, y: wide, yColumn: n }),
        );
      }
      await cases.run(choices, tolerance);
    });

    it('plain tensors as weights, transient and persistent', async () => {
      const gpu = gpuOf();
      const cases = new Cases(gpu);
      for (const [n, k] of [
        [8, 48],
        [48, 8],
        [3, 5],
        [64, 64],
        [1, 96],
        [33, 12],
      ]) {
        const values = noise(n * k, n + k);
        const weight = upload(gpu, 'w', [n, k], values);
        for (const m of [1, 4, 17]) {
          const x = noise(m * k, m);
          const y = blank(gpu, 'y', [m, n]);
          const xTensor = upload(gpu, 'x', [m, k], x);
          const name = `tensor ${m}x${n}x${k}`;
          cases.add(name, y, product(x, values, m, n, k), (rec) => linear(rec, { label: name, x: xTensor, weight, y }));
          // (x W^T) W: the product of an intermediate with one, all in the arena.
          const y2 = blank(gpu, 'y2', [m, m]);
          const inner = product(x, values, m, n, k);
          cases.add(`${name} twice`, y2, product(inner, inner, m, m, n), (rec) => {
            const t = rec.tensor('t', [m, n]);
            linear(rec, { label: name, x: xTensor, weight, y: t });
            const u = rec.tensor('u', [m, n]);
            linear(rec, { label: name, x: xTensor, weight, y: u });
            linear(rec, { label: name, x: t, weight: u, y: y2 });
          });
        }
      }
      await cases.run(choices, tolerance === F32 ? F32 : 2 * F16);
    });

    it('a weight in parts, one cut into several launches, one gate of another format', async () => {
      const gpu = gpuOf();
      const cases = new Cases(gpu);
      const small = Object.create(gpu, { maxPartBytes: { value: 1 << 14 } }) as Gpu;
      const [n, k] = [300, 256];
      const split = await randomMatrix(small, 'Q4_1', n, k, 7);
      const up = await randomMatrix(small, 'Q4_1', n, k, 8);
      const other = await randomMatrix(gpu, 'Q6_K', n, k, 9);
      expect(split.weight.parts.length).toBeGreaterThan(1);
      for (const m of [1, 12]) {
        const x = noise(m * k, m);
        const xTensor = upload(gpu, 'x', [m, k], x);
        const y = blank(gpu, 'y', [m, n]);
        const g = product(x, split.values, m, n, k);
        cases.add(`parts m${m}`, y, g, (rec) => linear(rec, { label: 'parts', x: xTensor, weight: split.weight, y }));
        for (const [name, second] of [
          ['parts', up],
          ['formats', other],
        ] as const) {
          const gated = blank(gpu, 'y', [m, n]);
          const u = product(x, second.values, m, n, k);
          cases.add(
            `gated ${name} m${m}`,
            gated,
            g.map((v, i) => (v / (1 + Math.exp(-v))) * u[i]),
            (rec) => gatedLinear(rec, { label: 'gated', x: xTensor, gate: split.weight, up: second.weight, y: gated }),
          );
        }
      }
      await cases.run(choices, tolerance);
    });
  });
}
