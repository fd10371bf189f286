import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Gpu } from '../../src/gpu/device';
import { createRopeTable, type RopeConvention, rope, ropeFrequencies } from '../../src/kernels/rope';
import { expectClose } from '../goldens/golden';
import { closeTestGpus, openTestGpu } from '../gpu';
import { blank, download, noise, referenceRope, runOnce, upload } from './attention-support';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu({ defaultLimits: true });
});
afterAll(closeTestGpus);

describe.each<RopeConvention>(['interleaved', 'half'])('rope, %s', (convention) => {
  it.each([
    [1, 1, 2, 2],
    [1, 1, 8, 8],
    [7, 3, 24, 24],
    [5, 2, 80, 32],
    [64, 5, 64, 64],
    [3, 2, 256, 128],
    [2, 3, 10, 6],
  ])('%i rows, %i heads of %i, %i channels turn', async (rows, heads, headDim, ropeDim) => {
    const places = Uint32Array.from({ length: rows }, (_, i) => (i * 37) % 100);
    const x = noise(rows * heads * headDim, 1);
    const table = createRopeTable(gpu, { headDim, ropeDim, base: 10000, positions: 100, convention });
    const frequencies = ropeFrequencies({ headDim, ropeDim, base: 10000 });
    const want = referenceRope(x, places, frequencies, { heads, headDim, convention });
    const positions = upload(gpu, 'positions', [rows], places);
    const from = upload(gpu, 'x', [rows, heads * headDim], x);
    const y = blank(gpu, 'y', [rows, heads * headDim]);
    const options = { label: 'rope', positions, table, heads, headDim };
    await runOnce(gpu, (rec) => rope(rec, { ...options, x: from, y }));
    expectClose('y', await download(gpu, y), want, 1e-6);
    // In place, and back again.
    await runOnce(gpu, (rec) => rope(rec, { ...options, x: from }));
    expectClose('in place', await download(gpu, from), want, 1e-6);
    await runOnce(gpu, (rec) => rope(rec, { ...options, x: from, inverse: true }));
    expectClose('inverse', await download(gpu, from), x, 2e-6);
    table.destroy();
  });

  it('holds 1e-6 at the last of 8192 positions', async () => {
    const [heads, headDim] = [2, 64];
    const places = Uint32Array.of(8191, 8190, 4097, 0);
    const x = noise(4 * heads * headDim, 2);
    const table = createRopeTable(gpu, { headDim, base: 10000, positions: 8192, convention });
    const y = blank(gpu, 'y', [4, heads * headDim]);
    const positions = upload(gpu, 'positions', [4], places);
    const from = upload(gpu, 'x', [4, heads * headDim], x);
    await runOnce(gpu, (rec) => rope(rec, { label: 'far', x: from, y, positions, table, heads, headDim }));
    const frequencies = ropeFrequencies({ headDim, base: 10000 });
    expectClose(
      'y',
      await download(gpu, y),
      referenceRope(x, places, frequencies, { heads, headDim, convention }),
      1e-6,
    );
    table.destroy();
  });

  it('turns q and k inside a packed tensor and leaves v alone; positions repeat per sample', async () => {
    const [batch, length, heads, kvHeads, headDim] = [2, 3, 3, 1, 8];
    const width = (heads + 2 * kvHeads) * headDim;
    const packed = noise(batch * length * width, 3);
    const places = Uint32Array.of(5, 6, 9);
    const table = createRopeTable(gpu, { headDim, base: 10000, positions: 16, convention });
    const tensor = upload(gpu, 'qkv', [batch * length, width], packed);
    const positions = upload(gpu, 'positions', [length], places);
    const x = { tensor, column: 0 };
    await runOnce(gpu, (rec) => rope(rec, { label: 'packed', x, positions, table, heads: heads + kvHeads, headDim }));
    const all = referenceRope(packed, places, ropeFrequencies({ headDim, base: 10000 }), {
      heads: width / headDim,
      headDim,
      convention,
    });
    const turned = (heads + kvHeads) * headDim;
    const want = packed.map((value, i) => (i % width < turned ? all[i] : value));
    expectClose('packed', await download(gpu, tensor), want, 1e-6);
    table.destroy();
  });

  it('from columns of one tensor into other columns of another', async () => {
    const [rows, heads, headDim] = [4, 2, 8];
    const from = noise(rows * 24, 5);
    const places = Uint32Array.of(0, 3, 4, 9);
    const table = createRopeTable(gpu, { headDim, base: 10000, positions: 16, convention });
    const x = upload(gpu, 'x', [rows, 24], from);
    const y = upload(gpu, 'y', [rows, 40], new Float32Array(rows * 40).fill(7));
    const positions = upload(gpu, 'positions', [rows], places);
    const operands = { x: { tensor: x, column: 8 }, y: { tensor: y, column: 16 } };
    await runOnce(gpu, (rec) => rope(rec, { label: 'columns', ...operands, positions, table, heads, headDim }));
    const part = Float32Array.from({ length: rows * 16 }, (_, i) => from[Math.floor(i / 16) * 24 + 8 + (i % 16)]);
    const turned = referenceRope(part, places, ropeFrequencies({ headDim, base: 10000 }), {
      heads,
      headDim,
      convention,
    });
    const want = Float64Array.from({ length: rows * 40 }, (_, i) => {
      const column = i % 40;
      return column >= 16 && column < 32 ? turned[Math.floor(i / 40) * 16 + column - 16] : 7;
    });
    expectClose('columns', await download(gpu, y), want, 1e-6);
    table.destroy();
  });
});

describe('frequencies', () => {
  it('follow the base', () => {
    expectClose('base', ropeFrequencies({ headDim: 8, base: 10000 }), [1, 0.1, 0.01, 0.001], 1e-15);
    expectClose('part', ropeFrequencies({ headDim: 64, ropeDim: 4, base: 100 }), [1, 0.1], 1e-15);
  });

  it('are divided by linear scaling and by GGUF factors', () => {
    const scaling = { kind: 'linear', factor: 4 } as const;
    expectClose('linear', ropeFrequencies({ headDim: 4, base: 100, scaling }), [0.25, 0.025], 1e-15);
    const factors = { kind: 'factors', factors: [1, 8] } as const;
    expectClose('factors', ropeFrequencies({ headDim: 4, base: 100, scaling: factors }), [1, 0.1 / 8], 1e-15);
    expect(() => ropeFrequencies({ headDim: 8, base: 100, scaling: factors })).toThrow(/2 factors; 4 are wanted/);
  });

  it('follow Llama 3.1, as transformers computes them', () => {
    const scaling = {
      kind: 'llama3',
      factor: 8,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalContext: 8192,
    } as const;
    const got = ropeFrequencies({ headDim: 64, base: 500000, scaling });
    // transformers ROPE_INIT_FUNCTIONS['llama3'] (f32) with the same parameters, pairs 0, 8, 14 to 18 and 31.
    const want = [
      [0, 1],
      [8, 0.03760603070259094],
      [14, 0.0032114461064338684],
      [15, 0.0013718936825171113],
      [16, 0.0005248460220173001],
      [17, 0.0001785077911335975],
      [18, 7.784655463183299e-5],
      [31, 3.76732259610435e-7],
    ];
    for (const [i, frequency] of want) expect(Math.abs(got[i] / frequency - 1)).toBeLessThan(2e-6);
  });

  it('refuses what cannot turn', () => {
    expect(() => ropeFrequencies({ headDim: 8, ropeDim: 10, base: 1e4 })).toThrow(/10 of 8/);
    expect(() => ropeFrequencies({ headDim: 8, ropeDim: 3, base: 1e4 })).toThrow(/even/);
  });
});
