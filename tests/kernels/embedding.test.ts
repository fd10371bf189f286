import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Gpu } from '../../src/gpu/device';
import { Tensor } from '../../src/gpu/tensor';
import { embedding } from '../../src/kernels/embedding';
import { linear } from '../../src/kernels/linear';
import { destroyWeight, uploadWeight, weightFromArray } from '../../src/kernels/weights';
import { closeTestGpus, openTestGpu } from '../gpu';
import { blank, download, noise, runOnce, upload } from './attention-support';
import { randomMatrix } from './linear-support';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu({ defaultLimits: true });
});
afterAll(closeTestGpus);

function slotsOf(codes: readonly number[]): Tensor {
  const { range } = upload(gpu, 'slots', [codes.length], Uint32Array.from(codes));
  return new Tensor('slots', [codes.length], 'i32', range);
}

/** A gpu whose buffers hold at most `bytes`. */
const small = (bytes: number) => Object.create(gpu, { maxPartBytes: { value: bytes } }) as Gpu;

describe.each(['Q4_0', 'Q5_1', 'Q4_K', 'Q6_K', 'F16'] as const)('%s table', (format) => {
  it.each([
    ['one part', 1 << 27],
    ['several parts', 1 << 12],
  ])('tokens, modality rows and image features of two samples, %s', async (_name, bytes) => {
    const [vocabulary, cols, features] = [41, 256, 3];
    const { weight, values } = await randomMatrix(small(bytes), format, vocabulary, cols, 5);
    expect(weight.parts.length > 1).toBe(bytes < 1 << 20);
    const modalityTable = noise(2 * cols, 6);
    const imageTokens = noise(2 * features * cols, 7);
    const codes = [-1, 0, -2, -3, -4, 40, 41, 1_000_000, -1, 7, -4, -2, 20, 40, -5, 3];
    const rows = codes.length / 2;
    const modality = [1, 0];
    const row = (i: number) => {
      const sample = Math.floor(i / rows);
      const code = codes[i];
      if (code >= 0) return values.subarray(code * cols, (code + 1) * cols);
      if (code === -1) return modalityTable.subarray(modality[sample] * cols, (modality[sample] + 1) * cols);
      const k = -2 - code;
      return k < features
        ? imageTokens.subarray((sample * features + k) * cols, (sample * features + k + 1) * cols)
        : [];
    };
    const y = blank(gpu, 'y', [codes.length, cols]);
    await runOnce(gpu, (rec) =>
      embedding(rec, {
        label: 'embed',
        slots: slotsOf(codes),
        modality: upload(gpu, 'modality', [2], Uint32Array.from(modality)),
        table: weight,
        modalityTable: upload(gpu, 'modality table', [2, cols], modalityTable),
        imageTokens: upload(gpu, 'image tokens', [2 * features, cols], imageTokens),
        featuresPerImage: features,
        rowsPerSample: rows,
        y,
      }),
    );
    const got = await download(gpu, y);
    codes.forEach((code, i) => {
      const want = new Float32Array(cols);
      want.set(row(i));
      // -0 equals 0.
      expect(
        [...got.subarray(i * cols, (i + 1) * cols)].map((v) => v + 0),
        `code ${code}`,
      ).toEqual([...want].map((v) => v + 0));
    });
  });
});

it('gives zeros for codes that have no table, at an odd width', async () => {
  const values = noise(5 * 31, 1);
  const y = blank(gpu, 'y', [4, 31]);
  const table = weightFromArray(gpu, 'table', values, 5, 31);
  await runOnce(gpu, (rec) => embedding(rec, { label: 'embed', slots: slotsOf([4, -1, -2, 5]), table, y }));
  const want = new Float32Array(4 * 31);
  want.set(values.subarray(4 * 31));
  expect(await download(gpu, y)).toEqual(want);
});

it('reads the largest binding to its end', async () => {
  // 128 MiB of F32: 32768 rows of 1024. Only the last row is not zero.
  const [rows, cols] = [32_768, 1024];
  const last = noise(cols, 3);
  const zeros = new Float32Array(cols * 1024);
  async function* pieces() {
    for (let r = 0; r < rows; r += 1024) {
      const piece = r + 1024 < rows ? zeros : zeros.slice();
      if (piece !== zeros) piece.set(last, 1023 * cols);
      yield new Uint8Array(piece.buffer);
    }
  }
  const weight = await uploadWeight(gpu, { label: 'largest', format: 'F32', rows, cols }, pieces());
  expect(weight.parts.map((part) => part.range.size)).toEqual([gpu.maxPartBytes]);
  const y = blank(gpu, 'y', [2, cols]);
  const x = upload(gpu, 'x', [1, cols], last);
  const z = blank(gpu, 'z', [1, rows]);
  await runOnce(gpu, (rec) => {
    embedding(rec, { label: 'embed', slots: slotsOf([rows - 1, 0]), table: weight, y });
    linear(rec, { label: 'linear', x, weight, y: z });
  });
  const got = await download(gpu, y);
  expect(got.subarray(0, cols)).toEqual(last);
  expect(got.subarray(cols).every((v) => v === 0)).toBe(true);
  const products = await download(gpu, z);
  expect(products[rows - 1]).toBeCloseTo(
    last.reduce((sum, v) => sum + v * v, 0),
    1,
  );
  expect(products.subarray(0, rows - 1).every((v) => v === 0)).toBe(true);
  destroyWeight(gpu, weight);
});
