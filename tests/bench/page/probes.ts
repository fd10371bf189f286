/** What the adapter can do at most, as far as simple WGSL can show: the measure of every other row. */
import type { Gpu } from '../../../src/gpu/device';
import { repetitionsFor } from './measure';
import fmaCode from './probe_fma.wgsl?raw';
import readCode from './probe_read.wgsl?raw';

/** Too much for the caches of CPUs that software adapters run on, within every device's binding. */
const READ_BYTES = 96 << 20;
const FMA_TURNS = 4096 * 2048;

export async function probes(gpu: Gpu, rounds: number): Promise<void> {
  const read = await best(rounds, await readProbes(gpu));
  await benchFact({
    ...{ section: 'probe', case: 'adapter', what: 'read bandwidth', unit: 'GB/s' },
    value: READ_BYTES / read / 1e6,
  });
  const fma = await best(rounds, await fmaProbes(gpu));
  await benchFact({
    ...{ section: 'probe', case: 'adapter', what: 'f32 rate', unit: 'GFLOP/s' },
    value: (FMA_TURNS * 64) / fma / 1e6,
  });
}

type Timed = () => Promise<number>;

/** Least ms over all shapes of a probe and all rounds. */
async function best(rounds: number, shapes: readonly Timed[]): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (const shape of shapes) await shape();
  for (let round = 0; round < rounds; round++) {
    for (const shape of shapes) least = Math.min(least, await shape());
  }
  return least;
}

async function readProbes(gpu: Gpu): Promise<Timed[]> {
  const bytes = Math.min(READ_BYTES, gpu.maxPartBytes);
  if (bytes < READ_BYTES) throw new Error(`this device binds ${bytes} bytes at once; ${READ_BYTES} are read`);
  const words = gpu.createBuffer('state', READ_BYTES);
  const chunk = new Uint32Array(1 << 20).fill(0x9e3779b9);
  for (let at = 0; at < READ_BYTES; at += chunk.byteLength) gpu.device.queue.writeBuffer(words, at, chunk);
  const shapes: Timed[] = [];
  for (const ROWS of [false, true]) {
    // CPUs want few threads that read much, GPUs many that read little.
    for (const [WG, COUNT] of [
      [8, 768],
      [64, 768],
      [256, 768],
      [256, 48],
    ]) {
      const groups = READ_BYTES / 16 / COUNT / WG;
      const sums = gpu.createBuffer('state', groups * WG * 4);
      shapes.push(await timed(gpu, readCode, { WG, ROWS: Number(ROWS), COUNT }, [words, sums], groups));
    }
  }
  return shapes;
}

async function fmaProbes(gpu: Gpu): Promise<Timed[]> {
  const shapes: Timed[] = [];
  for (const FUSED of [0, 1]) {
    for (const [WG, threads] of [
      [8, 4096],
      [64, 4096],
      [256, 262_144],
    ]) {
      const sums = gpu.createBuffer('state', threads * 4);
      shapes.push(await timed(gpu, fmaCode, { WG, TURNS: FMA_TURNS / threads, FUSED }, [sums], threads / WG));
    }
  }
  return shapes;
}

/** Milliseconds of one dispatch, from several in one pass. */
async function timed(
  { device }: Gpu,
  code: string,
  constants: Record<string, number>,
  buffers: readonly GPUBuffer[],
  groups: number,
): Promise<Timed> {
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }), entryPoint: 'main', constants },
  });
  const bindGroup = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  let repetitions = 1;
  const run = async () => {
    await device.queue.onSubmittedWorkDone();
    const began = performance.now();
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    for (let i = 0; i < repetitions; i++) pass.dispatchWorkgroups(groups);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    return (performance.now() - began) / repetitions;
  };
  await run();
  repetitions = repetitionsFor(await run());
  return run;
}
