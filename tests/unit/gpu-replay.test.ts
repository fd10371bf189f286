import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Gpu } from '../../src/gpu/device';
import { GpuError } from '../../src/gpu/error';
import type { Plan, PlanStep } from '../../src/gpu/plan';
import { Replayer } from '../../src/gpu/replay';

/** A device whose steps take given times on the fake clock, and that remembers what each submit ran. */
class FakeDevice {
  readonly submits: string[][] = [];
  private busyUntil = 0;
  private listeners = new Set<(error: GpuError) => void>();
  loss: GpuError | undefined;

  constructor(private readonly msOf: (label: string) => number) {}

  get gpu(): Gpu {
    const encoder = () => {
      const labels: string[] = [];
      return {
        beginComputePass: () => ({
          setPipeline: () => {},
          setBindGroup: (_: number, label: string) => labels.push(label),
          dispatchWorkgroups: () => {},
          end: () => {},
        }),
        finish: () => labels,
      };
    };
    const queue = {
      submit: ([labels]: string[][]) => {
        this.submits.push(labels);
        const ms = labels.reduce((sum, label) => sum + this.msOf(label), 0);
        this.busyUntil = Math.max(this.busyUntil, performance.now()) + ms;
      },
      onSubmittedWorkDone: () =>
        new Promise<void>((resolve) => setTimeout(resolve, this.busyUntil - performance.now())),
    };
    const fake = {
      device: { createCommandEncoder: encoder, queue },
      throwUncaught: () => {},
      orLost: async (work: Promise<unknown>) => {
        const loss = new Promise((_, reject) => this.listeners.add(reject));
        return Promise.race([work, loss]);
      },
    };
    Object.defineProperty(fake, 'loss', { get: () => this.loss });
    return fake as unknown as Gpu;
  }

  lose(): void {
    this.loss = new GpuError('lost', 'gone');
    for (const listener of this.listeners) listener(this.loss);
  }
}

function planOf(work: readonly number[]): Plan {
  const steps = work.map(
    (w, i) => ({ label: `${i}`, work: w, bindGroup: `${i}`, workgroups: [1, 1, 1] }) as unknown as PlanStep,
  );
  const total = work.reduce((a, b) => a + b, 0);
  return { label: 'fake', steps, work: total, rangeOf: () => expect.fail(), destroy: () => {} };
}

const labels = (count: number) => Array.from({ length: count }, (_, i) => `${i}`);

/** Advances the clock until `running` settles. */
async function finish(running: Promise<void>): Promise<void> {
  let open = true;
  running.then(
    () => (open = false),
    () => (open = false),
  );
  while (open) await vi.advanceTimersByTimeAsync(1);
  return running;
}

describe('Replayer', () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] }));
  afterEach(() => vi.useRealTimers());

  it('runs a short plan in one submit', async () => {
    const device = new FakeDevice(() => 0.1);
    const replayer = new Replayer(device.gpu);
    await finish(replayer.run(planOf(new Array(40).fill(1000))));
    expect(device.submits).toEqual([labels(40)]);
    expect(replayer.submits).toBe(1);
  });

  it('cuts a long plan, in order and completely, and learns slices of about 50 ms', async () => {
    const device = new FakeDevice(() => 10);
    const replayer = new Replayer(device.gpu);
    const plan = planOf(new Array(100).fill(1e9));
    await finish(replayer.run(plan));
    expect(device.submits.flat()).toEqual(labels(100));
    // Each launch was first thought to take 2,500 ms.
    expect(device.submits[0]).toEqual(['0']);
    device.submits.length = 0;
    await finish(replayer.run(plan));
    expect(device.submits.flat()).toEqual(labels(100));
    for (const slice of device.submits.slice(0, -1)) {
      expect(slice.length * 10).toBeGreaterThan(30);
      expect(slice.length * 10).toBeLessThanOrEqual(50);
    }
    expect(replayer.estimate(plan)).toBeCloseTo(1000, -2);
  });

  it('measures steps apart: a dear one is not hidden by cheap ones of equal stated work', async () => {
    const device = new FakeDevice((label) => (Number(label) >= 30 ? 25 : 1));
    const replayer = new Replayer(device.gpu);
    const plan = planOf(new Array(50).fill(1e7));
    for (let i = 0; i < 6; i++) await finish(replayer.run(plan));
    device.submits.length = 0;
    await finish(replayer.run(plan));
    const times = device.submits.map((slice) => slice.reduce((ms, l) => ms + (Number(l) >= 30 ? 25 : 1), 0));
    expect(Math.max(...times)).toBeLessThanOrEqual(80);
    expect(device.submits.length).toBeLessThan(20);
  });

  it('forgets one slow run, such as one that compiled, within two more', async () => {
    let ms = 100;
    const device = new FakeDevice(() => ms);
    const replayer = new Replayer(device.gpu);
    const plan = planOf(new Array(20).fill(1e6));
    await finish(replayer.run(plan));
    ms = 0.5;
    await finish(replayer.run(plan));
    await finish(replayer.run(plan));
    device.submits.length = 0;
    await finish(replayer.run(plan));
    expect(device.submits).toHaveLength(1);
  });

  it('reports progress that only grows and ends at 1', async () => {
    const device = new FakeDevice(() => 30);
    const seen: number[] = [];
    const plan = planOf([1e9, 2e9, 3e9, 4e9]);
    await finish(new Replayer(device.gpu).run(plan, { onProgress: (done) => seen.push(done) }));
    expect(seen).toHaveLength(4);
    expect(seen[0]).toBeCloseTo(0.1);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(1);
  });

  it('lets an abort take effect within two slices', async () => {
    const device = new FakeDevice(() => 40);
    const controller = new AbortController();
    const onProgress = () => controller.abort(new Error('enough'));
    const running = new Replayer(device.gpu).run(planOf(new Array(50).fill(1e9)), {
      signal: controller.signal,
      onProgress,
    });
    await expect(finish(running)).rejects.toThrow('enough');
    expect(device.submits.length).toBeLessThanOrEqual(3);
  });

  it('submits nothing for a signal that is aborted already', async () => {
    const device = new FakeDevice(() => 1);
    const signal = AbortSignal.abort(new Error('before'));
    await expect(finish(new Replayer(device.gpu).run(planOf([1]), { signal }))).rejects.toThrow('before');
    expect(device.submits).toEqual([]);
  });

  it('rejects with the loss while work hangs, and at once afterwards', async () => {
    const device = new FakeDevice(() => 1e9);
    const replayer = new Replayer(device.gpu);
    const running = replayer.run(planOf([1, 1]));
    setTimeout(() => device.lose(), 20);
    await expect(finish(running)).rejects.toMatchObject({ code: 'lost' });
    await expect(replayer.run(planOf([1]))).rejects.toMatchObject({ code: 'lost' });
    expect(device.submits).toHaveLength(1);
  });

  it('runs an empty plan', async () => {
    const device = new FakeDevice(() => 1);
    await finish(new Replayer(device.gpu).run(planOf([])));
    expect(device.submits).toEqual([]);
  });

  it('submits decode whole once the loop has told how long it takes, and copies after the last slice', () => {
    const device = new FakeDevice(() => 1);
    const replayer = new Replayer(device.gpu);
    const plan = planOf(new Array(30).fill(1e7));
    const copies: number[] = [];
    replayer.submit(plan, () => copies.push(device.submits.length));
    expect(device.submits.length).toBeGreaterThan(5);
    expect(device.submits.flat()).toEqual(labels(30));
    expect(copies).toEqual([device.submits.length - 1]);
    replayer.learn(plan, 31);
    expect(replayer.estimate(plan)).toBeCloseTo(31);
    device.submits.length = 0;
    replayer.submit(plan);
    expect(device.submits).toEqual([labels(30)]);
  });

  it('averages rates: a slow token does not slow the next ones down for long', () => {
    const replayer = new Replayer(new FakeDevice(() => 1).gpu);
    const plan = planOf([1e6, 3e6]);
    replayer.learn(plan, 8000);
    for (let i = 0; i < 4; i++) replayer.learn(plan, 20);
    expect(replayer.estimate(plan)).toBeLessThan(30);
    replayer.learn(plan, 0);
    expect(replayer.estimate(plan)).toBeGreaterThan(19);
  });
});
