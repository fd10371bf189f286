import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Gpu } from '../../src/gpu/device';
import { Tensor } from '../../src/gpu/tensor';
import { embedding } from '../../src/kernels/embedding';
import { LAYOUTS } from '../../src/kernels/weight-layout';
import {
  destroyWeight,
  uploadWeight,
  type Weight,
  type WeightFormat,
  weightBytes,
  weightFromArray,
} from '../../src/kernels/weights';
import { closeTestGpus, openTestGpu } from '../gpu';
import { blank, download, noise, runOnce, upload } from './attention-support';
import { cut, randomBlocks } from './linear-support';

interface Fixture {
  readonly rows: number;
  readonly cols: number;
  /** Base64 of GGUF blocks and of the f32 values that Python's `gguf` gives them (tests/oracles/gguf_blocks.py). */
  readonly cases: Record<WeightFormat, { readonly blocks: string; readonly values: string }>;
}
const fixture: Fixture = JSON.parse(readFileSync(new URL('data/gguf-blocks.json', import.meta.url), 'utf8'));
const formats = Object.keys(LAYOUTS) as WeightFormat[];
const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'));

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu({ defaultLimits: true });
});
afterAll(closeTestGpus);

/** All rows of a weight as the GPU unpacks them. */
async function unpack(weight: Weight): Promise<Float32Array> {
  const ids = upload(
    gpu,
    'slots',
    [weight.rows],
    Uint32Array.from({ length: weight.rows }, (_, i) => i),
  );
  const slots = new Tensor('slots', ids.shape, 'i32', ids.range);
  const y = blank(gpu, 'y', [weight.rows, weight.cols]);
  await runOnce(gpu, (rec) => embedding(rec, { label: 'unpack', slots, table: weight, y }));
  return download(gpu, y);
}

describe.each(formats)('%s', (format) => {
  const { rows, cols } = fixture;

  it.each([1 << 20, 977, 1])('unpacks to the bits that gguf gives, uploaded in pieces of %i bytes', async (piece) => {
    const { blocks, values } = fixture.cases[format];
    const weight = await uploadWeight(gpu, { label: format, format, rows, cols }, cut(bytesOf(blocks), piece));
    const got = new Uint32Array((await unpack(weight)).buffer as ArrayBuffer);
    const want = new Uint32Array(bytesOf(values).buffer);
    // -0 and 0 are one value: gguf computes d * 0 with either sign.
    const differing = [...want.keys()].filter((i) => got[i] !== want[i] && ((got[i] | want[i]) & 0x7fffffff) !== 0);
    expect(differing).toEqual([]);
    destroyWeight(gpu, weight);
  });

  it('refuses too few and too many bytes and frees what it took', async () => {
    const { blocks } = fixture.cases[format];
    const before = gpu.ledger.current;
    const spec = { label: 'w', format, rows, cols };
    await expect(uploadWeight(gpu, spec, [bytesOf(blocks).subarray(1)])).rejects.toThrow('fewer bytes');
    await expect(uploadWeight(gpu, spec, [bytesOf(blocks), new Uint8Array(1)])).rejects.toThrow('more bytes');
    expect(gpu.ledger.current).toBe(before);
  });

  it('takes the bytes it says', async () => {
    const before = gpu.ledger.byPurpose().weights ?? 0;
    const weight = await uploadWeight(gpu, { label: 'w', format, rows: 5, cols: 256 }, [
      randomBlocks(format, 5, 256, 1),
    ]);
    expect((gpu.ledger.byPurpose().weights ?? 0) - before).toBe(weightBytes(format, 5, 256));
    destroyWeight(gpu, weight);
    expect(gpu.ledger.byPurpose().weights ?? 0).toBe(before);
  });
});

it('refuses a width that is not whole blocks', async () => {
  await expect(uploadWeight(gpu, { label: 'w', format: 'Q4_K', rows: 1, cols: 128 }, [])).rejects.toThrow(
    'whole Q4_K blocks',
  );
});

it('pads rows of odd width', async () => {
  const values = noise(3 * 37, 1);
  const weight = weightFromArray(gpu, 'odd', values, 3, 37);
  expect(await unpack(weight)).toEqual(values);
  destroyWeight(gpu, weight);
});

it('splits by rows what exceeds a binding', async () => {
  const small = Object.create(gpu, { maxPartBytes: { value: 4096 } }) as Gpu;
  const bytes = randomBlocks('Q4_0', 50, 256, 3);
  const whole = await uploadWeight(gpu, { label: 'whole', format: 'Q4_0', rows: 50, cols: 256 }, [bytes]);
  const split = await uploadWeight(small, { label: 'split', format: 'Q4_0', rows: 50, cols: 256 }, cut(bytes, 1000));
  expect(whole.parts.length).toBe(1);
  expect(split.parts.length).toBeGreaterThan(1);
  expect(split.parts.every((part) => part.range.size <= 4096)).toBe(true);
  expect(split.parts.reduce((sum, part) => sum + part.rows, 0)).toBe(50);
  expect(await unpack(split)).toEqual(await unpack(whole));
});
