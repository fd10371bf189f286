import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { TokenRing } from '../../src/generate/readback';
import { DEFAULT_SAMPLING, packSampling } from '../../src/generate/sampling';
import { Arena } from '../../src/gpu/arena';
import { type Gpu, GpuError } from '../../src/gpu/device';
import { type Plan, Recorder } from '../../src/gpu/plan';
import { Readback } from '../../src/gpu/readback';
import { Replayer } from '../../src/gpu/replay';
import { type DType, Tensor } from '../../src/gpu/tensor';
import { sample } from '../../src/kernels/sampling';
import { createStep, STEP, STEP_WORDS } from '../../src/kernels/step';
import { closeTestGpus, openTestGpu } from '../gpu';

const VOCABULARY = 50;
const ENTRIES = 5;
const FORCED = [7, 3, 49, 0, 12, 12, 30, 1, 2, 48, 5, 6, 9, 8, 11, 10, 22, 21, 20, 19];

/** The smallest decode step: the sampler alone, on forced tokens, so that every record can be told apart. */
async function tinyDecode(gpu: Gpu) {
  const make = (label: string, size: number, dtype: DType) => {
    const buffer = gpu.createBuffer('state', size * 4, undefined, label);
    return new Tensor(label, [size], dtype, { buffer, offset: 0, size: buffer.size });
  };
  const step = createStep(gpu);
  const logits = make('logits', VOCABULARY, 'f32');
  const slots = make('slots', 1, 'i32');
  const positions = make('positions', 1, 'u32');
  const history = make('history', 16, 'u32');
  const ring = make('ring', ENTRIES * 4, 'u32');
  const forced = make('forced', FORCED.length, 'i32');
  const values = Float32Array.from({ length: VOCABULARY }, (_, i) => Math.sin(i) * 3);
  const { queue } = gpu.device;
  queue.writeBuffer(logits.range!.buffer, 0, values);
  queue.writeBuffer(forced.range!.buffer, 0, new Int32Array(FORCED));
  const rec = new Recorder(gpu, 'tiny', undefined);
  sample(rec, { logits, step, slots, positions, history, ring, forced });
  const plan: Plan = await rec.compile(new Arena(gpu));
  const largest = Math.max(...values);
  const logSum = Math.log(values.reduce((sum, x) => sum + Math.exp(x - largest), 0));
  return {
    plan,
    ring,
    argmax: values.indexOf(largest),
    argmaxLogprob: -logSum,
    logprob: (id: number) => values[id] - largest - logSum,
    /** Sets the step as before a generation. */
    reset() {
      const view = new DataView(new ArrayBuffer(STEP_WORDS * 4));
      packSampling(view, { ...DEFAULT_SAMPLING, temperature: 0 });
      view.setUint32(STEP.rows * 4, 1, true);
      view.setUint32(STEP.forcedLength * 4, FORCED.length, true);
      queue.writeBuffer(step.range!.buffer, 0, view.buffer);
    },
  };
}

describe('TokenRing', () => {
  let gpu: Gpu;
  let tiny: Awaited<ReturnType<typeof tinyDecode>>;
  let replayer: Replayer;
  beforeAll(async () => {
    gpu = await openTestGpu();
    tiny = await tinyDecode(gpu);
    replayer = new Replayer(gpu);
  });
  afterAll(closeTestGpus);

  it('gives every record in order, late, across the ends of ring and staging, and starts again', async () => {
    const ring = new TokenRing(gpu, tiny.ring, 3);
    for (let generation = 0; generation < 2; generation++) {
      tiny.reset();
      ring.restart();
      let submitted = 0;
      for (let i = 0; i < FORCED.length; i++) {
        while (submitted < FORCED.length && !ring.full) {
          replayer.submit(tiny.plan, (encoder) => ring.afterStep(encoder));
          submitted++;
        }
        expect(ring.inFlight).toBe(submitted - i);
        const record = await ring.next();
        expect(record.token).toBe(FORCED[i]);
        expect(record.argmax).toBe(tiny.argmax);
        expect(Math.abs(record.logprob - tiny.logprob(FORCED[i]))).toBeLessThan(1e-5);
        expect(Math.abs(record.argmaxLogprob - tiny.argmaxLogprob)).toBeLessThan(1e-5);
      }
      expect(ring.inFlight).toBe(0);
    }
    ring.dispose();
  });

  it('creates no GPU object per token but encoder, pass and command buffer', async () => {
    const ring = new TokenRing(gpu, tiny.ring, 4);
    tiny.reset();
    const { device } = gpu;
    const spies = [
      vi.spyOn(device, 'createBuffer'),
      vi.spyOn(device, 'createBindGroup'),
      vi.spyOn(device, 'createComputePipelineAsync'),
      vi.spyOn(device, 'createComputePipeline'),
    ];
    const encoders = vi.spyOn(device, 'createCommandEncoder');
    const before = replayer.submits;
    for (let i = 0; i < 10; i++) {
      replayer.submit(tiny.plan, (encoder) => ring.afterStep(encoder));
      if (i >= 3) await ring.next();
    }
    await ring.drain();
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
    expect(encoders).toHaveBeenCalledTimes(10);
    expect(replayer.submits - before).toBe(10);
    for (const spy of [...spies, encoders]) spy.mockRestore();
    ring.dispose();
  });

  it('refuses more steps than it has staging buffers, records that do not come, and a restart in flight', async () => {
    const ring = new TokenRing(gpu, tiny.ring, 2);
    tiny.reset();
    await expect(ring.next()).rejects.toThrow('no token is in flight');
    for (let i = 0; i < 2; i++) replayer.submit(tiny.plan, (encoder) => ring.afterStep(encoder));
    const encoder = gpu.device.createCommandEncoder();
    expect(() => ring.afterStep(encoder)).toThrow('take a record first');
    expect(() => ring.restart()).toThrow('2 tokens are still in flight');
    const first = ring.next();
    await expect(ring.next()).rejects.toThrow('another caller');
    expect((await first).token).toBe(FORCED[0]);
    expect((await ring.next()).token).toBe(FORCED[1]);
    ring.dispose();
  });

  it('frees its buffers on dispose and rejects who waits', async () => {
    const before = gpu.ledger.byPurpose().staging ?? 0;
    const ring = new TokenRing(gpu, tiny.ring, 8);
    expect(gpu.ledger.byPurpose().staging).toBe(before + 8 * 16);
    tiny.reset();
    replayer.submit(tiny.plan, (encoder) => ring.afterStep(encoder));
    const waiting = expect(ring.next()).rejects.toThrow('disposed');
    ring.dispose();
    await waiting;
    expect(gpu.ledger.byPurpose().staging ?? 0).toBe(before);
    await expect(ring.next()).rejects.toThrow('disposed');
  });

  it('tells a lost device by a GpuError', async () => {
    const doomed = await openTestGpu();
    const decode = await tinyDecode(doomed);
    const ring = new TokenRing(doomed, decode.ring, 2);
    decode.reset();
    new Replayer(doomed).submit(decode.plan, (encoder) => ring.afterStep(encoder));
    const waiting = ring.next().catch((error: unknown) => error);
    doomed.destroy();
    const error = await waiting;
    expect(error).toBeInstanceOf(GpuError);
    expect((error as GpuError).code).toBe('lost');
    await doomed.lost;
    await expect(ring.next()).rejects.toMatchObject({ code: 'lost' });
    ring.dispose();
  });
});

it('Readback: reads asked for at once wait for each other, each finds what was there, nothing is allocated', async () => {
  const gpu = await openTestGpu();
  const buffer = gpu.createBuffer('state', 8, undefined, 'pair');
  const readback = new Readback(gpu, 4, 'one word');
  const bytes = gpu.ledger.current;
  gpu.device.queue.writeBuffer(buffer, 0, Uint32Array.of(11, 22));
  const [first, second] = await Promise.all([readback.read(buffer), readback.read(buffer, 4)]);
  expect([new Uint32Array(first)[0], new Uint32Array(second)[0]]).toEqual([11, 22]);
  gpu.device.queue.writeBuffer(buffer, 4, Uint32Array.of(33));
  expect(new Uint32Array(await readback.read(buffer, 4))[0]).toBe(33);
  expect(gpu.ledger.current).toBe(bytes);
  readback.destroy();
  gpu.destroyBuffer(buffer);
});
