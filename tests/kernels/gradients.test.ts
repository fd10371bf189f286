/**
 * Backward kernels over edge shapes: transposed products in every format against f64 sums, the others against central
 * differences of the forward formula in f64. A perturbed input must fail each check.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { softwareChoices } from '../../src/engine/kernel-choices';
import { DEFAULT_CHOICES, type KernelChoices } from '../../src/gpu/choices';
import type { Gpu } from '../../src/gpu/device';
import type { Recorder } from '../../src/gpu/plan';
import type { Tensor } from '../../src/gpu/tensor';
import { adapterGrad, normGrad, routerGrad } from '../../src/kernels/adapter-grad';
import { type AttentionMask, attention } from '../../src/kernels/attention';
import { attentionGrad } from '../../src/kernels/attention-grad';
import { linearInputGrad, linearWeightGrad } from '../../src/kernels/linear-grad';
import { crossEntropy, lossTotal } from '../../src/kernels/loss';
import { adapterLayout, normAdapter } from '../../src/kernels/norm-adapter';
import { OPTIMISER_STATE } from '../../src/kernels/optimiser';
import { gatherRows, imageTokensGrad, modalityGrad, pointwiseGrad, rowsGrad } from '../../src/kernels/pointwise-grad';
import { LAYOUTS } from '../../src/kernels/weight-layout';
import type { Weight, WeightFormat } from '../../src/kernels/weights';
import { expectClose, peak } from '../goldens/golden';
import { closeTestGpus, openNarrowTestGpu } from '../gpu';
import { ReferenceAdapter } from './adapter-reference';
import { blank, download, noise, referenceAttention, runOnce, upload } from './attention-support';
import { randomMatrix } from './linear-support';
import { philox } from './sampling_reference';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openNarrowTestGpu({ defaultLimits: true });
});
afterAll(closeTestGpus);

const formats = Object.keys(LAYOUTS) as WeightFormat[];
const VARIANTS: [string, () => Partial<KernelChoices>][] = [
  ['plain', () => DEFAULT_CHOICES],
  ['without barriers', () => softwareChoices(gpu)],
];

/** f64 gradients of sum(up * f(x)) by central differences. */
function centralDifferences(
  f: (x: Float64Array) => ArrayLike<number>,
  x: ArrayLike<number>,
  up: ArrayLike<number>,
): Float64Array {
  const at = Float64Array.from(x);
  const step = 1e-5;
  const value = () => {
    const y = f(at);
    let sum = 0;
    for (let i = 0; i < y.length; i++) sum += y[i] * up[i];
    return sum;
  };
  return Float64Array.from(at, (_, i) => {
    const here = at[i];
    at[i] = here + step;
    const above = value();
    at[i] = here - step;
    const below = value();
    at[i] = here;
    return (above - below) / (2 * step);
  });
}

/** f32 sums against differences that are good to 1e-8 of the peak. */
const SHARE = 2e-5;

function expectGradient(name: string, got: Float32Array, want: Float64Array): void {
  expectClose(name, got, want, SHARE * peak(want));
}

/** The control: a check that passes for a gradient at another point checks nothing. */
function expectOther(got: Float32Array, other: Float64Array): void {
  expect(() => expectGradient('control', got, other)).toThrow();
}

const nudged = (x: Float32Array) => x.map((value, i) => (i === 0 ? value + 0.05 : value));
const zeros = (label: string, shape: readonly number[]) =>
  upload(gpu, label, shape, new Float32Array(shape.reduce((a, b) => a * b, 1)));

/** dy [M, N] times w [N, K], in f64. */
function transposed(dy: ArrayLike<number>, w: ArrayLike<number>, m: number, n: number, k: number): Float64Array {
  const dx = new Float64Array(m * k);
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) for (let c = 0; c < k; c++) dx[i * k + c] += dy[i * n + j] * w[j * k + c];
  return dx;
}

describe.each([
  ['thread', { matmul: 'register' }],
  ['broadcast', { matmul: 'broadcast' }],
  ['workgroup', { matmul: 'workgroup' }],
] as const)('dx = dy W, %s', (_, choices) => {
  // What unpacks a format is the same code in all three: every one in the two that are not nearly equal.
  const those = choices.matmul === 'broadcast' ? (['Q4_0', 'Q4_K', 'Q6_K', 'F16'] as const) : formats;
  it.each(those)('%s, edge shapes', async (format) => {
    const block = LAYOUTS[format].sourceCols;
    const widths = block === 1 ? [1, 7, 36, 131, 256] : [block, 3 * block, 576].filter((k) => k % block === 0);
    const records: ((rec: Recorder) => void)[] = [];
    const checks: { name: string; dx: Tensor; want: Float64Array }[] = [];
    for (const [i, k] of widths.entries()) {
      for (const n of [1, 37]) {
        const { weight, values } = await randomMatrix(gpu, format, n, k, 10 * i + n);
        for (const m of [1, 9, 70]) {
          const dy = noise(m * n, m + k);
          const name = `${format} ${m}x${n}x${k}`;
          const dx = blank(gpu, 'dx', [m, k]);
          const tensor = upload(gpu, 'dy', [m, n], dy);
          records.push((rec) => linearInputGrad(rec, { label: name, dy: tensor, weight, dx }));
          checks.push({ name, dx, want: transposed(dy, values, m, n, k) });
        }
      }
    }
    await runOnce(gpu, (rec) => records.forEach((record) => record(rec)), choices);
    for (const { name, dx, want } of checks) expectClose(name, await download(gpu, dx), want, 1e-5 * peak(want));
  });

  it('adds to what is there; a weight in parts adds its parts; launches cut by rows agree', async () => {
    const [m, n, k] = [600, 512, 1024];
    const { weight, values } = await randomMatrix(gpu, 'Q4_0', n, k, 3);
    const dy = noise(m * n, 4);
    const before = noise(m * k, 5);
    const dx = upload(gpu, 'dx', [m, k], before);
    const operands = { dy: upload(gpu, 'dy', [m, n], dy), weight, dx };
    let launches = 0;
    await runOnce(
      gpu,
      (rec) => {
        linearInputGrad(rec, { label: 'sum', ...operands, accumulate: true });
        launches = rec.length;
      },
      choices,
    );
    expect(launches).toBeGreaterThan(1);
    const want = transposed(dy, values, m, n, k).map((value, i) => value + before[i]);
    expectClose('sum', await download(gpu, dx), want, 1e-5 * peak(want));
  });

  it('a weight whose rows lie in several parts', async () => {
    const [m, n, k] = [5, 70, 64];
    const pieces = await Promise.all([40, 30].map((rows, i) => randomMatrix(gpu, 'Q8_0', rows, k, 60 + i)));
    const weight: Weight = {
      ...pieces[0].weight,
      rows: n,
      parts: [
        { ...pieces[0].weight.parts[0], firstRow: 0, rows: 40 },
        { ...pieces[1].weight.parts[0], firstRow: 40, rows: 30 },
      ],
    };
    const values = [...pieces[0].values, ...pieces[1].values];
    const dy = noise(m * n, 6);
    const dx = blank(gpu, 'dx', [m, k]);
    const tensor = upload(gpu, 'dy', [m, n], dy);
    await runOnce(gpu, (rec) => linearInputGrad(rec, { label: 'parts', dy: tensor, weight, dx }), choices);
    const want = transposed(dy, values, m, n, k);
    expectClose('parts', await download(gpu, dx), want, 1e-5 * peak(want));
  });
});

describe.each(VARIANTS)('%s', (_, choicesOf) => {
  const run = (record: (rec: Recorder) => void) => runOnce(gpu, record, choicesOf());

  it.each([
    [3, 7],
    [130, 33],
  ])('trained weights and bias, %i rows of %i', async (n, k) => {
    const m = 5;
    const [dy, x, start] = [noise(m * n, 1), noise(m * k, 2), noise(n * k, 3)];
    const dw = upload(gpu, 'dw', [n, k], start);
    const dbias = zeros('dbias', [n]);
    const operands = { dy: upload(gpu, 'dy', [m, n], dy), x: upload(gpu, 'x', [m, k], x), dw, dbias };
    await run((rec) => linearWeightGrad(rec, { label: 'weight', ...operands }));
    const want = Float64Array.from(start);
    const wantBias = new Float64Array(n);
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++) {
        wantBias[j] += dy[i * n + j];
        for (let c = 0; c < k; c++) want[j * k + c] += dy[i * n + j] * x[i * k + c];
      }
    expectClose('dw', await download(gpu, dw), want, 1e-5 * peak(want));
    expectClose('dbias', await download(gpu, dbias), wantBias, 1e-5 * peak(wantBias));
  });

  it.each([
    ['rms', 1, 5],
    ['rms', 3, 131],
    ['layer', 1, 5],
    ['layer', 3, 131],
  ] as const)('%s norm, %i rows of %i', async (kind, rows, cols) => {
    const [x, up, gain, shift] = [noise(rows * cols, 1), noise(rows * cols, 2), noise(cols, 3), noise(cols, 4)];
    const epsilon = 1e-3;
    const f = (at: ArrayLike<number>) => {
      const y = new Float64Array(rows * cols);
      for (let r = 0; r < rows; r++) {
        const row = Array.from({ length: cols }, (_, c) => at[r * cols + c]);
        const mean = kind === 'layer' ? row.reduce((a, b) => a + b, 0) / cols : 0;
        const scale = 1 / Math.sqrt(row.reduce((a, b) => a + (b - mean) ** 2, 0) / cols + epsilon);
        row.forEach((value, c) => {
          y[r * cols + c] = (value - mean) * scale * gain[c];
        });
      }
      return y;
    };
    const tensors = { x: upload(gpu, 'x', [rows, cols], x), dz: upload(gpu, 'dz', [rows, cols], up) };
    const gainTensor = upload(gpu, 'gain', [cols], gain);
    const norm =
      kind === 'rms'
        ? ({ kind, gain: gainTensor, epsilon } as const)
        : ({ kind, gain: gainTensor, shift: upload(gpu, 'shift', [cols], shift), epsilon } as const);
    const dx = blank(gpu, 'dx', [rows, cols]);
    const sum = upload(gpu, 'sum', [rows, cols], x);
    await run((rec) => {
      normGrad(rec, { label: 'norm', ...tensors, dx, norm });
      normGrad(rec, { label: 'sum', ...tensors, dx: sum, norm, accumulate: true });
    });
    const want = centralDifferences(f, x, up);
    const got = await download(gpu, dx);
    expectGradient(kind, got, want);
    expectOther(got, centralDifferences(f, nudged(x), up));
    const added = want.map((value, i) => value + x[i]);
    expectGradient('sum', await download(gpu, sum), added);
  });

  it.each(['add', 'silu', 'quick_gelu', 'swiglu'] as const)('%s', async (op) => {
    const count = 67;
    const [a, b, up] = [noise(count, 1).map((v) => 3 * v), noise(count, 2), noise(count, 3)];
    const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
    const f = (x: ArrayLike<number>, other: ArrayLike<number>) =>
      Float64Array.from(x, (v, i) => {
        if (op === 'add') return v + other[i];
        if (op === 'quick_gelu') return v * sigmoid(1.702 * v);
        return v * sigmoid(v) * (op === 'swiglu' ? other[i] : 1);
      });
    const tensor = (label: string, data: Float32Array) => upload(gpu, label, [1, count], data);
    const [da, sum, db] = [blank(gpu, 'da', [1, count]), tensor('sum', a), blank(gpu, 'db', [1, count])];
    const operands = { op, a: tensor('a', a), b: tensor('b', b), dy: tensor('dy', up) };
    await run((rec) => {
      pointwiseGrad(rec, { label: op, ...operands, da, ...(op === 'swiglu' && { db }) });
      const again = rec.tensor('again', [1, count]);
      pointwiseGrad(rec, { label: op, ...operands, da: sum, accumulate: true, ...(op === 'swiglu' && { db: again }) });
    });
    const want = centralDifferences((x) => f(x, b), a, up);
    const got = await download(gpu, da);
    expectGradient('da', got, want);
    if (op !== 'add')
      expectOther(
        got,
        centralDifferences((x) => f(x, b), nudged(a), up),
      );
    expectGradient(
      'sum',
      await download(gpu, sum),
      want.map((value, i) => value + a[i]),
    );
    if (op === 'swiglu')
      expectGradient(
        'db',
        await download(gpu, db),
        centralDifferences((x) => f(a, x), b, up),
      );
  });

  const LAVIN: AttentionMask = { causal: true, hideSlot0: true };
  const NONE: AttentionMask = { causal: false, hideSlot0: false };
  it.each([
    ['one head, one row', 1, 1, 1, 1, 8, LAVIN],
    ['two groups of three heads', 2, 11, 6, 2, 12, LAVIN],
    ['causal alone', 1, 19, 2, 1, 16, { causal: true, hideSlot0: false }],
    ['no mask', 2, 9, 3, 3, 20, NONE],
    ['no whole quads', 1, 10, 2, 1, 10, LAVIN],
    ['odd heads', 1, 9, 3, 1, 9, NONE],
  ] as const)('attention: %s', async (_name, batch, length, heads, kvHeads, headDim, mask) => {
    const shape = { batch, length, keys: length, heads, kvHeads, headDim, ...mask };
    const rows = batch * length;
    const [wide, narrow] = [heads * headDim, kvHeads * headDim];
    const [q, k, v, up] = [
      noise(rows * wide, 1),
      noise(rows * narrow, 2),
      noise(rows * narrow, 3),
      noise(rows * wide, 4),
    ];
    const t = (label: string, cols: number, data: Float32Array) => upload(gpu, label, [rows, cols], data);
    const operands = { q: t('q', wide, q), k: t('k', narrow, k), v: t('v', narrow, v) };
    const grads = {
      dq: blank(gpu, 'dq', [rows, wide]),
      dk: blank(gpu, 'dk', [rows, narrow]),
      dv: blank(gpu, 'dv', [rows, narrow]),
    };
    const y = blank(gpu, 'y', [rows, wide]);
    const logsumexp = blank(gpu, 'lse', [rows, heads]);
    const common = { ...operands, y, logsumexp, heads, kvHeads, headDim, batch, length, mask };
    // The same as columns of one tensor.
    const side = (parts: [Float32Array, number][]) => {
      const width = parts.reduce((sum, [, cols]) => sum + cols, 0);
      const out = new Float32Array(rows * width);
      for (let r = 0; r < rows; r++) {
        let column = 0;
        for (const [data, cols] of parts) {
          out.set(data.subarray(r * cols, (r + 1) * cols), r * width + column);
          column += cols;
        }
      }
      return out;
    };
    const packed = t(
      'qkv',
      wide + 2 * narrow,
      side([
        [q, wide],
        [k, narrow],
        [v, narrow],
      ]),
    );
    const packedGrad = blank(gpu, 'dqkv', [rows, wide + 2 * narrow]);
    await run((rec) => {
      attention(rec, { label: 'forward', ...common });
      attentionGrad(rec, { label: 'backward', ...common, ...grads, dy: t('dy', wide, up) });
      attentionGrad(rec, {
        label: 'packed',
        ...common,
        q: { tensor: packed, column: 0 },
        k: { tensor: packed, column: wide },
        v: { tensor: packed, column: wide + narrow },
        dy: t('dy', wide, up),
        dq: packedGrad,
        dk: packedGrad,
        dv: packedGrad,
      });
    });
    const wantQ = centralDifferences((x) => referenceAttention(shape, x, k, v).y, q, up);
    const wantK = centralDifferences((x) => referenceAttention(shape, q, x, v).y, k, up);
    const wantV = centralDifferences((x) => referenceAttention(shape, q, k, x).y, v, up);
    // One row attends to itself alone: q and k do not matter, and the gradient is a zero with rounding.
    const atol = Math.max(1e-6, SHARE * Math.max(peak(wantQ), peak(wantK), peak(wantV)));
    const got = {
      dq: await download(gpu, grads.dq),
      dk: await download(gpu, grads.dk),
      dv: await download(gpu, grads.dv),
    };
    expectClose('dq', got.dq, wantQ, atol);
    expectClose('dk', got.dk, wantK, atol);
    expectClose('dv', got.dv, wantV, atol);
    expectClose(
      'packed',
      await download(gpu, packedGrad),
      side([
        [got.dq, wide],
        [got.dk, narrow],
        [got.dv, narrow],
      ]),
      1e-6,
    );
    if (length > 1) {
      const other = centralDifferences(
        (x) =>
          referenceAttention(
            shape,
            x,
            k,
            v.map((value) => 1.02 * value),
          ).y,
        q,
        up,
      );
      expect(() => expectClose('control', got.dq, other, atol)).toThrow();
    }
  });

  it('attention: more keys than queries', async () => {
    const shape = { batch: 2, length: 3, keys: 11, heads: 2, kvHeads: 1, headDim: 8, ...NONE };
    const { batch, length, keys, heads, kvHeads, headDim } = shape;
    const [q, k, v, up] = [noise(96, 1), noise(176, 2), noise(176, 3), noise(96, 4)];
    const t = (label: string, rows: number, cols: number, data: Float32Array) => upload(gpu, label, [rows, cols], data);
    const operands = { q: t('q', 6, 16, q), k: t('k', 22, 8, k), v: t('v', 22, 8, v) };
    const grads = { dq: blank(gpu, 'dq', [6, 16]), dk: blank(gpu, 'dk', [22, 8]), dv: blank(gpu, 'dv', [22, 8]) };
    const [y, logsumexp] = [blank(gpu, 'y', [6, 16]), blank(gpu, 'lse', [6, 2])];
    const common = { ...operands, y, logsumexp, heads, kvHeads, headDim, batch, length, keys, mask: NONE };
    await run((rec) => {
      attention(rec, { label: 'forward', ...common });
      attentionGrad(rec, { label: 'backward', ...common, ...grads, dy: t('dy', 6, 16, up) });
    });
    expectGradient(
      'dk',
      await download(gpu, grads.dk),
      centralDifferences((x) => referenceAttention(shape, q, x, v).y, k, up),
    );
    expectGradient(
      'dv',
      await download(gpu, grads.dv),
      centralDifferences((x) => referenceAttention(shape, q, k, x).y, v, up),
    );
    expectGradient(
      'dq',
      await download(gpu, grads.dq),
      centralDifferences((x) => referenceAttention(shape, x, k, v).y, q, up),
    );
  });

  const DROPOUT = { seed: 77, step: 5, rate: 0.4 };
  const keptShare = (stream: number, index: number) => {
    const { seed, step, rate } = DROPOUT;
    const [word] = philox([index, step], (seed ^ Math.imul(stream, 0x85ebca6b)) >>> 0);
    return word <= Math.floor((1 - rate) * 2 ** 32) - 1 ? Math.fround(1 / (1 - rate)) : 0;
  };
  const dropoutData = () => {
    const { seed, step, rate } = DROPOUT;
    const share = new Uint32Array(new Float32Array([1 / (1 - rate)]).buffer)[0];
    return upload(gpu, 'dropout', [4], Uint32Array.of(seed, step, Math.floor((1 - rate) * 2 ** 32) - 1, share));
  };

  // channels, hidden, groups, samples, rows per sample: per sample, per token of the batch, each row its own, plain.
  it.each([
    ['one pair a sample', 12, 8, 2, 3, 4, 'sample', false],
    ['one pair a sample, dropout', 12, 8, 2, 3, 4, 'sample', true],
    ['one pair a token, shared by the batch', 33, 12, 3, 2, 5, 'token', false],
    ['each row its own', 40, 4, 1, 2, 3, 'row', true],
    ['plain', 12, 8, 2, 1, 70, 'plain', false],
    ['plain, dropout', 33, 3, 3, 1, 5, 'plain', true],
  ] as const)('adapter and router: %s', async (_name, channels, hidden, groups, samples, length, kind, dropped) => {
    const rows = samples * length;
    const reference = new ReferenceAdapter(channels, hidden, groups, kind === 'plain' ? 1 : 0.7, 3, 9);
    const [z, up] = [noise(rows * channels, 1), noise(rows * channels, 2)];
    const stream = 3;
    const plain = kind === 'plain';
    const pairOf = {
      sample: (b: number, _: number) => b,
      token: (_: number, i: number) => i,
      row: (b: number, i: number) => b * length + i,
      plain: () => 0,
    }[kind];
    const sourceOf = {
      sample: (pair: number) => pair * length,
      token: (pair: number) => pair,
      row: (pair: number) => pair,
      plain: () => 0,
    }[kind];
    /** The forward formula with every parameter and input free. */
    const layout = adapterLayout(reference);
    const forward = (packed: ArrayLike<number>, x: ArrayLike<number>) => {
      const y = new Float64Array(rows * channels);
      const perGroup = hidden / groups;
      const route = (source: number) => {
        const logits = [0, 1].map((e) => {
          let sum = packed[layout['expert_weights.bias'] + e];
          for (let c = 0; c < channels; c++)
            sum += packed[layout['expert_weights.weight'] + e * channels + c] * x[source * channels + c];
          return sum / 3;
        });
        const w0 = 1 / (1 + Math.exp(logits[1] - logits[0]));
        return [w0, 1 - w0];
      };
      for (let r = 0; r < rows; r++) {
        const [b, i] = [Math.floor(r / length), r % length];
        const a = Array.from({ length: hidden }, (_, j) => {
          let sum = packed[layout['conv_A.bias'] + j];
          for (let c = 0; c < channels; c++) sum += packed[j * channels + c] * x[r * channels + c];
          return dropped ? sum * keptShare(stream, r * hidden + j) : sum;
        });
        const w = plain ? [1, 0] : route(sourceOf(pairOf(b, i)));
        for (let c = 0; c < channels; c++) {
          const first = Math.floor((c * groups) / channels) * perGroup;
          const branch = (weight: number, bias: number) => {
            let sum = packed[bias + c];
            for (let k = 0; k < perGroup; k++) sum += packed[weight + c * perGroup + k] * a[first + k];
            return sum;
          };
          const one = branch(layout['conv_B.weight'], layout['conv_B.bias']);
          const two = plain ? 0 : branch(layout['conv_D.weight'], layout['conv_D.bias']);
          y[r * channels + c] = plain ? one : x[r * channels + c] + 0.7 * (w[0] * one + w[1] * two);
        }
      }
      return y;
    };
    const packed = reference.packed();
    const adapter = {
      channels,
      hidden,
      groups,
      packed: upload(gpu, 'adapter', [packed.length], packed),
      scale: 0.7,
      temperature: 3,
    };
    const strides = {
      sample: { sampleStride: 1, rowStride: 0 },
      token: { sampleStride: 0, rowStride: 1 },
      row: { sampleStride: length, rowStride: 1 },
      plain: { sampleStride: 0, rowStride: 0 },
    }[kind];
    const users = {
      sample: { users: length, userPair: length, userStep: 1, stride: length },
      token: { users: samples, userPair: 1, userStep: length, stride: 1 },
      row: { users: 1, userPair: 1, userStep: 1, stride: 1 },
      plain: { users: 1, userPair: 1, userStep: 1, stride: 1 },
    }[kind];
    const pairs = { sample: samples, token: length, row: rows, plain: 1 }[kind];
    const rowOf = (pair: number) => z.subarray(sourceOf(pair) * channels, (sourceOf(pair) + 1) * channels);
    const weightValues = Array.from({ length: pairs }, (_, pair) => reference.route(rowOf(pair))).flat();
    const weights = upload(gpu, 'w', [pairs, 2], Float32Array.from(weightValues));
    const zTensor = upload(gpu, 'z', [rows, channels], z);
    const [y, dz] = [blank(gpu, 'y', [rows, channels]), blank(gpu, 'dz', [rows, channels])];
    const start = noise(packed.length, 8);
    const grad = upload(gpu, 'grad', [packed.length], start);
    const dropout = dropped ? { data: dropoutData(), stream } : undefined;
    const dw = zeros('dw', [rows, 2]);
    await run((rec) => {
      const mixing = plain ? ({ kind: 'plain' } as const) : ({ kind: 'mixed', weights, ...strides } as const);
      normAdapter(rec, {
        label: 'forward',
        x: zTensor,
        y,
        adapter: { ...adapter, mixing },
        rowsPerSample: length,
        dropout,
      });
      adapterGrad(rec, {
        label: 'adapter',
        z: zTensor,
        dy: upload(gpu, 'dy', [rows, channels], up),
        dz,
        adapter,
        grad,
        rowsPerSample: length,
        dropout,
        ...(!plain && { mixing: { weights, ...strides }, dw }),
      });
      if (!plain) routerGrad(rec, { label: 'router', z: zTensor, dz, weights, dw, adapter, grad, ...users });
    });
    expectClose('y', await download(gpu, y), forward(packed, z), 1e-5 * peak(forward(packed, z)));
    const wantZ = centralDifferences((x) => forward(packed, x), z, up);
    const gotZ = await download(gpu, dz);
    expectGradient('dz', gotZ, wantZ);
    expectOther(
      gotZ,
      centralDifferences((x) => forward(nudged(packed), x), z, up),
    );
    const wantPacked = centralDifferences((x) => forward(x, z), packed, up);
    expectGradient(
      'parameters',
      await download(gpu, grad),
      wantPacked.map((value, i) => value + start[i]),
    );
  });

  it('rows copied, and rows gathered there and back', async () => {
    const cols = 3;
    const [dy, start] = [noise(4 * cols, 1), noise(9 * cols, 2)];
    const at = { rows: 2, from: 1, fromStride: 4, to: 1, toStride: 2 };
    const [dx, sum] = [blank(gpu, 'dx', [9, cols]), upload(gpu, 'sum', [9, cols], start)];
    const dyTensor = upload(gpu, 'dy', [4, cols], dy);
    const gathered = blank(gpu, 'gathered', [4, cols]);
    const rows = upload(gpu, 'rows', [4], Uint32Array.of(8, 0, 0xffffffff, 9));
    await run((rec) => {
      rowsGrad(rec, { label: 'rows', dy: dyTensor, dx, ...at });
      rowsGrad(rec, { label: 'sum', dy: dyTensor, dx: sum, ...at, accumulate: true });
      gatherRows(rec, { label: 'gather', x: upload(gpu, 'x', [9, cols], start), rows, y: gathered });
    });
    const want = new Float64Array(9 * cols);
    for (let c = 0; c < cols; c++) {
      want[cols + c] = dy[cols + c];
      want[5 * cols + c] = dy[3 * cols + c];
    }
    expectClose('dx', await download(gpu, dx), want, 0);
    expectClose(
      'sum',
      await download(gpu, sum),
      want.map((value, i) => Math.fround(value + start[i])),
      0,
    );
    const row = (r: number) => [...start.subarray(r * cols, (r + 1) * cols)];
    expectClose('gathered', await download(gpu, gathered), [...row(8), ...row(0), 0, 0, 0, 0, 0, 0], 0);
  });

  it('embedding: image tokens and the modality table', async () => {
    const [rowsPerSample, cols] = [5, 3];
    const slots = [-1, -2, 4, -3, 7, -1, 9, -2, 3, 2, -1, 1, 1, 1, 1];
    const dy = noise(15 * cols, 1);
    const start = noise(2 * cols, 2);
    const image = blank(gpu, 'image', [6, cols]);
    const table = upload(gpu, 'table', [2, cols], start);
    const slotBuffer = upload(gpu, 'slots', [15], Uint32Array.from(slots));
    const common = { slots: slotBuffer, dy: upload(gpu, 'dy', [15, cols], dy), rowsPerSample };
    const modality = upload(gpu, 'modality', [3], Uint32Array.of(1, 1, 0));
    await run((rec) => {
      imageTokensGrad(rec, { label: 'image', ...common, grad: image, featuresPerImage: 2 });
      modalityGrad(rec, { label: 'modality', ...common, grad: table, modality });
    });
    const row = (r: number) => [...dy.subarray(r * cols, (r + 1) * cols)];
    const none = [0, 0, 0];
    expectClose('image', await download(gpu, image), [row(1), row(3), row(7), none, none, none].flat(), 0);
    const seen = row(0).map((value, c) => value + row(5)[c] + start[cols + c]);
    const text = row(10).map((value, c) => value + start[c]);
    expectClose('table', await download(gpu, table), [...text, ...seen], 1e-6);
  });

  it('cross-entropy: unused rows, a window of micro-batches, logits in the hundreds', async () => {
    const [rows, vocabulary, first] = [3, 131, 2];
    const logits = noise(rows * vocabulary, 1).map((value, i) => value * (i < vocabulary ? 200 : 3));
    const targets = [5, 6, 17, -1, 130];
    const [kept, microBatches] = [4, 2];
    const tensor = upload(gpu, 'logits', [rows, vocabulary], logits);
    const losses = upload(gpu, 'losses', [5], Float32Array.of(0.5, 0.25, 9, 9, 9));
    const state = upload(gpu, 'state', [8], Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0));
    const weight = upload(gpu, 'weight', [4], Float32Array.of(1 / kept, 1 / microBatches, 0, 0));
    const targetBuffer = upload(gpu, 'targets', [5], Uint32Array.from(targets));
    await run((rec) => {
      crossEntropy(rec, { label: 'loss', logits: tensor, targets: targetBuffer, losses, weight, first, grad: true });
      lossTotal(rec, { label: 'total', losses, state, weight });
    });
    const lossOf = (x: ArrayLike<number>, r: number) => {
      if (targets[first + r] < 0) return 0;
      const row = Array.from({ length: vocabulary }, (_, v) => x[r * vocabulary + v]);
      const most = Math.max(...row);
      const sum = row.reduce((total, value) => total + Math.exp(value - most), 0);
      return (most + Math.log(sum) - row[targets[first + r]]) / kept;
    };
    const want = [0, 1, 2].map((r) => lossOf(logits, r));
    expectClose('losses', await download(gpu, losses), [0.5, 0.25, ...want], 1e-5 * Math.max(...want));
    const grad = centralDifferences((x) => [0, 1, 2].map((r) => lossOf(x, r) / microBatches), logits, [1, 1, 1]);
    expectClose('gradient', await download(gpu, tensor), grad, 1e-6);
    const total = 1 + (0.75 + want.reduce((a, b) => a + b, 0)) / microBatches;
    expect(Math.abs((await download(gpu, state))[OPTIMISER_STATE.loss] - total)).toBeLessThan(1e-5 * total);
  });
});
