import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Gpu } from '../../src/gpu/device';
import { Tensor } from '../../src/gpu/tensor';
import { copyRows, type PointwiseOp, pointwise, vitPatches, vitTokens } from '../../src/kernels/pointwise';
import { createStep, writeStep } from '../../src/kernels/step';
import { closeTestGpus, openTestGpu } from '../gpu';
import { blank, download, noise, runOnce, upload } from './attention-support';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu({ defaultLimits: true });
});
afterAll(closeTestGpus);

const BEYOND = 70;

/** A tensor with untouched memory behind it that its binding reaches, so that a thread too many is found. */
function guarded(label: string, shape: readonly number[]) {
  const size = shape.reduce((a, b) => a * b, 1);
  const whole = blank(gpu, label, [size + BEYOND]);
  return {
    tensor: new Tensor(label, shape, 'f32', whole.range),
    async read(): Promise<Float32Array> {
      const values = await download(gpu, whole);
      expect([...values.subarray(size)]).toEqual(new Array(BEYOND).fill(-777));
      return values.subarray(0, size);
    },
  };
}

const counting = (count: number) => Float32Array.from({ length: count }, (_, i) => i + 1);

describe('elementwise', () => {
  const sigmoid = (v: number) => 1 / (1 + Math.exp(-v));
  const REFERENCE: Record<PointwiseOp, (a: number, b: number) => number> = {
    add: (a, b) => a + b,
    silu: (a) => a * sigmoid(a),
    quick_gelu: (a) => a * sigmoid(1.702 * a),
    swiglu: (a, b) => a * sigmoid(a) * b,
  };
  const ops = Object.keys(REFERENCE) as PointwiseOp[];

  it.each(ops)('%s: any count, and values from 0 to 10,000 of both signs', async (op) => {
    const extremes = [0, 1e-30, 1e-4, 0.5, 1, 8, 20, 50, 87, 88.5, 89, 90, 104, 200, 1e3, 1e4].flatMap((v) => [v, -v]);
    for (const count of [1, 63, 64, 65, 333]) {
      const a = noise(count, count).map((v) => v * 4);
      a.set(extremes.slice(0, count));
      const b = noise(count, count + 1);
      const y = guarded('y', [count]);
      const operands = { a: upload(gpu, 'a', [count], a), b: upload(gpu, 'b', [count], b) };
      await runOnce(gpu, (rec) =>
        pointwise(rec, {
          label: op,
          op,
          ...(op === 'add' || op === 'swiglu' ? operands : { a: operands.a }),
          y: y.tensor,
        }),
      );
      const got = await y.read();
      for (let i = 0; i < count; i++) {
        const wanted = REFERENCE[op](a[i], b[i]);
        expect(Math.abs(got[i] - wanted), `${op}(${a[i]}, ${b[i]}) = ${got[i]}, not ${wanted}`).toBeLessThanOrEqual(
          1e-6 + 2e-6 * Math.abs(wanted),
        );
      }
    }
  });
});

describe('copy_rows', () => {
  it.each([
    { rows: 1 },
    { rows: 3 },
    { rows: 2, from: 1, fromStride: 2 },
    { rows: 2, to: 1, toStride: 2 },
    { rows: 2, from: 3, to: 2 },
    { rows: 3, fromStride: 0 },
  ])('%j', async (options) => {
    const { rows, from = 0, fromStride = 1, to = 0, toStride = 1 } = options;
    for (const cols of [1, 30]) {
      const x = counting(5 * cols);
      const y = guarded('y', [5, cols]);
      await runOnce(gpu, (rec) =>
        copyRows(rec, { label: 'copy', x: upload(gpu, 'x', [5, cols], x), y: y.tensor, ...options }),
      );
      const wanted = new Float32Array(5 * cols).fill(-777);
      for (let i = 0; i < rows; i++) {
        const source = (from + i * fromStride) * cols;
        wanted.set(x.subarray(source, source + cols), (to + i * toStride) * cols);
      }
      expect([...(await y.read())]).toEqual([...wanted]);
    }
  });

  it('takes the last live row of the step, the first where none lives', async () => {
    const cols = 70;
    const x = counting(4 * cols);
    for (const [live, row] of [
      [4, 3],
      [2, 1],
      [1, 0],
      [0, 0],
    ]) {
      const step = createStep(gpu);
      writeStep(gpu, step, { rows: live });
      const y = blank(gpu, 'y', [2, cols]);
      await runOnce(gpu, (rec) =>
        copyRows(rec, { label: 'last', x: upload(gpu, 'x', [4, cols], x), y, rows: 1, to: 1, step }),
      );
      const got = await download(gpu, y);
      expect([...got.subarray(0, cols)]).toEqual(new Array(cols).fill(-777));
      expect([...got.subarray(cols)]).toEqual([...x.subarray(row * cols, (row + 1) * cols)]);
    }
  });
});

describe('vit_patches', () => {
  it.each([
    [1, 4, 2],
    [2, 9, 3],
    [1, 7, 7],
    [3, 5, 1],
    [2, 15, 5],
    [1, 11, 4],
  ])('%i images of %i pixels in patches of %i', async (count, size, patchSize) => {
    const grid = Math.floor(size / patchSize);
    const images = counting(count * 3 * size * size);
    const width = 3 * patchSize * patchSize;
    const patches = guarded('patches', [count * grid * grid, width]);
    const x = upload(gpu, 'images', [count, 3, size, size], images);
    await runOnce(gpu, (rec) => vitPatches(rec, { label: 'cut', images: x, patches: patches.tensor, patchSize }));
    const wanted: number[] = [];
    for (let n = 0; n < count; n++)
      for (let gy = 0; gy < grid; gy++)
        for (let gx = 0; gx < grid; gx++)
          for (let channel = 0; channel < 3; channel++)
            for (let py = 0; py < patchSize; py++)
              for (let px = 0; px < patchSize; px++) {
                const [row, column] = [gy * patchSize + py, gx * patchSize + px];
                wanted.push(images[((n * 3 + channel) * size + row) * size + column]);
              }
    expect([...(await patches.read())]).toEqual(wanted);
  });
});

describe('vit_tokens', () => {
  it.each([
    [1, 4, 8],
    [3, 9, 5],
    [2, 1, 1],
  ])('%i images of %i patches of width %i', async (count, patchCount, width) => {
    const tokens = patchCount + 1;
    const patches = noise(count * patchCount * width, 1);
    const classToken = noise(width, 2);
    const position = noise(tokens * width, 3);
    const y = guarded('y', [count * tokens, width]);
    await runOnce(gpu, (rec) =>
      vitTokens(rec, {
        label: 'tokens',
        patches: upload(gpu, 'patches', [count * patchCount, width], patches),
        classToken: upload(gpu, 'class', [width], classToken),
        position: upload(gpu, 'position', [tokens, width], position),
        y: y.tensor,
      }),
    );
    const got = await y.read();
    for (let n = 0; n < count; n++) {
      for (let t = 0; t < tokens; t++) {
        for (let c = 0; c < width; c++) {
          const token = t === 0 ? classToken[c] : patches[(n * patchCount + t - 1) * width + c];
          expect(got[(n * tokens + t) * width + c]).toBe(Math.fround(token + position[t * width + c]));
        }
      }
    }
  });
});
