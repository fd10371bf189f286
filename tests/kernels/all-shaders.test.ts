import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena';
import { DEFAULT_CHOICES, type KernelChoices } from '../../src/gpu/choices';
import type { Gpu, OpenOptions } from '../../src/gpu/device';
import { pipelineId } from '../../src/gpu/pipeline';
import { Recorder } from '../../src/gpu/plan';
import { Replayer } from '../../src/gpu/replay';
import { shaderFiles } from '../../src/gpu/shader';
import { type DType, Tensor } from '../../src/gpu/tensor';
import { adapterGrad, normGrad, routerGrad } from '../../src/kernels/adapter-grad';
import { attention, cachedAttention, canBroadcast } from '../../src/kernels/attention';
import { decodeAttention } from '../../src/kernels/attention-decode';
import { attentionGrad } from '../../src/kernels/attention-grad';
import { embedding } from '../../src/kernels/embedding';
import { createKvCache, kvStore } from '../../src/kernels/kv-cache';
import { gatedLinear, linear, linearMany } from '../../src/kernels/linear';
import { linearInputGrad, linearWeightGrad } from '../../src/kernels/linear-grad';
import { crossEntropy, lossTotal } from '../../src/kernels/loss';
import {
  adapterLayout,
  adapterMerge,
  type Mixing,
  mergedWords,
  normAdapter,
  router,
} from '../../src/kernels/norm-adapter';
import { adamW } from '../../src/kernels/optimiser';
import { copyRows, pointwise, vitPatches, vitTokens } from '../../src/kernels/pointwise';
import { gatherRows, imageTokensGrad, modalityGrad, pointwiseGrad, rowsGrad } from '../../src/kernels/pointwise-grad';
import { createRopeTable, rope } from '../../src/kernels/rope';
import { expertNorms, NORM_WORDS, reweigh, sumRows } from '../../src/kernels/router-study';
import { sample } from '../../src/kernels/sampling';
import { createStep, STEP_WORDS } from '../../src/kernels/step';
import { LAYOUTS, type WeightFormat } from '../../src/kernels/weight-layout';
import { isSwiftShader } from '../engine/support';
import { closeTestGpus, openTestGpu } from '../gpu';
import { randomMatrix } from './linear-support';

/**
 * Every variant that the kernel functions can ask for is compiled, and (the debug tools apart) none is run. A shader file
 * that no variant is made of fails. SwiftShader takes seconds for a pipeline, and there are thousands: there the WGSL is
 * checked without making pipelines.
 */

const MATVECS: readonly KernelChoices['matvec'][] = ['thread', 'broadcast', 'workgroup', 'subgroup'];
const MATMULS: readonly KernelChoices['matmul'][] = ['register', 'broadcast', 'workgroup'];
const ATTENTIONS: readonly KernelChoices['attention'][] = ['thread', 'broadcast', 'workgroup', 'subgroup'];
const BOTH = [false, true];
const FORMATS = Object.keys(LAYOUTS) as WeightFormat[];

type Make = (label: string, shape: readonly number[], dtype?: DType) => Tensor;
type Family = (rec: Recorder, make: Make, gpu: Gpu) => void | Promise<void>;

const linears =
  (format: WeightFormat): Family =>
  async (rec, make, gpu) => {
    const k = 256;
    const n = 8;
    const [first, second, third] = await Promise.all([1, 2, 3].map((seed) => randomMatrix(gpu, format, n, k, seed)));
    const [w0, w1, w2] = [first.weight, second.weight, third.weight];
    // Matrix-vector with every column count there is, whole and with an edge, then matrix-matrix.
    for (const m of [1, 2, 3, 4, 5, 8, 20, 21]) {
      const x = make('x', [m, k]);
      const y = (i: number) => make(`y${i}`, [m, n]);
      linear(rec, { label: 'plain', x, weight: w0, y: y(0) });
      if (![1, 5, 20].includes(m)) continue;
      gatedLinear(rec, { label: 'gated', x, gate: w0, up: w1, y: y(1) });
      linearMany(rec, { label: 'two', x, outputs: [w0, w1].map((weight, i) => ({ weight, y: y(i) })) });
      linearMany(rec, { label: 'three', x, outputs: [w0, w1, w2].map((weight, i) => ({ weight, y: y(i) })) });
    }
    for (const m of [1, 20]) {
      const [x, y, residual, bias] = [make('x', [m, k]), make('y', [m, n]), make('r', [m, n]), make('b', [n])];
      linear(rec, { label: 'added', x, weight: w0, y, residual });
      linear(rec, { label: 'multiplied', x, weight: w0, y, residual, combine: 'multiply' });
      linear(rec, { label: 'biased', x, weight: w0, y, bias, epilogue: 'quick_gelu' });
      linear(rec, { label: 'silu', x, weight: w0, y, epilogue: 'silu' });
      linear(rec, { label: 'all', x, weight: w0, y, bias, residual });
    }
    if (LAYOUTS[format].sourceCols === 1) await narrow(format)(rec, make, gpu);
  };

/** Widths that are not whole blocks, and weights that are plain tensors. */
const narrow =
  (format: WeightFormat): Family =>
  async (rec, make, gpu) => {
    for (const k of [7, 20]) {
      const { weight } = await randomMatrix(gpu, format, 8, k, k);
      for (const m of [1, 4, 20]) {
        const [x, y] = [make('x', [m, k]), make('y', [m, 8])];
        linear(rec, { label: 'narrow', x, weight, y });
        gatedLinear(rec, { label: 'narrow gated', x, gate: weight, up: weight, y });
        if (format === 'F32') linear(rec, { label: 'tensor', x, weight: make('w', [8, k]), y });
      }
    }
    for (const m of format === 'F32' ? [1, 4, 20] : []) {
      linear(rec, { label: 'tensor', x: make('x', [m, 64]), weight: make('w', [8, 64]), y: make('y', [m, 8]) });
    }
  };

const attentions: Family = (rec, make, gpu) => {
  for (const [heads, kvHeads, headDim] of [
    [4, 2, 8],
    [2, 2, 6],
    [2, 1, 64],
    [1, 1, 256],
  ]) {
    const shape = { heads, kvHeads, headDim };
    const [q, kv] = [heads * headDim, kvHeads * headDim];
    const positions = make('positions', [4], 'u32');
    const step = make('step', [STEP_WORDS], 'u32');
    for (const causal of BOTH) {
      const mask = { causal, hideSlot0: causal };
      const common = { ...shape, batch: 1, length: 4, mask };
      const y = make('y', [4, q]);
      attention(rec, {
        label: 'three',
        q: make('q', [4, q]),
        k: make('k', [4, kv]),
        v: make('v', [4, kv]),
        y,
        ...common,
      });
      const packed = make('qkv', [4, q + 2 * kv]);
      const columns = [0, q, q + kv].map((column) => ({ tensor: packed, column }));
      const [a, b, c] = columns;
      attention(rec, { label: 'packed', q: a, k: b, v: c, y, ...common, logsumexp: make('lse', [4, heads]) });
    }
    for (const format of ['f32', 'f16'] as const) {
      for (const capacity of [8, 300]) {
        const [cache] = createKvCache(gpu, { layers: 1, capacity, kvHeads, headDim, format }).layers;
        kvStore(rec, { label: 'store', k: make('k', [4, kv]), v: make('v', [4, kv]), cache, step });
        const both = make('kv', [4, 2 * kv]);
        const [k, v] = [0, kv].map((column) => ({ tensor: both, column }));
        kvStore(rec, { label: 'store packed', k, v, cache, step });
        const mask = { hideSlot0: true };
        cachedAttention(rec, { label: 'cached', q: make('q', [4, q]), cache, step, y: make('y', [4, q]), heads, mask });
        for (const convention of headDim === 8 ? (['interleaved', 'half'] as const) : (['half'] as const)) {
          const table = createRopeTable(gpu, { headDim, base: 1e4, positions: 4, convention });
          const one = { positions, table, cache, step, heads, mask, y: make('y', [1, q]) };
          decodeAttention(rec, {
            label: 'decode',
            q: make('q', [1, q]),
            k: make('k', [1, kv]),
            v: make('v', [1, kv]),
            ...one,
          });
          const packed = make('qkv', [1, q + 2 * kv]);
          const [a, b, c] = [0, q, q + kv].map((column) => ({ tensor: packed, column }));
          decodeAttention(rec, { label: 'decode packed', q: a, k: b, v: c, ...one });
          const x = make('x', [4, q]);
          rope(rec, { label: 'rope', x, positions, table, heads, headDim, y: make('y', [4, q]) });
          rope(rec, { label: 'rope in place', x, positions, table, heads, headDim });
        }
      }
    }
  }
};

const rowKernels: Family = (rec, make) => {
  const cols = 24;
  const norms = [
    undefined,
    { kind: 'rms', gain: make('gain', [cols]), epsilon: 1e-5 },
    { kind: 'layer', gain: make('gain', [cols]), shift: make('shift', [cols]), epsilon: 1e-5 },
  ] as const;
  for (const [hidden, groups] of [
    [8, 1],
    [12, 3],
    [8, 2],
    [64, 1],
  ]) {
    const shape = { channels: cols, hidden, groups };
    const adapter = { ...shape, packed: make('adapter', [adapterLayout(shape).words]), scale: 1, temperature: 1 };
    const weights = make('w', [4, 2]);
    const merged = make('merged', [mergedWords(shape)]);
    const mixings: readonly Mixing[] = [
      { kind: 'plain' },
      { kind: 'routed', weights },
      { kind: 'mixed', weights, sampleStride: 1, rowStride: 0 },
      { kind: 'merged', merged, modality: make('modality', [1], 'u32') },
    ];
    const rows = () => ({ x: make('x', [4, cols]), y: make('y', [4, cols]) });
    for (const norm of norms) {
      if (norm) normAdapter(rec, { label: 'norm', ...rows(), norm });
      for (const mixing of mixings)
        normAdapter(rec, { label: 'both', ...rows(), norm, adapter: { ...adapter, mixing } });
    }
    router(rec, { label: 'route', z: make('z', [4, cols]), adapter, weights, stride: 1 });
    adapterMerge(rec, { label: 'merge', adapter, weights, weightRow: 0, weightStride: 1, merged });
    const mixing = { kind: 'mixed', weights, sampleStride: 0, rowStride: 1 } as const;
    expertNorms(rec, {
      label: 'norms',
      z: make('z', [4, cols]),
      adapter,
      mixing,
      rowsPerSample: 4,
      y: make('y', [4, NORM_WORDS]),
    });
  }
};

const pointwiseKernels: Family = (rec, make) => {
  const [a, b, y] = ['a', 'b', 'y'].map((label) => make(label, [2, 12]));
  for (const op of ['silu', 'quick_gelu'] as const) pointwise(rec, { label: op, op, a, y });
  for (const op of ['add', 'swiglu'] as const) pointwise(rec, { label: op, op, a, b, y });
  copyRows(rec, { label: 'copy', x: a, y, rows: 2 });
  copyRows(rec, { label: 'last', x: a, y, rows: 1, step: make('step', [STEP_WORDS], 'u32') });
  sumRows(rec, { label: 'sum', x: a, step: make('step', [STEP_WORDS], 'u32'), first: 0, y, to: 1 });
  reweigh(rec, { label: 'reweigh', w: make('w', [4, 2]), rules: make('rules', [6]), rule: 0, y: make('w', [4, 2]) });
  vitPatches(rec, { label: 'cut', images: make('images', [1, 3, 4, 4]), patches: make('p', [4, 12]), patchSize: 2 });
  const [classToken, position] = [make('class', [12]), make('position', [5, 12])];
  vitTokens(rec, { label: 'tokens', patches: make('p', [4, 12]), classToken, position, y: make('y', [5, 12]) });
};

const embeddings: Family = async (rec, make, gpu) => {
  for (const format of FORMATS) {
    const { weight } = await randomMatrix(gpu, format, 8, 256, 5);
    const common = { label: format, slots: make('slots', [4], 'i32'), table: weight, y: make('y', [4, 256]) };
    const modal = { modality: make('modality', [1], 'u32'), modalityTable: make('table', [2, 256]) };
    const image = { imageTokens: make('image', [2, 256]), featuresPerImage: 2 };
    embedding(rec, common);
    embedding(rec, { ...common, ...modal });
    embedding(rec, { ...common, ...image });
    embedding(rec, { ...common, ...modal, ...image });
  }
};

const samplers: Family = (rec, make, gpu) => {
  const options = {
    logits: make('logits', [1, 100]),
    step: createStep(gpu),
    slots: make('slots', [1], 'i32'),
    positions: make('positions', [1], 'u32'),
    history: make('history', [8], 'u32'),
    ring: make('ring', [8], 'u32'),
    forced: make('forced', [8], 'i32'),
  };
  sample(rec, options);
  sample(rec, { ...options, distribution: make('distribution', [100]) });
};

const transposedProducts: Family = async (rec, make, gpu) => {
  for (const format of FORMATS) {
    const block = LAYOUTS[format].sourceCols;
    for (const k of block === 1 ? [64, 7] : [256]) {
      const { weight } = await randomMatrix(gpu, format, 8, k, 4);
      for (const accumulate of BOTH) {
        const operands = { dy: make('dy', [20, 8]), dx: make('dx', [20, k]) };
        linearInputGrad(rec, { label: format, ...operands, weight, accumulate });
      }
    }
  }
  for (const k of [64, 20]) {
    const [x, dy, weight] = [make('x', [6, k]), make('dy', [6, 8]), make('w', [8, k])];
    for (const accumulate of BOTH) linearInputGrad(rec, { label: 'trained', dy, weight, dx: x, accumulate });
    linearWeightGrad(rec, { label: 'weight', dy, x, dw: weight });
    linearWeightGrad(rec, { label: 'weight', dy, x, dw: weight, dbias: make('b', [8]) });
  }
};

const attentionGrads: Family = (rec, make) => {
  for (const headDim of [8, 9, 64, 80, 128]) {
    const shape = { heads: 4, kvHeads: 2, headDim, batch: 1, length: 9, mask: { causal: true, hideSlot0: true } };
    const [wide, narrow] = [4 * headDim, 2 * headDim];
    const t = (cols: number) => make('t', [9, cols]);
    const result = { y: t(wide), logsumexp: t(4), dy: t(wide) };
    const apart = { q: t(wide), k: t(narrow), v: t(narrow), dq: t(wide), dk: t(narrow), dv: t(narrow) };
    attentionGrad(rec, { label: 'apart', ...apart, ...result, ...shape });
    const [tensor, grad] = [t(wide + 2 * narrow), t(wide + 2 * narrow)];
    const [q, k, v] = [0, wide, wide + narrow].map((column) => ({ tensor, column }));
    attentionGrad(rec, { label: 'packed', q, k, v, dq: grad, dk: grad, dv: grad, ...result, ...shape });
  }
};

const rowGrads: Family = (rec, make) => {
  const cols = 24;
  const t = (label: string, width = cols, rows = 4) => make(label, [rows, width]);
  const gain = make('gain', [cols]);
  for (const accumulate of BOTH) {
    const operands = () => ({ x: t('x'), dz: t('dz'), dx: t('dx'), accumulate });
    normGrad(rec, { label: 'rms', ...operands(), norm: { kind: 'rms', gain, epsilon: 1e-5 } });
    normGrad(rec, { label: 'layer', ...operands(), norm: { kind: 'layer', gain, shift: gain, epsilon: 1e-5 } });
    const [a, b, dy, da, db] = ['a', 'b', 'dy', 'da', 'db'].map((label) => t(label));
    for (const op of ['silu', 'quick_gelu'] as const) pointwiseGrad(rec, { label: op, op, a, dy, da, accumulate });
    pointwiseGrad(rec, { label: 'add', op: 'add', dy, da, accumulate });
    pointwiseGrad(rec, { label: 'swiglu', op: 'swiglu', a, b, dy, da, db, accumulate });
    const rows = { rows: 2, from: 0, fromStride: 2, to: 0, toStride: 1, accumulate };
    rowsGrad(rec, { label: 'rows', dy: t('dy', cols, 2), dx: t('dx'), ...rows });
  }
  const dropout = { data: make('dropout', [4], 'u32'), stream: 1 };
  for (const [hidden, groups] of [
    [8, 2],
    [12, 3],
    [16, 1],
  ]) {
    const shape = { channels: cols, hidden, groups };
    const { words } = adapterLayout(shape);
    const adapter = { ...shape, packed: make('adapter', [words]), scale: 1, temperature: 1 };
    const grad = make('grad', [words]);
    const weights = t('w', 2);
    const mixing = { weights, sampleStride: 1, rowStride: 0 };
    const rows = () => ({ z: t('z'), dy: t('dy'), dz: t('dz'), rowsPerSample: 1 });
    for (const accumulate of BOTH) {
      for (const dropped of [undefined, dropout]) {
        const common = { label: 'adapter', ...rows(), adapter, grad, accumulate, dropout: dropped };
        adapterGrad(rec, common);
        adapterGrad(rec, { ...common, mixing, dw: t('dw', 2) });
        for (const kind of ['plain', 'mixed'] as const) {
          normAdapter(rec, {
            label: kind,
            x: t('x'),
            y: t('y'),
            adapter: { ...adapter, mixing: kind === 'plain' ? { kind } : { kind, ...mixing } },
            dropout: dropped,
          });
        }
      }
    }
    const users = { users: 1, userPair: 1, userStep: 1, stride: 1 };
    routerGrad(rec, { label: 'router', z: t('z'), dz: t('dz'), weights, dw: t('dw', 2), adapter, grad, ...users });
  }
  const slots = make('slots', [4], 'i32');
  const [dy, modality] = [t('dy'), make('modality', [1], 'u32')];
  imageTokensGrad(rec, { label: 'image', slots, dy, grad: t('g', cols, 2), featuresPerImage: 2, rowsPerSample: 4 });
  modalityGrad(rec, { label: 'modality', slots, dy, grad: t('g', cols, 2), modality, rowsPerSample: 4 });
};

const losses: Family = (rec, make) => {
  const [losses, weight, state] = [make('losses', [4]), make('weight', [4]), make('state', [8])];
  gatherRows(rec, { label: 'gather', x: make('x', [9, 8]), rows: make('rows', [4], 'u32'), y: make('y', [4, 8]) });
  for (const grad of BOTH) {
    const [logits, targets] = [make('logits', [4, 50]), make('targets', [4], 'i32')];
    crossEntropy(rec, { label: 'loss', logits, targets, losses, weight, first: 0, grad });
  }
  lossTotal(rec, { label: 'total', losses, state, weight });
  const flat = (label: string) => make(label, [64]);
  adamW(rec, {
    values: flat('values'),
    grad: flat('grad'),
    mean: flat('mean'),
    square: flat('square'),
    decays: make('decays', [2], 'u32'),
    state,
    stepData: make('data', [8]),
    ring: make('ring', [4, 8]),
  });
};

/** Records a family under `choices` and compiles all it asked for. */
async function compileAll(gpu: Gpu, family: Family, choices: Partial<KernelChoices>): Promise<void> {
  const rec = new Recorder(gpu, 'all', { ...DEFAULT_CHOICES, ...choices });
  const made: GPUBuffer[] = [];
  const make: Make = (label, shape, dtype = 'f32') => {
    const size = new Tensor(label, shape, dtype).bytes;
    const buffer = gpu.createBuffer('state', size, undefined, label);
    made.push(buffer);
    return new Tensor(label, shape, dtype, { buffer, offset: 0, size: buffer.size });
  };
  await family(rec, make, gpu);
  const arena = new Arena(gpu);
  const plan = await gpu.checked('all variants', () => rec.compile(arena));
  expect(plan.steps.length).toBeGreaterThan(0);
  plan.destroy();
  arena.destroy();
  for (const buffer of made) gpu.destroyBuffer(buffer);
}

/** Variants asked for, as pipelineId writes them. */
const asked = new Set<string>();

async function openCompiler(options?: OpenOptions): Promise<Gpu> {
  const gpu = await openTestGpu(options);
  const compile = gpu.pipelines.get.bind(gpu.pipelines);
  gpu.pipelines.get = async (key) => {
    asked.add(pipelineId(key));
    if (!isSwiftShader(gpu)) return compile(key);
    // Nothing is dispatched: bind groups need the layout alone.
    return { ...(await gpu.pipelines.validate(key)), pipeline: undefined as unknown as GPUComputePipeline };
  };
  return gpu;
}

afterAll(closeTestGpus);

describe('with what the device offers', () => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await openCompiler();
  });

  it.each(FORMATS)('linear %s', async (format) => {
    for (const matvec of MATVECS) {
      for (const int8Activations of BOTH) await compileAll(gpu, linears(format), { matvec, int8Activations });
    }
    for (const matmul of MATMULS) {
      for (const f16Products of BOTH) await compileAll(gpu, linears(format), { matmul, f16Products });
    }
  });

  it.each(ATTENTIONS)('attention %s, KV cache, RoPE', async (choice) => {
    if (choice === 'broadcast' && !canBroadcast(gpu)) {
      await expect(compileAll(gpu, attentions, { attention: choice })).rejects.toThrow('subgroups');
    } else await compileAll(gpu, attentions, { attention: choice });
  });

  it.each([8, 64, 256])('norms, adapters, sampler: %i threads to a row', async (rowThreads) => {
    await compileAll(gpu, rowKernels, { rowThreads });
    await compileAll(gpu, samplers, { rowThreads });
  });

  it.each(MATMULS)('backward: products, %s', async (matmul) => {
    await compileAll(gpu, transposedProducts, { matmul });
  });

  it.each(['broadcast', 'thread'] as const)('backward: attention, %s', async (choice) => {
    await compileAll(gpu, attentionGrads, { attention: choice });
  });

  it.each([8, 64])('backward: norms, adapters, loss, optimiser: %i threads to a row', async (rowThreads) => {
    await compileAll(gpu, rowGrads, { rowThreads });
    await compileAll(gpu, losses, { rowThreads });
  });

  it('embedding, pointwise', async () => {
    await compileAll(gpu, embeddings, {});
    await compileAll(gpu, pointwiseKernels, {});
  });

  it('debug tools', async () => {
    const size = 4;
    const own = await openTestGpu();
    for (const dtype of ['f32', 'f16'] as const) {
      const [x, y] = ['x', 'y'].map((label) => {
        const buffer = own.createBuffer('state', size * 4, undefined, label);
        return new Tensor(label, [size], dtype, { buffer, offset: 0, size: size * 4 });
      });
      const rec = new Recorder(own, 'debug');
      pointwise(rec, { label: 'op', op: 'silu', a: x, y });
      await new Replayer(own, { checkFinite: true }).run(await rec.compile(new Arena(own)));
    }
    for (const key of own.pipelines.keys()) asked.add(key);
  });

  it('leaves no shader file out: each is a kernel that was compiled, or included by one', () => {
    const files = shaderFiles();
    const compiled = new Set([...asked].map((key) => `${key.slice(0, key.indexOf(':'))}.wgsl`));
    const kernels = Object.keys(files).filter((file) => files[file].includes('@compute'));
    expect(kernels.length).toBeGreaterThan(10);
    expect(kernels.filter((file) => !compiled.has(file) && !needsMissingFeature(file, gpu))).toEqual([]);
    const included = Object.values(files).flatMap((text) =>
      [...text.matchAll(/^\s*#include "(.+)"/gm)].map(([, name]) => name),
    );
    const isIncluded = (file: string) =>
      included.some((name) => new RegExp(`^${name.replace(/\$\{\w+\}/g, '\\w+')}$`).test(file));
    expect(Object.keys(files).filter((file) => !kernels.includes(file) && !isIncluded(file))).toEqual([]);
  });
});

/** What default limits change: tile sizes and threads that fit the workgroup memory. The code is the same otherwise. */
describe('with default limits and no feature', () => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await openCompiler({ without: ['f16', 'subgroupMinSize', 'packedDot', 'timestamps'], defaultLimits: true });
  });

  it.each(['F32', 'Q4_0', 'Q6_K'] as const)('linear %s', async (format) => {
    for (const matvec of MATVECS) await compileAll(gpu, linears(format), { matvec, int8Activations: true });
    for (const matmul of MATMULS) await compileAll(gpu, linears(format), { matmul, f16Products: true });
  });

  it('attention', async () => {
    await compileAll(gpu, attentions, { attention: 'workgroup' });
    await compileAll(gpu, attentions, { attention: 'subgroup' });
  });

  it('norms, adapters, sampler', async () => {
    await compileAll(gpu, rowKernels, { rowThreads: 256 });
    await compileAll(gpu, samplers, { rowThreads: 256 });
  });
});

/** Kernels that serve one optional feature alone. */
function needsMissingFeature(file: string, gpu: Gpu): boolean {
  if (file === 'matvec_broadcast.wgsl' || file === 'attention_token.wgsl') return !canBroadcast(gpu);
  return file === 'quantize_q8.wgsl' && !gpu.features.packedDot;
}
