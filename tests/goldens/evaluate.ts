import { Arena } from '../../src/gpu/arena';
import type { KernelChoices } from '../../src/gpu/choices';
import type { Gpu } from '../../src/gpu/device';
import { Recorder } from '../../src/gpu/plan';
import { Replayer } from '../../src/gpu/replay';
import type { Tensor } from '../../src/gpu/tensor';
import type { Graph } from '../../src/nn/graph';
import { recordGraph } from '../../src/nn/lower';

/** Records the graph, runs it once and reads every wanted tensor by the name given. */
export async function evaluate<Name extends string>(
  gpu: Gpu,
  graph: Graph,
  wanted: Record<Name, Tensor>,
  { fused = true, choices }: { fused?: boolean; choices?: KernelChoices } = {},
): Promise<Record<Name, Float32Array>> {
  for (const tensor of Object.values<Tensor>(wanted)) graph.keep(tensor);
  const recorder = new Recorder(gpu, 'test', choices);
  recordGraph(recorder, graph, { fused });
  const arena = new Arena(gpu);
  const plan = await gpu.checked('recording', () => recorder.compile(arena));
  await new Replayer(gpu).run(plan);
  const results = {} as Record<Name, Float32Array>;
  for (const name of Object.keys(wanted) as Name[]) {
    results[name] = new Float32Array(await gpu.read(plan.rangeOf(wanted[name])));
  }
  plan.destroy();
  arena.destroy();
  return results;
}
