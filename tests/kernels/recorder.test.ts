import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena';
import { NonFiniteError } from '../../src/gpu/check-finite';
import { type Gpu, GpuError } from '../../src/gpu/device';
import { type Dispatch, type Plan, Recorder } from '../../src/gpu/plan';
import { Replayer } from '../../src/gpu/replay';
import { Tensor } from '../../src/gpu/tensor';
import { timePlan } from '../../src/gpu/timing';
import { pointwise } from '../../src/kernels/pointwise';
import { closeTestGpus, openTestGpu } from '../gpu';
import { download, upload } from './attention-support';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openTestGpu();
});
afterAll(closeTestGpus);

const numbers = (count: number, from = 1) => Float32Array.from({ length: count }, (_, i) => from + i);

/** Records and compiles in an arena of its own. */
async function compiled(record: (rec: Recorder) => void, on = gpu): Promise<Plan> {
  const rec = new Recorder(on, 'plan');
  record(rec);
  return rec.compile(new Arena(on));
}

/** Adds x to `start` `length` times, by way of transients, the last one kept. */
function adds(rec: Recorder, start: Tensor, x: Tensor, length: number): Tensor {
  let last = start;
  for (let i = 0; i < length; i++) {
    const y = rec.tensor(`t${i}`, x.shape);
    pointwise(rec, { label: `add ${i}`, op: 'add', a: last, b: x, y });
    last = y;
  }
  return rec.keep(last);
}

/** The same from values: last = values (length + 1). */
function chain(rec: Recorder, values: Float32Array, length: number): Tensor {
  const [start, x] = ['start', 'x'].map((label) => upload(rec.gpu, label, [values.length], values));
  return adds(rec, start, x, length);
}

const scaled = (values: Float32Array, factor: number) => [...values].map((v) => Math.fround(v * factor));

describe('the recorder refuses', () => {
  const vector = (label: string) => new Tensor(label, [4]);
  const dispatch = (over: Partial<Dispatch>): Dispatch => ({
    label: 'op 7',
    shader: 'elementwise',
    definitions: { OP: 'add' },
    reads: {},
    writes: {},
    params: { count: 4 },
    workgroups: [1],
    ...over,
  });
  let x: Tensor;
  beforeAll(() => {
    x = upload(gpu, 'x', [4], numbers(4));
  });

  const part = (from: number, words: number): Tensor =>
    new Tensor(`x from ${from}`, [words], 'f32', { ...x.range!, offset: from * 4, size: words * 4 });

  it.each<[string, () => Dispatch, string]>([
    [
      'a read before any write',
      () => dispatch({ reads: { a: vector('ghost'), b: x }, writes: { y: vector('y') } }),
      'reads ghost before anything wrote it',
    ],
    [
      'a missing binding',
      () => dispatch({ reads: { a: x }, writes: { y: vector('y') } }),
      'elementwise.wgsl binds "b", the dispatch does not give it',
    ],
    [
      'a binding too many',
      () => dispatch({ definitions: { OP: 'silu' }, reads: { a: x, b: x }, writes: { y: vector('y') } }),
      'has no binding "b"',
    ],
    [
      'a missing parameter',
      () => dispatch({ definitions: { OP: 'silu' }, reads: { a: x }, writes: { y: vector('y') }, params: {} }),
      'wants parameter "count"',
    ],
    [
      'a fraction for a count',
      () =>
        dispatch({ definitions: { OP: 'silu' }, reads: { a: x }, writes: { y: vector('y') }, params: { count: 1.5 } }),
      'parameter "count" is 1.5, the shader wants u32',
    ],
    [
      'a negative count',
      () =>
        dispatch({ definitions: { OP: 'silu' }, reads: { a: x }, writes: { y: vector('y') }, params: { count: -1 } }),
      'parameter "count" is -1',
    ],
    [
      'a result on its own operand',
      () => dispatch({ definitions: { OP: 'silu' }, reads: { a: x }, writes: { y: x } }),
      '"a" and "y" overlap',
    ],
    [
      'partly overlapping ranges',
      () => dispatch({ definitions: { OP: 'silu' }, reads: { a: part(0, 3) }, writes: { y: part(2, 2) } }),
      '"a" and "y" overlap',
    ],
    [
      'two tensors under one name',
      () => dispatch({ definitions: { OP: 'silu' }, reads: { a: x, y: x }, writes: { y: vector('y') } }),
      'reads and writes two tensors as "y"',
    ],
    [
      'a buffer bound for reading and for writing',
      () =>
        dispatch({
          shader: 'vit_tokens',
          definitions: {},
          reads: { patches: vector('y'), class_token: part(0, 1), position: part(1, 1) },
          writes: { y: part(2, 2) },
          params: { images: 1, tokens: 1, width: 1 },
        }),
      'share a buffer',
    ],
    [
      'a write to what the shader only reads',
      () =>
        dispatch({
          shader: 'vit_tokens',
          definitions: {},
          reads: { patches: x, position: x, y: x },
          writes: { class_token: vector('t') },
          params: { images: 1, tokens: 1, width: 1 },
        }),
      'writes "class_token", which the shader declares read',
    ],
  ])('%s', async (_, make, message) => {
    const before = gpu.ledger.byPurpose().params;
    const rec = new Recorder(gpu, 'bad');
    const written = make();
    if (written.reads.patches && !(written.reads.patches as Tensor).range)
      pointwise(rec, { label: 'first', op: 'silu', a: x, y: written.reads.patches as Tensor });
    rec.dispatch(written);
    const error: Error = await rec.compile(new Arena(gpu)).then(
      () => expect.fail('it compiled'),
      (e) => e,
    );
    expect(error.message).toContain(message);
    expect(error.message).toMatch(/^op 7/);
    expect(gpu.ledger.byPurpose().params).toBe(before);
  });

  it.each([[[65_536]], [[1, 65_536]], [[1, 1, 65_536]], [[0]], [[1.5]], [[1, -1]]])(
    'a grid of %j workgroups',
    (workgroups) => {
      const rec = new Recorder(gpu, 'bad');
      expect(() => rec.dispatch(dispatch({ workgroups: workgroups as [number] }))).toThrow(/op 7: .* workgroups/);
      expect(rec.length).toBe(0);
    },
  );

  it('a kernel that does not compile, naming it and its definitions', async () => {
    const rec = new Recorder(gpu, 'bad');
    rec.dispatch(dispatch({ shader: 'router', definitions: { WG: -3 }, reads: {}, writes: {} }));
    const error = await gpu.checked('bad', () => rec.compile(new Arena(gpu))).catch((e) => e);
    expect(error).toBeInstanceOf(GpuError);
    expect(error.code).toBe('validation');
    expect(error.message).toContain('router');
  });

  it('to tell where a transient lies that was not kept', async () => {
    const rec = new Recorder(gpu, 'p');
    const y = rec.tensor('forgotten', [4]);
    pointwise(rec, { label: 'op', op: 'silu', a: x, y });
    const plan = await rec.compile(new Arena(gpu));
    expect(() => plan.rangeOf(y)).toThrow('did not keep forgotten');
    expect(() => plan.rangeOf(vector('stranger'))).toThrow('stranger');
    expect(plan.rangeOf(x)).toEqual({ ...x.range!, size: 16 });
    plan.destroy();
  });
});

describe('plans', () => {
  it('share an arena: later, larger plans leave earlier ones valid', async () => {
    const arena = new Arena(gpu);
    const small = numbers(64);
    const large = numbers(5000, 3);
    const record = async (values: Float32Array<ArrayBuffer>, length: number) => {
      const rec = new Recorder(gpu, 'p');
      const last = chain(rec, values, length);
      return { plan: await rec.compile(arena), last };
    };
    const replayer = new Replayer(gpu);
    const first = await record(small, 3);
    const before = gpu.ledger.byPurpose().arena!;
    const second = await record(large, 4);
    const grown = gpu.ledger.byPurpose().arena!;
    expect(grown).toBeGreaterThan(before);
    for (const [{ plan, last }, values, factor] of [
      [second, large, 5],
      [first, small, 4],
      [second, large, 5],
    ] as const) {
      await replayer.run(plan);
      expect([...new Float32Array(await gpu.read(plan.rangeOf(last)))]).toEqual(scaled(values, factor));
    }
    const third = await record(small, 9);
    expect(gpu.ledger.byPurpose().arena).toBe(grown);
    for (const { plan } of [first, second, third]) plan.destroy();
    arena.destroy();
  });

  it("give finished tensors' memory to later ones", async () => {
    const rec = new Recorder(gpu, 'long');
    const last = chain(rec, numbers(1024), 30);
    const arena = new Arena(gpu);
    const before = gpu.ledger.byPurpose().arena ?? 0;
    const plan = await rec.compile(arena);
    expect((gpu.ledger.byPurpose().arena ?? 0) - before).toBe(2 * 4096);
    await new Replayer(gpu).run(plan);
    expect(new Float32Array(await gpu.read(plan.rangeOf(last)))[1]).toBe(62);
    plan.destroy();
    arena.destroy();
  });

  it('replay in slices to the same result, with progress that only grows; an abort leaves the rest undone', async () => {
    const rec = new Recorder(gpu, 'sliced');
    const x = upload(gpu, 'x', [16], numbers(16));
    const counter = upload(gpu, 'counter', [16], new Float32Array(16));
    let last: Tensor = counter;
    for (let i = 0; i < 24; i++) {
      const y = i === 23 ? upload(gpu, 'result', [16], new Float32Array(16)) : rec.tensor(`t${i}`, [16]);
      rec.dispatch({
        label: `add ${i}`,
        shader: 'elementwise',
        definitions: { OP: 'add' },
        reads: { a: last, b: x },
        writes: { y },
        params: { count: 16 },
        workgroups: [1],
        // Said to take longer than any slice may.
        work: 1e9,
      });
      last = y;
    }
    const plan = await rec.compile(new Arena(gpu));
    const aborting = new Replayer(gpu);
    const controller = new AbortController();
    const onProgress = () => controller.abort(new Error('stop'));
    await expect(aborting.run(plan, { signal: controller.signal, onProgress })).rejects.toThrow('stop');
    expect(aborting.submits).toBeLessThanOrEqual(3);
    expect([...(await download(gpu, last))]).toEqual(new Array(16).fill(0));

    const replayer = new Replayer(gpu);
    const seen: number[] = [];
    await replayer.run(plan, { onProgress: (done) => seen.push(done) });
    expect(replayer.submits).toBeGreaterThan(2);
    expect(seen).toHaveLength(replayer.submits);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(1);
    expect([...(await download(gpu, last))]).toEqual(scaled(numbers(16), 24));
    plan.destroy();
  });

  it('give every byte back', async () => {
    const own = await openTestGpu();
    const arena = new Arena(own);
    const rec = new Recorder(own, 'p');
    const [start, x] = ['start', 'x'].map((label) => upload(own, label, [100], numbers(100)));
    const last = adds(rec, start, x, 5);
    const plan = await rec.compile(arena);
    await new Replayer(own, { checkFinite: true }).run(plan);
    await timePlan(own, plan, 1);
    await own.read(plan.rangeOf(last));
    expect(own.ledger.byPurpose()).toMatchObject({ state: 800, params: 256 });
    plan.destroy();
    arena.destroy();
    for (const { range } of [start, x, x]) own.destroyBuffer(range!.buffer);
    expect(own.ledger.current).toBe(0);
    expect(own.ledger.byPurpose()).toEqual({});
    expect(own.ledger.peak).toBeGreaterThan(0);
  });
});

describe('errors', () => {
  it('are typed: validation inside a scope, with what was tried', async () => {
    const work = () => gpu.device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE });
    const error = await gpu.checked('a wrong buffer', work).catch((e) => e);
    expect(error).toBeInstanceOf(GpuError);
    expect(error).toMatchObject({ code: 'validation' });
    expect(error.message).toMatch(/^a wrong buffer: /);
  });

  it('pass through a scope that saw nothing', async () => {
    await expect(gpu.checked('x', () => Promise.reject(new RangeError('mine')))).rejects.toThrow(RangeError);
    expect(await gpu.checked('x', () => 5)).toBe(5);
  });

  it('name the limit that a buffer exceeds, and nothing is counted', () => {
    const before = gpu.ledger.current;
    let error: unknown;
    try {
      gpu.createBuffer('weights', gpu.limits.maxBufferSize + 1, undefined, 'a giant');
    } catch (e) {
      error = e;
    }
    expect(error).toMatchObject({ code: 'limit' });
    expect((error as Error).message).toContain(`${gpu.limits.maxBufferSize}`);
    expect(gpu.ledger.current).toBe(before);
  });

  it('outside all scopes come out of the next run, once', async () => {
    const plan = await compiled((rec) => chain(rec, numbers(4), 1));
    gpu.device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE });
    const replayer = new Replayer(gpu);
    await expect(replayer.run(plan)).rejects.toMatchObject({ code: 'validation' });
    await replayer.run(plan);
    plan.destroy();
  });
});

describe('device loss', () => {
  it('is one typed event, and the code of everything that waits or comes after', async () => {
    const doomed = await openTestGpu();
    const x = upload(doomed, 'x', [4], numbers(4));
    const plan = await compiled((rec) => chain(rec, numbers(4), 3), doomed);
    const replayer = new Replayer(doomed);
    await replayer.run(plan);
    const events: GpuError[] = [];
    const forget = doomed.onLost(() => expect.fail('removed'));
    forget();
    doomed.onLost((error) => events.push(error));
    expect(doomed.loss).toBeUndefined();
    const never = new Promise<void>(() => {});
    const waiting = doomed.orLost(never).catch((e) => e);
    doomed.device.destroy();
    expect(await waiting).toMatchObject({ name: 'GpuError', code: 'lost' });
    expect(events).toHaveLength(1);
    expect(events[0]).toBe(doomed.loss);
    doomed.onLost((error) => events.push(error));
    expect(events).toHaveLength(2);
    const late = [
      () => replayer.run(plan),
      () => doomed.read(x.range!),
      () => doomed.checked('x', () => {}),
      async () => doomed.createBuffer('state', 16),
      () => new Replayer(doomed, { checkFinite: true }).run(plan),
    ];
    for (const attempt of late) await expect(attempt()).rejects.toMatchObject({ code: 'lost' });
  });

  it('ends a run that is under way', async () => {
    const doomed = await openTestGpu();
    const plan = await compiled((rec) => chain(rec, new Float32Array(1 << 20), 40), doomed);
    const running = new Replayer(doomed).run(plan).catch((e) => e);
    doomed.device.destroy();
    expect(await running).toMatchObject({ name: 'GpuError', code: 'lost' });
  });
});

describe('limits and features', () => {
  it("within WebGPU's defaults everything still runs", async () => {
    const plain = await openTestGpu({ defaultLimits: true });
    expect(plain.limits.maxStorageBufferBindingSize).toBe(134_217_728);
    expect(plain.limits.maxBufferSize).toBe(268_435_456);
    expect(plain.limits.maxComputeWorkgroupStorageSize).toBe(16_384);
    expect(plain.maxPartBytes).toBe(134_217_728);
    const rec = new Recorder(plain, 'p');
    const last = chain(rec, numbers(8), 2);
    const plan = await rec.compile(new Arena(plain));
    await new Replayer(plain).run(plan);
    expect([...new Float32Array(await plain.read(plan.rangeOf(last)))]).toEqual(scaled(numbers(8), 3));
  });

  it('features can be left unused', async () => {
    const bare = await openTestGpu({ without: ['f16', 'subgroupMinSize', 'packedDot', 'timestamps'] });
    expect(bare.features).toMatchObject({
      f16: false,
      subgroupMinSize: 0,
      subgroupMaxSize: 0,
      packedDot: false,
      timestamps: false,
    });
    expect(bare.device.features.has('shader-f16')).toBe(false);
    expect(bare.device.features.has('timestamp-query')).toBe(false);
    const plan = await compiled((rec) => chain(rec, numbers(4), 1), bare);
    expect(await timePlan(bare, plan)).toBeNull();
  });

  it('a browser without WebGPU, and one without an adapter, are told apart', async () => {
    const { Gpu: Opened } = await import('../../src/gpu/device');
    await expect(Opened.open(undefined)).rejects.toMatchObject({ code: 'no-webgpu' });
    const blind = { requestAdapter: async () => null } as unknown as GPU;
    await expect(Opened.open(blind)).rejects.toMatchObject({ code: 'no-adapter' });
  });
});

describe('the finite check', () => {
  /** Four additions; the bad value comes in by the second operand of step `at`. */
  async function poisoned(value: number, at: number, index: number) {
    const size = 300;
    const x = upload(gpu, 'x', [size], numbers(size));
    const bad = numbers(size);
    bad[index] = value;
    const b = upload(gpu, 'bad', [size], bad);
    const start = upload(gpu, 'start', [size], numbers(size));
    const rec = new Recorder(gpu, 'poisoned');
    let last = start;
    for (let i = 0; i < 4; i++) {
      const y = rec.tensor(`y${i}`, [size]);
      pointwise(rec, { label: `layer ${i}`, op: 'add', a: last, b: i === at ? b : x, y });
      last = y;
    }
    rec.keep(last);
    return rec.compile(new Arena(gpu));
  }

  it.each([
    [Number.NaN, 0, 0, 'NaN'],
    [Number.POSITIVE_INFINITY, 2, 299, '+Inf'],
    [Number.NEGATIVE_INFINITY, 3, 64, '-Inf'],
  ] as const)('finds %f in step %i at element %i', async (value, at, index, kind) => {
    const plan = await poisoned(value, at, index);
    const found = { step: at, label: `layer ${at}`, shader: 'elementwise', tensor: `y${at}`, index, kind };
    const replayer = new Replayer(gpu, { checkFinite: true });
    const error = await replayer.run(plan).catch((e) => e);
    expect(error).toBeInstanceOf(NonFiniteError);
    expect(error.found).toEqual(found);
    expect(error.message).toContain(`layer ${at} (step ${at}, elementwise.wgsl) wrote ${kind} to y${at}[${index}]`);

    const submitting = new Replayer(gpu, { checkFinite: true });
    submitting.submit(plan);
    await expect(submitting.settled()).rejects.toMatchObject({ found });
    expect(() => submitting.submit(plan)).toThrow(NonFiniteError);
    await new Replayer(gpu).run(plan);
    plan.destroy();
  });

  it('runs a clean plan to its end, large finite numbers and denormals included, and copies after it', async () => {
    const values = new Float32Array([3.4e38, -3.4e38, 1e-40, -0]);
    const x = upload(gpu, 'x', [4], values);
    const zero = upload(gpu, 'zero', [4], new Float32Array(4));
    const rec = new Recorder(gpu, 'clean');
    const y = rec.keep(rec.tensor('y', [4]));
    pointwise(rec, { label: 'op', op: 'add', a: x, b: zero, y });
    const plan = await rec.compile(new Arena(gpu));
    const replayer = new Replayer(gpu, { checkFinite: true });
    const seen: number[] = [];
    await replayer.run(plan, { onProgress: (done) => seen.push(done) });
    expect(seen).toEqual([1]);
    const copy = gpu.createBuffer('state', 16);
    const { buffer, offset } = plan.rangeOf(y);
    replayer.submit(plan, (encoder) => encoder.copyBufferToBuffer(buffer, offset, copy, 0, 16));
    await replayer.settled();
    const result = new Float32Array(await gpu.read({ buffer: copy, offset: 0, size: 16 }));
    expect(result[0]).toBe(values[0]);
    plan.destroy();
  });

  it('does not blame an op for what lay in fresh memory that it leaves unwritten', async () => {
    const arena = new Arena(gpu);
    const size = 128;
    const nan = upload(gpu, 'nan', [size], new Float32Array(size).fill(Number.NaN));
    const x = upload(gpu, 'x', [size], numbers(size));
    const dirty = new Recorder(gpu, 'dirty');
    pointwise(dirty, { label: 'dirt', op: 'silu', a: nan, y: dirty.keep(dirty.tensor('dirt', [size])) });
    const first = await dirty.compile(arena);
    await new Replayer(gpu).run(first);
    const half = new Recorder(gpu, 'half');
    const y = half.keep(half.tensor('y', [size]));
    half.dispatch({
      label: 'half',
      shader: 'elementwise',
      definitions: { OP: 'silu' },
      reads: { a: x },
      writes: { y },
      params: { count: size / 2 },
      workgroups: [1],
    });
    const plan = await half.compile(arena);
    expect(plan.rangeOf(y).buffer).toBe(first.steps[0].outputs[0].range.buffer);
    await new Replayer(gpu, { checkFinite: true }).run(plan);
  });

  it('looks into halves too', async () => {
    // Three halves to two words: 1, -Inf, 2 and padding.
    const buffer = gpu.createBuffer('state', 8);
    gpu.device.queue.writeBuffer(buffer, 0, new Uint16Array([0x3c00, 0xfc00, 0x4000, 0]));
    const halves = new Tensor('halves', [3], 'f16', { buffer, offset: 0, size: 16 });
    const plan = await compiled((rec) => chain(rec, numbers(4), 1));
    const step = plan.steps[0];
    const output = {
      label: halves.label,
      dtype: 'f16',
      range: { buffer, offset: 0, size: 8 },
      persistent: true,
      fresh: false,
    } as const;
    const replayer = new Replayer(gpu, { checkFinite: true });
    const faked: Plan = { ...plan, steps: [{ ...step, outputs: [output] }] };
    await expect(replayer.run(faked)).rejects.toMatchObject({ found: { tensor: 'halves', index: 1, kind: '-Inf' } });
  });
});

describe('timePlan', () => {
  it('times every step, the longer one longer, and leaves counters as one run would', async () => {
    if (!gpu.features.timestamps) {
      expect(await timePlan(gpu, await compiled((rec) => chain(rec, numbers(4), 1)))).toBeNull();
      return;
    }
    const x = upload(gpu, 'x', [4], numbers(4));
    const big = upload(gpu, 'big', [1 << 20], new Float32Array(1 << 20));
    const sum = upload(gpu, 'sum', [4], new Float32Array(4));
    const plan = await compiled((rec) => {
      pointwise(rec, { label: 'small', op: 'silu', a: x, y: sum });
      pointwise(rec, { label: 'large', op: 'silu', a: big, y: rec.tensor('y', [1 << 20]) });
    });
    const times = (await timePlan(gpu, plan, 5))!;
    expect(times.map(({ label, shader }) => [label, shader])).toEqual([
      ['small', 'elementwise'],
      ['large', 'elementwise'],
    ]);
    expect(times[1].microseconds).toBeGreaterThan(times[0].microseconds);
    const silu = (v: number) => v / (1 + Math.exp(-v));
    const result = await download(gpu, sum);
    for (let i = 0; i < 4; i++) expect(result[i]).toBeCloseTo(silu(i + 1), 5);
    plan.destroy();
  });
});
