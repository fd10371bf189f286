import { Arena } from '../gpu/arena';
import { DEFAULT_CHOICES, type KernelChoices } from '../gpu/choices';
import type { Gpu } from '../gpu/device';
import { type Plan, Recorder } from '../gpu/plan';
import { Replayer } from '../gpu/replay';
import { Tensor } from '../gpu/tensor';
import { attention, canBroadcast } from './attention';
import { linear } from './linear';
import { normAdapter } from './norm-adapter';
import { uploadWeight, type Weight } from './weights';

export interface SelfTestResult {
  readonly choices: KernelChoices;
  /** Milliseconds of one launch by trial and candidate; NaN for a candidate that computed something else. */
  readonly times: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** Time that all launches of one candidate may take, compilation aside. */
const BUDGET_MS = 25;
const ROUNDS = 3;
/** A rival must be this much faster than the plain choice. */
const MARGIN = 0.9;

/** What is timed: a kernel family on a small shape typical of its work. */
interface Trial {
  readonly name: string;
  readonly record: (rec: Recorder, y: Tensor) => void;
  readonly shape: readonly number[];
  readonly candidates: readonly (readonly [name: string, choices: Partial<KernelChoices>])[];
}

/**
 * Picks the kernel variants that are fastest on this device by running them: never by its name. Each candidate must also
 * give the first one's result (the plain kernel's), or it is out. Takes well under two seconds of running; the compiled
 * kernels stay in the device's cache, where the models want the chosen ones anyway.
 */
export async function selfTest(gpu: Gpu): Promise<SelfTestResult> {
  const bench = await Bench.create(gpu);
  try {
    let choices = DEFAULT_CHOICES;
    const times: Record<string, Record<string, number>> = {};
    const run = async (trial: Trial) => {
      const { winner, byName } = await bench.compare(trial, choices);
      times[trial.name] = byName;
      choices = { ...choices, ...winner };
    };
    const shares = gpu.features.subgroupMinSize > 0;
    const alone = shares && gpu.features.subgroupMinSize >= 4 ? 'broadcast' : 'thread';
    await run({
      name: 'matvec',
      shape: [1, Bench.WIDTH],
      record: (rec, y) => linear(rec, { label: 'matvec', x: bench.row, weight: bench.weight, y }),
      candidates: [
        ['workgroup', { matvec: 'workgroup' }],
        ...(shares ? [['subgroup', { matvec: 'subgroup' }] as const] : []),
        [alone, { matvec: alone }],
      ],
    });
    const register = alone === 'broadcast' ? 'broadcast' : 'register';
    await run({
      name: 'matmul',
      shape: [Bench.ROWS, Bench.WIDTH],
      record: (rec, y) => linear(rec, { label: 'matmul', x: bench.rows, weight: bench.weight, y }),
      candidates: [
        ['workgroup', { matmul: 'workgroup' }],
        [register, { matmul: register }],
      ],
    });
    const mask = { causal: true, hideSlot0: true };
    const shape = { heads: 4, kvHeads: 4, headDim: 64, batch: 1, length: Bench.ROWS, mask };
    const attend = canBroadcast(gpu) ? 'broadcast' : 'thread';
    await run({
      name: 'attention',
      shape: [Bench.ROWS, 256],
      record: (rec, y) => {
        const [q, k, v] = [0, 256, 512].map((column) => ({ tensor: bench.wide, column }));
        attention(rec, { label: 'attention', q, k, v, y, ...shape });
      },
      candidates: [
        ['workgroup', { attention: 'workgroup' }],
        ...(shares ? [['subgroup', { attention: 'subgroup' }] as const] : []),
        [attend, { attention: attend }],
      ],
    });
    await run({
      name: 'rows',
      shape: bench.rows.shape,
      record: (rec, y) => {
        const norm = { kind: 'rms', gain: bench.row, epsilon: 1e-5 } as const;
        normAdapter(rec, { label: 'norm', x: bench.rows, y, norm });
      },
      candidates: [64, 8].map((rowThreads) => [String(rowThreads), { rowThreads }] as const),
    });
    return { choices, times };
  } finally {
    bench.destroy();
  }
}

/** The inputs of all trials, and the stop-watch. */
class Bench {
  static readonly WIDTH = 512;
  /** A whole tile of the staged product. */
  static readonly ROWS = 64;
  private readonly buffers: GPUBuffer[] = [];
  private readonly arena: Arena;
  private readonly replayer: Replayer;
  /** [1, WIDTH], [ROWS, WIDTH], and [ROWS, 768]: q, k and v of four heads of 64. */
  readonly row: Tensor;
  readonly rows: Tensor;
  readonly wide: Tensor;

  private constructor(
    private readonly gpu: Gpu,
    readonly weight: Weight,
  ) {
    this.arena = new Arena(gpu);
    this.replayer = new Replayer(gpu);
    this.row = this.tensor('row', [1, Bench.WIDTH]);
    this.rows = this.tensor('rows', [Bench.ROWS, Bench.WIDTH]);
    this.wide = this.tensor('wide', [Bench.ROWS, 768]);
    for (const { buffer } of weight.parts.map((part) => part.range)) this.buffers.push(buffer);
  }

  static async create(gpu: Gpu): Promise<Bench> {
    // Q4_0 blocks of arbitrary quants, all with the scale 2^-7.
    const bytes = new Uint8Array(((Bench.WIDTH * Bench.WIDTH) / 32) * 18);
    for (let i = 0; i < bytes.length; i++) bytes[i] = i % 18 === 0 ? 0x00 : i % 18 === 1 ? 0x20 : (i * 151) >>> 3;
    const spec = {
      label: 'self-test',
      format: 'Q4_0',
      rows: Bench.WIDTH,
      cols: Bench.WIDTH,
      purpose: 'state',
    } as const;
    return new Bench(gpu, await uploadWeight(gpu, spec, [bytes]));
  }

  async compare(
    { name, record, shape, candidates }: Trial,
    base: KernelChoices,
  ): Promise<{ winner: Partial<KernelChoices>; byName: Record<string, number> }> {
    const y = this.tensor(`${name}.y`, shape);
    const byName: Record<string, number> = {};
    const timed: { name: string; plan: Plan; repeats: number }[] = [];
    let expected: Float32Array | undefined;
    for (const [candidate, changes] of candidates) {
      const choices = { ...base, ...changes };
      const once = await this.plan(name, choices, 1, (rec) => record(rec, y));
      await this.time(once);
      const result = new Float32Array(await this.gpu.read({ ...y.range!, size: y.bytes }));
      expected ??= result;
      if (!agrees(result, expected)) {
        byName[candidate] = Number.NaN;
        continue;
      }
      const ms = await this.time(once);
      byName[candidate] = ms;
      once.destroy();
      const repeats = Math.min(64, Math.floor(BUDGET_MS / ROUNDS / ms));
      // Slow enough to be told apart by one run, too slow for more.
      if (repeats < 1) continue;
      timed.push({ name: candidate, plan: await this.plan(name, choices, repeats, (rec) => record(rec, y)), repeats });
    }
    // Rounds in turn, so that whatever else the machine does hits all alike.
    for (let round = 0; round < ROUNDS; round++) {
      for (const { name: candidate, plan, repeats } of timed) {
        byName[candidate] = Math.min(byName[candidate], (await this.time(plan)) / repeats);
      }
    }
    for (const { plan } of timed) plan.destroy();
    let [best, winner] = candidates[0];
    for (const [candidate, choices] of candidates) {
      if (byName[candidate] < byName[best] * MARGIN) [best, winner] = [candidate, choices];
    }
    return { winner, byName };
  }

  private async plan(
    name: string,
    choices: KernelChoices,
    repeats: number,
    record: (rec: Recorder) => void,
  ): Promise<Plan> {
    const rec = new Recorder(this.gpu, name, choices);
    for (let i = 0; i < repeats; i++) record(rec);
    return rec.compile(this.arena);
  }

  private async time(plan: Plan): Promise<number> {
    const began = performance.now();
    this.replayer.submit(plan);
    await this.gpu.device.queue.onSubmittedWorkDone();
    return performance.now() - began;
  }

  private tensor(label: string, shape: readonly number[]): Tensor {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 12.9898));
    const buffer = this.gpu.createBuffer('state', values.byteLength, undefined, label);
    this.gpu.device.queue.writeBuffer(buffer, 0, values);
    this.buffers.push(buffer);
    return new Tensor(label, shape, 'f32', { buffer, offset: 0, size: buffer.size });
  }

  destroy(): void {
    for (const buffer of this.buffers) this.gpu.destroyBuffer(buffer);
    this.arena.destroy();
  }
}

/** Whether two kernels computed the same: within the rounding of sums in another order. */
function agrees(got: Float32Array, want: Float32Array): boolean {
  const peak = want.reduce((max, v) => Math.max(max, Math.abs(v)), 0);
  return got.every((v, i) => Math.abs(v - want[i]) <= 1e-4 * peak);
}
