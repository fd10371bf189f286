import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { KernelChoices } from '../../src/gpu/choices';
import type { Gpu } from '../../src/gpu/device';
import { attention, cachedAttention, canBroadcast } from '../../src/kernels/attention';
import { decodeAttention } from '../../src/kernels/attention-decode';
import { createKvCache, type KvFormat, kvStore } from '../../src/kernels/kv-cache';
import { createRopeTable, type RopeConvention, rope } from '../../src/kernels/rope';
import { createStep, writeStep } from '../../src/kernels/step';
import { closeTestGpus, openTestGpu } from '../gpu';
import { blank, download, runOnce, upload } from '../kernels/attention-support';
import { type Golden, loadGolden } from './golden';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu({ defaultLimits: true });
});
afterAll(closeTestGpus);

interface Case {
  readonly golden: Golden;
  readonly batch: number;
  readonly length: number;
  readonly keys: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

function caseOf(name: string): Case {
  const golden = loadGolden(name);
  const [batch, length, heads, headDim] = golden.shape('in.q');
  const [, keys, kvHeads] = golden.shape('in.k');
  return { golden, batch, length, keys, heads, kvHeads, headDim };
}

/** The kernels take LaVIN's mask by name: the case's own must be it, element by element. */
function expectLavinMask(golden: Golden, length: number): void {
  const want = Array.from({ length: length * length }, (_, i) => {
    const [row, key] = [Math.floor(i / length), i % length];
    return key <= row && (key > 0 || row === 0) ? 1 : 0;
  });
  expect([...golden.u8('in.allowed')]).toEqual(want);
}

/** `subgroup` is a way to decode; its rows go as `workgroup`'s do. */
const VARIANTS: readonly KernelChoices['attention'][] = ['thread', 'broadcast', 'workgroup', 'subgroup'];

describe.each(VARIANTS)('attention, %s', (variant) => {
  beforeEach(({ skip }) => {
    if (variant === 'broadcast' && !canBroadcast(gpu)) skip('this adapter has no subgroups of 4 or 8 lanes');
  });

  it.each([
    ['unit_attention_full', false],
    ['unit_attention_decode', false],
    ['unit_attention_gqa', true],
    ['unit_attention_mma', true],
  ])('%s', async (name, masked) => {
    const { golden, batch, length, keys, heads, kvHeads, headDim } = caseOf(name);
    if (masked) expectLavinMask(golden, length);
    const y = blank(gpu, 'y', [batch * length, heads * headDim]);
    const q = upload(gpu, 'q', [batch * length, heads * headDim], golden.f32('in.q'));
    const k = upload(gpu, 'k', [batch * keys, kvHeads * headDim], golden.f32('in.k'));
    const v = upload(gpu, 'v', [batch * keys, kvHeads * headDim], golden.f32('in.v'));
    const mask = { causal: masked, hideSlot0: masked };
    const options = { label: name, q, k, v, y, heads, kvHeads, headDim, batch, length, keys, mask };
    await runOnce(gpu, (rec) => attention(rec, options), { attention: variant });
    golden.expect('out.y', await download(gpu, y));
  });

  describe.each<KvFormat>(['f32', 'f16'])('through a cache of %s', (format) => {
    it.each([['unit_attention_gqa'], ['unit_attention_mma']])('%s in two pieces, then token by token', async (name) => {
      const { golden, batch, length, heads, kvHeads, headDim } = caseOf(name);
      const [width, kvWidth] = [heads * headDim, kvHeads * headDim];
      const step = createStep(gpu);
      const mask = { hideSlot0: true };
      const turnNothing = createRopeTable(gpu, { headDim, base: 1, positions: 1, convention: 'half' });
      const positions = upload(gpu, 'positions', [4], new Uint32Array(4));
      const prefilled = new Float32Array(batch * length * width);
      const decoded = new Float32Array(batch * length * width);
      for (let b = 0; b < batch; b++) {
        const rows = (tensor: string, first: number, count: number, columns: number) => {
          const at = (b * length + first) * columns;
          return upload(gpu, tensor, [count, columns], golden.f32(tensor).slice(at, at + count * columns));
        };
        const { layers, destroy } = createKvCache(gpu, { layers: 2, capacity: length, kvHeads, headDim, format });
        const half = Math.floor(length / 2);
        for (const [first, count] of [
          [0, half],
          [half, length - half],
        ]) {
          writeStep(gpu, step, { rows: count, start: first });
          const y = blank(gpu, 'y', [count, width]);
          const q = rows('in.q', first, count, width);
          const [k, v] = [rows('in.k', first, count, kvWidth), rows('in.v', first, count, kvWidth)];
          await runOnce(
            gpu,
            (rec) => {
              kvStore(rec, { label: 'store', k, v, cache: layers[0], step });
              cachedAttention(rec, { label: 'cached', q, cache: layers[0], step, y, heads, mask });
            },
            { attention: variant },
          );
          prefilled.set(await download(gpu, y), (b * length + first) * width);
        }
        for (let row = 0; row < length; row++) {
          writeStep(gpu, step, { rows: 1, start: row });
          const y = blank(gpu, 'y', [1, width]);
          const q = rows('in.q', row, 1, width);
          const [k, v] = [rows('in.k', row, 1, kvWidth), rows('in.v', row, 1, kvWidth)];
          const options = { label: 'decode', q, k, v, positions, table: turnNothing, step, y, heads, mask };
          await runOnce(gpu, (rec) => decodeAttention(rec, { ...options, cache: layers[1] }), { attention: variant });
          decoded.set(await download(gpu, y), (b * length + row) * width);
        }
        destroy();
      }
      golden.expect('out.y', prefilled, format);
      golden.expect('out.y', decoded, format);
      turnNothing.destroy();
    });
  });
});

describe('rope', () => {
  it('unit_rope_interleaved', async () => {
    const golden = loadGolden('unit_rope_interleaved');
    const [batch, length, heads, headDim] = golden.shape('in.x');
    const places = Uint32Array.from(golden.i32('in.positions'));
    const got = await turn(
      golden.f32('in.x'),
      batch * length,
      heads,
      headDim,
      places,
      golden.meta.theta,
      'interleaved',
    );
    golden.expect('out.y', got);
  });

  it.each<[string, RopeConvention]>([
    ['meta', 'interleaved'],
    ['hf', 'half'],
  ])('unit_rope_layouts, %s', async (layout, convention) => {
    const golden = loadGolden('unit_rope_layouts');
    const [, length, dim] = golden.shape('in.x');
    const { n_heads: heads, head_dim: headDim, positions, theta } = golden.meta;
    const order = layout === 'hf' ? golden.i32('in.rows') : Int32Array.from({ length: dim }, (_, i) => i);
    for (const which of ['q', 'k']) {
      const weights = golden.f32(`in.w${which}_meta`);
      const x = golden.f32('in.x');
      const projected = Float32Array.from({ length: length * dim }, (_, i) => {
        const [row, out] = [Math.floor(i / dim), order[i % dim]];
        let sum = 0;
        for (let c = 0; c < dim; c++) sum += x[row * dim + c] * weights[out * dim + c];
        return sum;
      });
      const got = await turn(projected, length, heads, headDim, Uint32Array.from(positions), theta, convention);
      golden.expect(`out.${which}_${layout}`, got);
    }
  });
});

async function turn(
  x: Float32Array,
  rows: number,
  heads: number,
  headDim: number,
  places: Uint32Array,
  base: number,
  convention: RopeConvention,
): Promise<Float32Array> {
  const table = createRopeTable(gpu, { headDim, base, positions: Math.max(...places) + 1, convention });
  const from = upload(gpu, 'x', [rows, heads * headDim], x);
  const y = blank(gpu, 'y', [rows, heads * headDim]);
  const positions = upload(gpu, 'positions', [places.length], places);
  await runOnce(gpu, (rec) => rope(rec, { label: 'rope', x: from, y, positions, table, heads, headDim }));
  const got = await download(gpu, y);
  table.destroy();
  return got;
}
