/** The kernel variants that models are measured with: the fastest of each family on this device, by a short trial. */
import { Arena } from '../../../src/gpu/arena';
import { DEFAULT_CHOICES, type KernelChoices } from '../../../src/gpu/choices';
import type { Gpu } from '../../../src/gpu/device';
import { Recorder } from '../../../src/gpu/plan';
import { Tensor } from '../../../src/gpu/tensor';
import { linear } from '../../../src/kernels/linear';
import { destroyWeight, uploadWeight } from '../../../src/kernels/weights';
import { fourBit } from './blocks';
import { timePlan } from './measure';
import { matmulVariants, matvecVariants } from './variants';

export async function fastestChoices(gpu: Gpu): Promise<KernelChoices> {
  const matvec = (await fastest(gpu, 1, matvecVariants(gpu))).matvec;
  const { matmul } = await fastest(gpu, 32, matmulVariants(gpu));
  // Adapters on CPUs are told by one thread a row winning; there barriers are dear in every other family too.
  const cpu = matvec === 'thread' || matvec === 'broadcast';
  return { ...DEFAULT_CHOICES, matvec, matmul, attention: matvec, rowThreads: cpu ? 8 : DEFAULT_CHOICES.rowThreads };
}

async function fastest(gpu: Gpu, m: number, variants: ReturnType<typeof matvecVariants>): Promise<KernelChoices> {
  const [rows, cols] = [1536, 576];
  const weight = await uploadWeight(gpu, { label: 'trial', format: 'Q4_0', rows, cols }, [fourBit(rows, cols, 1).gguf]);
  const arena = new Arena(gpu);
  const buffers: GPUBuffer[] = [];
  const state = (label: string, width: number) => {
    const buffer = gpu.createBuffer('state', 4 * m * width, undefined, label);
    buffers.push(buffer);
    return new Tensor(label, [m, width], 'f32', { buffer, offset: 0, size: buffer.size });
  };
  const [x, y] = [state('x', cols), state('y', rows)];
  let best = { choices: DEFAULT_CHOICES, ms: Number.POSITIVE_INFINITY };
  for (const { choices } of variants.filter((v) => v.precision === 'f32' && !v.choices.f16Products)) {
    const rec = new Recorder(gpu, 'trial', choices);
    linear(rec, { label: 'trial', x, weight, y });
    const plan = await rec.compile(arena);
    await timePlan(gpu, plan, 2);
    let ms = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 3; i++) ms = Math.min(ms, await timePlan(gpu, plan, 8));
    if (ms < best.ms) best = { choices, ms };
    plan.destroy();
  }
  destroyWeight(gpu, weight);
  for (const buffer of buffers) gpu.destroyBuffer(buffer);
  arena.destroy();
  return best.choices;
}
