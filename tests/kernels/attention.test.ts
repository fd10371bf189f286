import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { KernelChoices } from '../../src/gpu/choices';
import type { Gpu } from '../../src/gpu/device';
import type { Tensor } from '../../src/gpu/tensor';
import { type AttentionMask, attention, cachedAttention, canBroadcast } from '../../src/kernels/attention';
import { decodeAttention } from '../../src/kernels/attention-decode';
import type { RowsOperand } from '../../src/kernels/columns';
import { createKvCache, type KvFormat, kvStore } from '../../src/kernels/kv-cache';
import { createRopeTable, type RopeConvention, rope } from '../../src/kernels/rope';
import { createStep, writeStep } from '../../src/kernels/step';
import { expectClose } from '../goldens/golden';
import { closeTestGpus, isFurtherDriver, openNarrowTestGpu } from '../gpu';
import {
  blank,
  download,
  noise,
  referenceAttention,
  referenceRope,
  roundToHalf,
  runOnce,
  upload,
} from './attention-support';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openNarrowTestGpu({ defaultLimits: true });
});
afterAll(closeTestGpus);

type Variant = KernelChoices['attention'];
const NONE: AttentionMask = { causal: false, hideSlot0: false };
const CAUSAL: AttentionMask = { causal: true, hideSlot0: false };
const LAVIN: AttentionMask = { causal: true, hideSlot0: true };

/** Sums of a few hundred products in f32; scores near 1, outputs near 1. */
const TOLERANCE = 2e-5;

/** `broadcast` wants subgroups of 4 or 8 lanes: both software adapters have them, most GPUs do not. */
function skipUnlessPossible(variant: Variant, skip: (why: string) => void): void {
  if (variant === 'broadcast' && !canBroadcast(gpu)) skip('this adapter has no subgroups of 4 or 8 lanes');
}

// A kernel takes a CPU driver seconds to compile and milliseconds to run, and is another for each width of a head: widths are
// shared where a case is about something else.
describe.each<Variant>(['thread', 'broadcast', 'workgroup'])('attention, %s', (variant) => {
  beforeEach(({ skip }) => skipUnlessPossible(variant, skip));

  const cases: [
    string,
    { batch: number; length: number; heads: number; kvHeads: number; headDim: number },
    AttentionMask,
  ][] = [
    ['one head, one row', { batch: 1, length: 1, heads: 1, kvHeads: 1, headDim: 8 }, LAVIN],
    ['ViT-like, no mask', { batch: 2, length: 7, heads: 3, kvHeads: 3, headDim: 24 }, NONE],
    ['257 patches', { batch: 1, length: 257, heads: 2, kvHeads: 2, headDim: 64 }, NONE],
    [
      'no mask, slot 0 hidden',
      { batch: 1, length: 9, heads: 1, kvHeads: 1, headDim: 8 },
      { causal: false, hideSlot0: true },
    ],
    ['causal', { batch: 3, length: 64, heads: 2, kvHeads: 1, headDim: 48 }, CAUSAL],
    ['LaVIN, two groups of 3 heads', { batch: 2, length: 33, heads: 6, kvHeads: 2, headDim: 80 }, LAVIN],
    ['heads of 256', { batch: 1, length: 21, heads: 2, kvHeads: 1, headDim: 256 }, LAVIN],
    ['heads of 10, no whole quads', { batch: 2, length: 21, heads: 2, kvHeads: 1, headDim: 10 }, LAVIN],
    ['heads of 9, odd columns', { batch: 1, length: 12, heads: 3, kvHeads: 1, headDim: 9 }, CAUSAL],
  ];
  if (!isFurtherDriver) {
    cases.push(
      ['LaVIN, 300 rows', { batch: 1, length: 300, heads: 2, kvHeads: 2, headDim: 48 }, LAVIN],
      ['heads of 128', { batch: 1, length: 40, heads: 5, kvHeads: 1, headDim: 128 }, CAUSAL],
    );
  }

  it.each(cases)('%s', async (_name, { batch, length, heads, kvHeads, headDim }, mask) => {
    const rows = batch * length;
    const q = noise(rows * heads * headDim, 1);
    const k = noise(rows * kvHeads * headDim, 2);
    const v = noise(rows * kvHeads * headDim, 3);
    const want = referenceAttention({ batch, length, keys: length, heads, kvHeads, headDim, ...mask }, q, k, v);
    const operands = {
      q: upload(gpu, 'q', [rows, heads * headDim], q),
      k: upload(gpu, 'k', [rows, kvHeads * headDim], k),
      v: upload(gpu, 'v', [rows, kvHeads * headDim], v),
    };
    const packed = upload(gpu, 'qkv', [rows, (heads + 2 * kvHeads) * headDim], sideBySide(rows, [q, k, v]));
    const columns = {
      q: { tensor: packed, column: 0 },
      k: { tensor: packed, column: heads * headDim },
      v: { tensor: packed, column: (heads + kvHeads) * headDim },
    };
    // By turns: both kinds of operands meet whole and broken quads, masks and groups.
    const inputs = length % 2 === 0 ? columns : operands;
    const y = blank(gpu, 'y', [rows, heads * headDim]);
    const logsumexp = blank(gpu, 'lse', [rows, heads]);
    const options = { label: 'attention', ...inputs, y, heads, kvHeads, headDim, batch, length, mask, logsumexp };
    await runOnce(gpu, (rec) => attention(rec, options), { attention: variant });
    expectClose('y', await download(gpu, y), want.y, TOLERANCE);
    expectClose('logsumexp', await download(gpu, logsumexp), want.logsumexp, TOLERANCE);
  });

  it('scores in the hundreds: only differences from the true maximum stay finite', async () => {
    const shape = { batch: 1, length: 37, keys: 37, heads: 2, kvHeads: 2, headDim: 64, ...CAUSAL };
    const [q, k, v] = [1, 2, 3].map((seed) => noise(37 * 128, seed));
    q.forEach((value, i) => {
      q[i] = value * 75;
    });
    const y = blank(gpu, 'y', [37, 128]);
    const logsumexp = blank(gpu, 'lse', [37, 2]);
    const [qTensor, kTensor, vTensor] = [q, k, v].map((values, i) => upload(gpu, 'qkv'[i], [37, 128], values));
    const operands = { label: 'large', q: qTensor, k: kTensor, v: vTensor, ...shape, mask: CAUSAL, y, logsumexp };
    await runOnce(gpu, (rec) => attention(rec, operands), { attention: variant });
    const want = referenceAttention(shape, q, k, v);
    expect(Math.max(...want.logsumexp)).toBeGreaterThan(200);
    // Scores of 500 carry an f32 rounding of 3e-5, which the exponent makes relative.
    expectClose('y', await download(gpu, y), want.y, 5e-4);
    expectClose('logsumexp', await download(gpu, logsumexp), want.logsumexp, 5e-4);
  });

  it('more keys than queries, many samples', async () => {
    const shape = { batch: 5, length: 3, keys: 11, heads: 2, kvHeads: 1, headDim: 8, ...NONE };
    const q = noise(5 * 3 * 16, 4);
    const k = noise(5 * 11 * 8, 5);
    const v = noise(5 * 11 * 8, 6);
    const y = blank(gpu, 'y', [15, 16]);
    const operands = {
      q: upload(gpu, 'q', [15, 16], q),
      k: upload(gpu, 'k', [55, 8], k),
      v: upload(gpu, 'v', [55, 8], v),
    };
    await runOnce(gpu, (rec) => attention(rec, { label: 'cross', ...operands, ...shape, mask: NONE, y }), {
      attention: variant,
    });
    expectClose('y', await download(gpu, y), referenceAttention(shape, q, k, v).y, TOLERANCE);
  });

  it('large scores neither overflow nor vanish', async () => {
    const shape = { batch: 1, length: 40, keys: 40, heads: 1, kvHeads: 1, headDim: 8, ...LAVIN };
    const q = noise(320, 7).map((x) => x * 60);
    const k = noise(320, 8).map((x) => x * 60);
    const v = noise(320, 9);
    const y = blank(gpu, 'y', [40, 8]);
    const operands = {
      q: upload(gpu, 'q', [40, 8], q),
      k: upload(gpu, 'k', [40, 8], k),
      v: upload(gpu, 'v', [40, 8], v),
    };
    await runOnce(gpu, (rec) => attention(rec, { label: 'large', ...operands, ...shape, mask: LAVIN, y }), {
      attention: variant,
    });
    // Scores reach 1e4, where f32 resolves 1e-3.
    expectClose('y', await download(gpu, y), referenceAttention(shape, q, k, v).y, 1e-2);
  });

  it('long launches are cut by rows and still cover every row', async () => {
    const shape = { batch: 1, length: 1100, keys: 1100, heads: 2, kvHeads: 1, headDim: 128 };
    const q = noise(1100 * 256, 10);
    const k = noise(1100 * 128, 11);
    const v = noise(1100 * 128, 12);
    const y = blank(gpu, 'y', [1100, 256]);
    const operands = {
      q: upload(gpu, 'q', [1100, 256], q),
      k: upload(gpu, 'k', [1100, 128], k),
      v: upload(gpu, 'v', [1100, 128], v),
    };
    let launches = 0;
    await runOnce(
      gpu,
      (rec) => {
        attention(rec, { label: 'long', ...operands, ...shape, mask: CAUSAL, y });
        launches = rec.length;
      },
      { attention: variant },
    );
    expect(launches).toBeGreaterThan(1);
    expectClose('y', await download(gpu, y), referenceAttention({ ...shape, ...CAUSAL }, q, k, v).y, TOLERANCE);
  });

  describe.each<KvFormat>(['f32', 'f16'])('cached, %s', (format) => {
    // rows of the plan's bucket, live ones, start
    const shapes: [number, number, number, number, number, number, boolean][] = [
      [12, 5, 1, 2, 1, 10, true],
      [9, 9, 248, 2, 1, 128, false],
    ];
    if (format === 'f32' || !isFurtherDriver) shapes.push([64, 64, 37, 3, 1, 64, true]);
    if (format === 'f32') shapes.push([7, 7, 0, 3, 1, 24, true], [9, 3, 60, 2, 1, 256, true], [3, 2, 5, 3, 3, 9, true]);
    if (!isFurtherDriver)
      shapes.push([1, 1, 0, 1, 1, 10, false], [16, 9, 0, 2, 2, 64, true], [20, 20, 280, 2, 1, 128, false]);
    it.each(shapes)(
      '%i rows, %i live, start %i; %i heads to %i of %i; slot 0 hidden: %s',
      async (rows, live, start, heads, kvHeads, headDim, hideSlot0) => {
        const capacity = 300;
        const keys = start + live;
        const history = historyOf(keys, kvHeads, headDim);
        const q = noise(rows * heads * headDim, 23);
        const { layers, destroy } = createKvCache(gpu, { layers: 1, capacity, kvHeads, headDim, format });
        // What an abandoned answer left behind the live keys may be anything: all bits set is NaN in both formats.
        const { buffer, offset, size } = layers[0].cache.range!;
        gpu.device.queue.writeBuffer(buffer, offset, new Uint8Array(size).fill(0xff));
        const step = createStep(gpu);
        if (start > 0) {
          writeStep(gpu, step, { rows: start, start: 0 });
          await store(history.k, history.v, start, step, layers[0]);
        }
        writeStep(gpu, step, { rows: live, start });
        const width = kvHeads * headDim;
        // Rows past the live ones hold values that must reach neither the cache nor the result.
        const k = padRows(history.k.slice(start * width), rows, width);
        const v = padRows(history.v.slice(start * width), rows, width);
        const y = blank(gpu, 'y', [rows, heads * headDim]);
        const qTensor = upload(gpu, 'q', [rows, heads * headDim], q);
        const [kTensor, vTensor] = [upload(gpu, 'k', [rows, width], k), upload(gpu, 'v', [rows, width], v)];
        const mask = { causal: true, hideSlot0 };
        await runOnce(
          gpu,
          (rec) => {
            kvStore(rec, { label: 'store', k: kTensor, v: vTensor, cache: layers[0], step });
            cachedAttention(rec, { label: 'cached', q: qTensor, cache: layers[0], step, y, heads, mask });
          },
          { attention: variant },
        );
        const seen = format === 'f16' ? { k: roundToHalf(history.k), v: roundToHalf(history.v) } : history;
        const shape = { batch: 1, length: live, keys, heads, kvHeads, headDim, ...mask, start };
        const want = new Float64Array(rows * heads * headDim);
        want.set(referenceAttention(shape, q, seen.k, seen.v).y);
        expectClose('y', await download(gpu, y), want, TOLERANCE);
        // Of two keys and values per live row nothing but the poison lies behind.
        const words = new Uint32Array(await gpu.read(layers[0].cache.range!));
        const perRow = (2 * kvHeads * Math.ceil(headDim / 4) * 4) / (format === 'f16' ? 2 : 1);
        expect(words.filter((word) => word === 0xffffffff)).toHaveLength((capacity - keys) * perRow);
        destroy();
      },
    );
  });
});

describe.each<Variant>(['thread', 'broadcast', 'workgroup', 'subgroup'])('decode, %s', (variant) => {
  beforeEach(({ skip }) => skipUnlessPossible(variant, skip));

  const cases: [number, number, number, number, number, KvFormat, RopeConvention, boolean, number | undefined][] = [
    // start, heads, kvHeads, headDim, ropeDim, format, convention, hideSlot0, bucket
    [0, 1, 1, 8, 8, 'f32', 'interleaved', false, undefined],
    [1, 3, 1, 64, 64, 'f32', 'half', true, undefined],
    [6, 4, 2, 24, 24, 'f32', 'half', true, 16],
    [64, 7, 7, 80, 80, 'f16', 'interleaved', true, 65],
    [129, 2, 1, 256, 64, 'f32', 'interleaved', true, undefined],
    [256, 3, 1, 10, 6, 'f32', 'half', true, undefined],
    [299, 9, 3, 64, 64, 'f16', 'interleaved', true, undefined],
    [257, 22, 2, 36, 36, 'f32', 'interleaved', true, undefined],
  ];
  if (!isFurtherDriver) {
    cases.push(
      [63, 5, 1, 48, 32, 'f32', 'half', true, undefined],
      [128, 8, 2, 128, 128, 'f16', 'half', true, undefined],
      [20, 3, 1, 10, 6, 'f32', 'half', true, 32],
      [299, 16, 1, 64, 64, 'f32', 'interleaved', true, undefined],
    );
  }
  it.each(cases)(
    'start %i, %i heads to %i of %i (%i turn), %s, %s, slot 0 hidden: %s, bucket %s',
    async (start, heads, kvHeads, headDim, ropeDim, format, convention, hideSlot0, bucket) => {
      const capacity = 300;
      const width = kvHeads * headDim;
      const history = historyOf(start, kvHeads, headDim);
      const place = start + 3;
      const table = createRopeTable(gpu, { headDim, ropeDim, base: 10000, positions: capacity + 8, convention });
      const positions = upload(gpu, 'positions', [4], Uint32Array.of(place, 0, 0, 0));
      const step = createStep(gpu);
      const [q, k, v] = [noise(heads * headDim, 31), noise(width, 32), noise(width, 33)];
      const separate = {
        q: upload(gpu, 'q', [1, heads * headDim], q),
        k: upload(gpu, 'k', [1, width], k),
        v: upload(gpu, 'v', [1, width], v),
      };
      const packedTensor = upload(gpu, 'qkv', [1, heads * headDim + 2 * width], sideBySide(1, [q, k, v]));
      const packed = {
        q: { tensor: packedTensor, column: 0 },
        k: { tensor: packedTensor, column: heads * headDim },
        v: { tensor: packedTensor, column: heads * headDim + width },
      };
      const freshCache = async () => {
        const made = createKvCache(gpu, { layers: 1, capacity, kvHeads, headDim, format });
        if (start > 0) {
          writeStep(gpu, step, { rows: start, start: 0 });
          await store(history.k, history.v, start, step, made.layers[0]);
        }
        writeStep(gpu, step, { rows: 1, start });
        return made;
      };
      const mask = { causal: true, hideSlot0 };

      // What an f16 cache holds of a turned key may round the other way than f64 says: there the row path, on the same cache,
      // is the closer reference. (It has tests of its own above, and its kernels take longest to compile.)
      const primitive = await freshCache();
      const byRows = format === 'f16' ? blank(gpu, 'y by rows', [1, heads * headDim]) : undefined;
      await runOnce(
        gpu,
        (rec) => {
          const turnedK = rec.tensor('turned k', [1, width]);
          const cache = primitive.layers[0];
          rope(rec, { label: 'rope k', x: separate.k, y: turnedK, positions, table, heads: kvHeads, headDim });
          kvStore(rec, { label: 'store', k: turnedK, v: separate.v, cache, step });
          if (!byRows) return;
          const turnedQ = rec.tensor('turned q', [1, heads * headDim]);
          rope(rec, { label: 'rope q', x: separate.q, y: turnedQ, positions, table, heads, headDim });
          cachedAttention(rec, { label: 'cached', q: turnedQ, cache, step, y: byRows, heads, mask });
        },
        { attention: 'workgroup' },
      );
      const wantCache = new Uint32Array(await gpu.read(primitive.layers[0].cache.range!));

      const frequencies = Float64Array.from({ length: ropeDim / 2 }, (_, i) => 10000 ** ((-2 * i) / ropeDim));
      const turn = (x: Float32Array, count: number) =>
        Float32Array.from(referenceRope(x, [place], frequencies, { heads: count, headDim, convention }));
      const round = format === 'f16' ? roundToHalf : (x: Float32Array) => x;
      const keys = round(sideBySide(1, [history.k, turn(k, kvHeads)]));
      const values = round(sideBySide(1, [history.v, v]));
      const shape = { batch: 1, length: 1, keys: start + 1, heads, kvHeads, headDim, ...mask, start };
      const reference = referenceAttention(shape, turn(q, heads), keys, values).y;

      const inputs = start % 2 === 0 ? packed : separate;
      const fused = await freshCache();
      const y = blank(gpu, 'y', [1, heads * headDim]);
      let launches = 0;
      await runOnce(
        gpu,
        (rec) => {
          decodeAttention(rec, {
            label: 'decode',
            ...inputs,
            positions,
            table,
            cache: fused.layers[0],
            step,
            y,
            heads,
            mask,
            bucket,
          });
          launches = rec.length;
        },
        { attention: variant },
      );
      expect(launches).toBeLessThanOrEqual(2);
      const got = await download(gpu, y);
      expectClose('against f64', got, reference, format === 'f16' ? 2e-4 : TOLERANCE);
      if (byRows) expectClose('against the row path', got, await download(gpu, byRows), TOLERANCE);
      const cacheNow = new Uint32Array(await gpu.read(fused.layers[0].cache.range!));
      expect(differingWords(cacheNow, wantCache)).toBe(0);
      fused.destroy();
      primitive.destroy();
      table.destroy();
    },
  );

  it('scores in the hundreds, over several splits', async () => {
    const [start, heads, headDim, capacity] = [290, 2, 32, 300];
    const width = heads * headDim;
    const table = createRopeTable(gpu, { headDim, base: 10000, positions: capacity, convention: 'half' });
    const { layers, destroy } = createKvCache(gpu, { layers: 1, capacity, kvHeads: heads, headDim, format: 'f32' });
    const history = historyOf(start, heads, headDim);
    const step = createStep(gpu);
    writeStep(gpu, step, { rows: start, start: 0 });
    await store(history.k, history.v, start, step, layers[0]);
    writeStep(gpu, step, { rows: 1, start });
    // Position 0 turns nothing.
    const positions = upload(gpu, 'positions', [4], Uint32Array.of(0, 0, 0, 0));
    const [q, k, v] = [noise(width, 31).map((value) => value * 150), noise(width, 32), noise(width, 33)];
    const [qTensor, kTensor, vTensor] = [q, k, v].map((values, i) => upload(gpu, 'qkv'[i], [1, width], values));
    const y = blank(gpu, 'y', [1, width]);
    const operands = { q: qTensor, k: kTensor, v: vTensor, positions, table, cache: layers[0], step, y, heads };
    await runOnce(gpu, (rec) => decodeAttention(rec, { label: 'loud', ...operands, mask: CAUSAL }), {
      attention: variant,
    });
    const shape = { batch: 1, length: 1, keys: start + 1, heads, kvHeads: heads, headDim, ...CAUSAL, start };
    const want = referenceAttention(shape, q, sideBySide(1, [history.k, k]), sideBySide(1, [history.v, v]));
    expect(Math.max(...want.logsumexp)).toBeGreaterThan(200);
    expectClose('y', await download(gpu, y), want.y, 5e-4);
    destroy();
    table.destroy();
  });

  it('a key past the capacity is stored nowhere', async () => {
    // No multiple of 8: the last split has room behind the capacity.
    const [heads, headDim, capacity] = [2, 8, 20];
    const table = createRopeTable(gpu, { headDim, base: 10000, positions: 32, convention: 'half' });
    const { layers, destroy } = createKvCache(gpu, { layers: 1, capacity, kvHeads: heads, headDim, format: 'f32' });
    const step = createStep(gpu);
    writeStep(gpu, step, { rows: 1, start: capacity });
    const positions = upload(gpu, 'positions', [4], Uint32Array.of(0, 0, 0, 0));
    const row = upload(gpu, 'qkv', [1, 3 * heads * headDim], noise(3 * heads * headDim, 31));
    const [q, k, v] = [0, 1, 2].map((i) => ({ tensor: row, column: i * heads * headDim }));
    const y = blank(gpu, 'y', [1, heads * headDim]);
    const operands = { q, k, v, positions, table, cache: layers[0], step, y, heads, mask: CAUSAL };
    await runOnce(gpu, (rec) => decodeAttention(rec, { label: 'past', ...operands }), { attention: variant });
    expect(new Float32Array(await gpu.read(layers[0].cache.range!)).every((value) => value === 0)).toBe(true);
    destroy();
    table.destroy();
  });

  it('follows the step buffer through a replayed plan, past split borders', async () => {
    const [heads, kvHeads, headDim, capacity] = [4, 2, 16, 280];
    const width = kvHeads * headDim;
    const table = createRopeTable(gpu, { headDim, base: 500, positions: capacity, convention: 'half' });
    const { layers, destroy } = createKvCache(gpu, { layers: 1, capacity, kvHeads, headDim, format: 'f32' });
    const history = historyOf(capacity, kvHeads, headDim);
    const step = createStep(gpu);
    writeStep(gpu, step, { rows: capacity, start: 0 });
    await store(history.k, history.v, capacity, step, layers[0]);
    const turned = Float32Array.from(history.k);
    const [q, k, v] = [noise(heads * headDim, 41), noise(width, 42), noise(width, 43)];
    const positions = upload(gpu, 'positions', [4], Uint32Array.of(0, 0, 0, 0));
    const operands = {
      q: upload(gpu, 'q', [1, heads * headDim], q),
      k: upload(gpu, 'k', [1, width], k),
      v: upload(gpu, 'v', [1, width], v),
    };
    const y = blank(gpu, 'y', [1, heads * headDim]);
    const frequencies = Float64Array.from({ length: headDim / 2 }, (_, i) => 500 ** ((-2 * i) / headDim));
    // Ascending, so that keys written by a step are overwritten in the reference too.
    for (const start of [0, 1, 127, 128, 129, 255, 256, 279]) {
      writeStep(gpu, step, { rows: 1, start });
      gpu.device.queue.writeBuffer(positions.range!.buffer, 0, Uint32Array.of(start));
      await runOnce(
        gpu,
        (rec) =>
          decodeAttention(rec, {
            label: 'decode',
            ...operands,
            positions,
            table,
            cache: layers[0],
            step,
            y,
            heads,
            mask: LAVIN,
          }),
        { attention: variant },
      );
      const options = { headDim, convention: 'half' as const };
      turned.set(referenceRope(k, [start], frequencies, { heads: kvHeads, ...options }), start * width);
      history.v.set(v, start * width);
      const turnedQ = referenceRope(q, [start], frequencies, { heads, ...options });
      const shape = { batch: 1, length: 1, keys: start + 1, heads, kvHeads, headDim, ...LAVIN, start };
      expectClose(
        `start ${start}`,
        await download(gpu, y),
        referenceAttention(shape, turnedQ, turned, history.v).y,
        TOLERANCE,
      );
    }
    destroy();
    table.destroy();
  });
});

describe('limits and misuse', () => {
  it('refuses a cache that one binding cannot hold, and says what fits', () => {
    const options = { layers: 1, capacity: 8192, kvHeads: 32, headDim: 128, format: 'f32' as const };
    expect(() => createKvCache(gpu, options)).toThrow(/4096 or less, or f16/);
  });

  it('counts cache bytes in the ledger and gives them back', () => {
    const before = gpu.ledger.byPurpose()['kv-cache'] ?? 0;
    const cache = createKvCache(gpu, { layers: 3, capacity: 10, kvHeads: 2, headDim: 6, format: 'f16' });
    expect(cache.bytes).toBe(3 * 2 * 2 * 10 * 8 * 2);
    expect(gpu.ledger.byPurpose()['kv-cache']).toBe(before + cache.bytes);
    cache.destroy();
    expect(gpu.ledger.byPurpose()['kv-cache'] ?? 0).toBe(before);
  });

  it('kvStore never writes past the capacity', async () => {
    const { layers, destroy } = createKvCache(gpu, { layers: 1, capacity: 8, kvHeads: 1, headDim: 4, format: 'f32' });
    const step = createStep(gpu);
    writeStep(gpu, step, { rows: 4, start: 6 });
    await store(noise(16, 1), noise(16, 2).fill(2), 4, step, layers[0]);
    const values = (await download(gpu, layers[0].cache)).slice(32);
    expect([...values]).toEqual([...new Array(24).fill(0), ...new Array(8).fill(2)]);
    destroy();
  });

  it('names what does not fit together', async () => {
    const q = upload(gpu, 'q', [2, 12], noise(24, 1));
    const y = blank(gpu, 'y', [2, 12]);
    const shape = { label: 'odd', y, headDim: 4, batch: 1, length: 2, mask: NONE };
    const attempt = (options: { q: RowsOperand; k: RowsOperand; v: RowsOperand; heads: number; kvHeads: number }) =>
      runOnce(gpu, (rec) => attention(rec, { ...shape, ...options }));
    const k = upload(gpu, 'k', [2, 8], noise(16, 1));
    const v = upload(gpu, 'v', [2, 8], noise(16, 1));
    await expect(attempt({ q, k, v, heads: 3, kvHeads: 2 })).rejects.toThrow(/3 heads cannot share 2/);
    await expect(attempt({ q, k, v: k, heads: 3, kvHeads: 1 })).rejects.toThrow(/three tensors or columns of one/);
    await expect(attempt({ q, k: { tensor: k, column: 6 }, v, heads: 3, kvHeads: 1 })).rejects.toThrow(/8 columns/);
  });
});

function historyOf(keys: number, kvHeads: number, headDim: number) {
  return { k: noise(keys * kvHeads * headDim, 21), v: noise(keys * kvHeads * headDim, 22) };
}

async function store(
  k: Float32Array,
  v: Float32Array,
  rows: number,
  step: Tensor,
  cache: Parameters<typeof kvStore>[1]['cache'],
): Promise<void> {
  const width = cache.kvHeads * cache.headDim;
  const kTensor = upload(gpu, 'k', [rows, width], k.slice(0, rows * width));
  const vTensor = upload(gpu, 'v', [rows, width], v.slice(0, rows * width));
  await runOnce(gpu, (rec) => kvStore(rec, { label: 'store', k: kTensor, v: vTensor, cache, step }));
}

/** Joins [rows, n_i] parts along columns. */
function sideBySide(rows: number, parts: readonly Float32Array[]): Float32Array {
  const widths = parts.map((part) => part.length / rows);
  const out = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (let row = 0; row < rows; row++) {
    parts.forEach((part, i) => {
      out.set(part.subarray(row * widths[i], (row + 1) * widths[i]), at);
      at += widths[i];
    });
  }
  return out;
}

function padRows(values: Float32Array, rows: number, width: number): Float32Array {
  const out = new Float32Array(rows * width).fill(1e6);
  out.set(values.subarray(0, rows * width));
  return out;
}

function differingWords(a: Uint32Array, b: Uint32Array): number {
  return a.reduce((count, word, i) => count + (word === b[i] ? 0 : 1), 0);
}
